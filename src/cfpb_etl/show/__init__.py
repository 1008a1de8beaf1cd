"""Show: the contents of a database as text, charts and web pages."""
