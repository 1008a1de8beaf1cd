"""Merging: whose values count if several loads have the same complaint, and what is withdrawn."""
