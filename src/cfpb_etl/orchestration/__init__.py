"""Everything that depends on Prefect, except the flow itself."""
