"""Store: complaints into SQLite."""
