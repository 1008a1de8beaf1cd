"""Tests of the package as Python code uses it."""
