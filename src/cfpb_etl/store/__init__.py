"""Stores complaints in an SQLite file."""
