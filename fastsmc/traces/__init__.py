"""Readers of what tracers print about a real guest's hypercalls."""
