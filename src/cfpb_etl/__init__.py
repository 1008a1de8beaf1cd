"""CFPB consumer complaints into a SQLite file you can trust."""

from importlib.metadata import version

__version__ = version("cfpb-etl")
