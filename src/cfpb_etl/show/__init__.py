"""What a database holds, for people."""
