"""TODO recordings."""
