"""HTTP: one answer, a download, a pace, and what can go wrong."""
