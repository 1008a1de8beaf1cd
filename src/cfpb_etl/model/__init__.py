"""Types and rules that all stages share, without network, SQL, Prefect or output."""
