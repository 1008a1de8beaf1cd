"""The Prefect server of a run, the settings that it gets, and where the user has set them."""
