"""Stores complaints in a SQLite file."""
