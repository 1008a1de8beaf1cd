"""PostgreSQL: a schema with the tables and views of a database."""
