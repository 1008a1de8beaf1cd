"""Unpacking: zips and compressed files, read piece by piece."""
