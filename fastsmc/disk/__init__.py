"""Files as wholes: written all or none, swept up after a kill, named safely."""
