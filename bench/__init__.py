"""The benchmark harness: see README.md. Not part of the installed package."""
