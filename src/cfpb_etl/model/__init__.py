"""What every stage shares: the complaint, the query, the source and its parts."""
