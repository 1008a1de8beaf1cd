"""Tests of storing."""
