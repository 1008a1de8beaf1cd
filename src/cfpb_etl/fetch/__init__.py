"""Fetch: pages and files from CFPB, over the network or from the disk."""
