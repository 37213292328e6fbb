"""Whether the events of a downtime log can have happened as it says: their order, their times, what they lasted.

Each end of a migration writes its events one after another, with one clock, and a section's event when the section is
done. So times never go back at one end, a section cannot have begun before the event above it, and checkpoints come in
the order in which QEMU passes them. Source: QEMU migration/migration.c and migration/savevm.c.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsmc.errors import TraceError

START, STOPPED, ENDED = "src-downtime-start", "src-vm-stopped", "src-downtime-end"
ITERABLE_SAVED, SAVED = "src-iterable-saved", "src-non-iterable-saved"
LOADED, STARTED = "dst-precopy-loadvm-completed", "dst-precopy-bh-vm-started"
ITERABLE, NON_ITERABLE = "iterable", "non-iterable"
_ORDER = (
    *(START, STOPPED, ITERABLE_SAVED, SAVED, ENDED),
    *(LOADED, "dst-precopy-bh-enter", "dst-precopy-bh-announced", STARTED),
)
"""Of each end; no two ends are compared, as their clocks differ."""
_CLOSED_BY = {("save", ITERABLE): (ITERABLE_SAVED, SAVED, ENDED), ("save", NON_ITERABLE): (SAVED, ENDED)}
_CLOSED_BY |= dict.fromkeys((("load", ITERABLE), ("load", NON_ITERABLE)), (LOADED, STARTED))

LONGEST_US = 3_600_000_000
"""No step of a downtime takes an hour: a sanity bound of ours. QEMU's downtime-limit is at most 2,000 s."""
_SLACK_US = 10
"""Durations and times come from two clocks, each cut to whole microseconds, ..."""
SLACK = 0.01
"""... which may run apart by this share."""


@dataclass(slots=True)
class _End:
    """What one end has told so far.

    Attributes:
        lines: of each checkpoint. first_section: the line of the first one, 0 if there is none.
        latest_us, latest_line: of the last event with a time.
        timed, untimed: the first line with a time, and without; 0 if there is none.
    """

    lines: dict[str, int] = field(default_factory=dict)
    first_section: int = 0
    latest_us: int | None = None
    latest_line: int = 0
    timed: int = 0
    untimed: int = 0


class Order:
    """The events of a log in its order; raises a TraceError at the first that contradicts one above it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ends: dict[str, _End] = {}

    def line(self, checkpoint: str) -> int:
        """Where a checkpoint stands; 0 if it does not."""
        return self._end(checkpoint[:3]).lines.get(checkpoint, 0)

    def begin(self, line: int) -> bool:
        """The source begins to stop its guest; whether there was a migration before, which is forgotten then."""
        source = self._end("src")
        if STOPPED in source.lines and START not in source.lines and not source.first_section:
            self._refuse(line, f"{START} comes after {STOPPED} (line {source.lines[STOPPED]}), which QEMU writes later")
        if not source.lines and not source.first_section:
            return False
        if source.latest_us is not None:
            self._ends["src"] = _End(latest_us=source.latest_us, latest_line=source.latest_line, timed=source.timed)
        else:
            self._ends["src"] = _End(untimed=source.untimed)
        return True

    def checkpoint(self, name: str, at: int | None, line: int) -> None:
        """A checkpoint is passed."""
        end = self._end(name[:3])
        if name.startswith("dst-postcopy"):
            self._refuse(line, f"{name} is of a postcopy migration; only the downtime of a precopy one is put together")
        if name in end.lines:
            self._refuse(line, f"{name} stands on line {end.lines[name]} too: two migrations are mixed here; give one")
        if name in _ORDER:
            late = [other for other in _ORDER[_ORDER.index(name) + 1 :] if other in end.lines]
            if late:
                self._refuse(line, f"{name} comes after {late[0]} (line {end.lines[late[0]]}), which QEMU writes later")
        if name in (START, STOPPED) and end.first_section:
            self._refuse(line, f"{name} comes after a section that was saved (line {end.first_section})")
        is_far = end.lines or name[:3] == "dst"
        self._tick(end, name, at, line, longest=LONGEST_US if is_far and name != START else None)
        end.lines[name] = line

    def section(self, side: str, kind: str, what: str, us: int, at: int | None, line: int) -> None:
        """A section is saved or loaded, which took so long."""
        end = self._end("src" if side == "save" else "dst")
        for closing in _CLOSED_BY[side, kind]:
            if closing in end.lines:
                self._refuse(line, f"the {side} of {what} ({kind}) comes after {closing} (line {end.lines[closing]})")
        if us > LONGEST_US:
            self._refuse(line, f"the {side} of {what} took {us} us, which is over an hour")
        if at is not None and end.latest_us is not None:
            passed = at - end.latest_us
            if passed >= 0 and us > passed + _SLACK_US + us * SLACK:
                self._refuse(
                    line, f"the {side} of {what} took {us} us, but line {end.latest_line} is {passed} us before its end"
                )
        self._tick(end, f"the {side} of {what}", at, line, longest=LONGEST_US if end.lines else None)
        end.first_section = end.first_section or line

    def check_end(self) -> None:
        """The log ends here."""
        source = self._end("src").lines
        for first, ends, what in (
            (START, (STOPPED,), "the pause has no end"),
            (STOPPED, (SAVED, ENDED), "sections saved later are missing"),
        ):
            if first in source and not any(end in source for end in ends):
                self._refuse(source[first], f"{first}, and no {ends[0]} in any line after it: {what}")

    def _end(self, end: str) -> _End:
        return self._ends.setdefault(end, _End())

    def _tick(self, end: _End, what: str, at: int | None, line: int, *, longest: int | None) -> None:
        if at is None:
            end.untimed = end.untimed or line
        else:
            end.timed = end.timed or line
        if end.timed and end.untimed:
            other = end.timed if at is None else end.untimed
            has = "no time, but line {} has one" if at is None else "a time, but line {} has none"
            self._refuse(line, f"{what} has {has.format(other)}: two logs are mixed here; give one")
        if at is None:
            return
        passed = 0 if end.latest_us is None else at - end.latest_us
        if passed < 0:
            self._refuse(line, f"{what} comes {-passed} us before line {end.latest_line} above it")
        if longest is not None and passed > longest:
            seconds = f"{passed / 1e6:.0f} s"
            self._refuse(line, f"{what} comes {seconds} after line {end.latest_line}, over an hour: the clock jumped")
        end.latest_us, end.latest_line = at, line

    def _refuse(self, line: int, why: str) -> None:
        msg = f"{self.name}: line {line}: {why}"
        raise TraceError(msg)
