"""Parse: what came, as complaints."""
