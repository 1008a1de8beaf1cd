"""The SQLite file as disks and other programs leave it: its journal and its schema."""
