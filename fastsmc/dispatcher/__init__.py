"""TODO dispatcher."""
