"""Parsing: the content of pages and files becomes complaints."""
