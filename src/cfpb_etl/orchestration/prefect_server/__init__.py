"""The second process of a run: Prefect's temporary server."""
