"""Tests of what knows Prefect."""
