"""Publish: copies of a database in other formats and in other databases."""
