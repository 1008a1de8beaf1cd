"""Tests of the SQLite file in other hands."""
