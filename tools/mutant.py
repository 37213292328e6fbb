"""A mutant: one rule of the project broken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One rule broken: in a file, the only match of a text replaced by another."""

    path: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path}: {self.old.strip()[:60]!r} -> {self.new.strip()[:60]!r}"

    @property
    def key(self) -> str:
        """What tells the mutant from all others."""
        return f"{self.path}: {self.old!r} -> {self.new!r}"

    def applied(self, text: str) -> str:
        """The text with the rule broken.

        Raises:
            ValueError: the rule is not there once, so the lists are out of date.
        """
        if text.count(self.old) != 1:
            msg = f"{self.path} holds {self.old!r} {text.count(self.old)} times: mend the list of mutants"
            raise ValueError(msg)
        return text.replace(self.old, self.new)


def in_file(path: str, *pairs: tuple[str, str]) -> list[Mutant]:
    """Mutants of a file of fastsmc/, each a text and what replaces it."""
    return [Mutant(f"fastsmc/{path}", old, new) for old, new in pairs]
