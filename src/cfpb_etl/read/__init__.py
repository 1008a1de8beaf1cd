"""Read: what a database contains, as rows, Arrow tables and frames."""
