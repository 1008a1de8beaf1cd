"""How CSV files are written: headers, days, values, quotes, and the releases of CFPB."""
