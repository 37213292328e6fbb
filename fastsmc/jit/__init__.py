"""TODO jit."""
