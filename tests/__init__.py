"""Tests, in rooms named like those of the package. A package, so that no other `tests` on the path is taken for it."""
