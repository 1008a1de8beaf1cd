"""Load CFPB's consumer complaints into a SQLite file, and verify what was loaded."""

from importlib.metadata import version

__version__ = version("cfpb-etl")
