"""The storing of complaints in an SQLite file."""
