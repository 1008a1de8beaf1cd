"""Tests of exports to PostgreSQL."""
