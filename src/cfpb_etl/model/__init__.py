"""What every stage shares. It has no network, no SQL, no Prefect, and prints nothing."""
