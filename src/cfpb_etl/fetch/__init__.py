"""Fetch: from CFPB, over the network or from a file."""
