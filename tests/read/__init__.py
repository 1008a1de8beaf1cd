"""Tests of reading a database."""
