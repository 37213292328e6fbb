"""How Numba is called, which vector instructions there are, and how threads share a batch."""
