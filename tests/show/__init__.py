"""Tests of status, report and browse."""
