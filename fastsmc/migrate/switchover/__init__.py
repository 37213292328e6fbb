"""The downtime of a live migration, step by step: modelled, and replaced by what a user has measured."""
