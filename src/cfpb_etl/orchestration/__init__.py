"""All that knows Prefect, but the flow itself."""
