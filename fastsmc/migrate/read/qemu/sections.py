"""Where the devices of a QEMU stream begin and end.

A device's section says what it is but not how long. The JSON description at the end of the stream gives the size of
every field. Without it, or where it does not fit, the section ends at one of the places where its own footer is
followed by another section or by the end of the stream: all chains of sections are followed, and unless exactly one
reaches the end the stream is refused as ambiguous.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from fastsmc.checks import I64Array
from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.limits import MAX_DEVICES
from fastsmc.migrate.read.qemu.framing import FOOTER, FOOTER_BYTES, FULL, Held, SectionHead, footer_bytes, full_head

_MAX_SEARCH = 1 << 18
"""Footers looked at; a real stream has about two per section, and one more in 64 KiB of random bytes."""
_SCAN_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Section:
    """A device's section.

    Attributes:
        at: offset of its type byte in the file. n_bytes: from there to the end of its footer.
        fields: the bytes between its head and its footer. fields_at: their offset in the file.
    """

    head: SectionHead
    at: int
    n_bytes: int
    fields: memoryview
    fields_at: int

    @property
    def key(self) -> tuple[str, int]:
        """Device and instance."""
        return self.head.name, self.head.instance


def separate(held: Held, stop: int, sizes: dict[tuple[str, int], int]) -> list[Section]:
    """All sections from the first on to `stop`, where the end marker or guest memory is.

    Args:
        sizes: bytes of the fields by device and instance, where the description tells them.

    Raises:
        RegisterFileError: no chain of sections reaches the end, or more than one.
    """
    rest, at = held.data, held.at
    view, sections = memoryview(rest), []
    for start, end in itertools.pairwise(_Chain(rest, stop, sizes, at).only_path()):
        head, data = full_head(rest, start) or (None, 0)
        assert head is not None
        sections.append(Section(head, at + start, end - start, view[data : end - FOOTER_BYTES], at + data))
    return sections


class _Chain:
    """Sections as a graph: from each start, the possible starts of the next."""

    def __init__(self, rest: bytes | bytearray, stop: int, sizes: dict[tuple[str, int], int], at: int) -> None:
        self.rest, self.stop, self.sizes, self.at = rest, stop, sizes, at
        self.marks = _Footers(rest, stop, at)
        self.n_search = 0
        self.next: dict[int, list[int]] = {}
        self.deepest = 0

    def only_path(self) -> list[int]:
        """Starts of all sections, then `stop`.

        Raises:
            RegisterFileError: none or several.
        """
        n_paths = self._count_paths()
        if not n_paths[0]:
            raise self._broken(self.deepest)
        path = [0]
        while path[-1] != self.stop:
            following = [start for start in self.next[path[-1]] if n_paths[start]]
            if len(following) > 1:
                head = full_head(self.rest, path[-1])
                name = head[0].name if head else "?"
                ends = " or ".join(str(self.at + end) for end in following[:2])
                where = f"byte {self.at + path[-1]}, section {name}"
                msg = f"{where}: ambiguous without a description that fits, it ends at byte {ends}"
                raise RegisterFileError(msg)
            path.append(following[0])
        return path

    def _count_paths(self) -> dict[int, int]:
        """Ways to the end from every start that can be reached, counted up to 2; later starts first."""
        pending, reached = [0], {0}
        while pending:
            start = pending.pop()
            if start == self.stop:
                continue
            self.deepest = max(self.deepest, start)
            self.next[start] = self._ends(start)
            fresh = [end for end in self.next[start] if end not in reached]
            reached.update(fresh)
            pending.extend(fresh)
            if len(reached) > MAX_DEVICES:
                msg = f"byte {self.at + start}: more than {MAX_DEVICES} sections of devices"
                raise RegisterFileError(msg)
        n_paths = {self.stop: 1}
        for start in sorted(self.next, reverse=True):
            n_paths[start] = min(2, sum(n_paths.get(end, 0) for end in self.next[start]))
        return n_paths

    def _ends(self, start: int) -> list[int]:
        """Where the section that begins at start can end so that another one or the end follows."""
        found = full_head(self.rest, start)
        if found is None:
            return []
        head, data = found
        size = self.sizes.get((head.name, head.instance))
        mark = footer_bytes(head.section_id)
        if size is not None and self.rest[data + size : data + size + FOOTER_BYTES] == mark:
            # Its footer is where the description says. If nothing follows there, a later one is not its end either:
            # of two streams in one file, the second would be counted as part of the first one's last device.
            return [data + size + FOOTER_BYTES] if self._follows(data + size, mark) else []
        later = self.marks.of(head.section_id, data)
        self.n_search += len(later)
        if self.n_search > _MAX_SEARCH:
            msg = f"byte {self.at + start}, section {head.name}: too many places where it could end"
            raise RegisterFileError(msg)
        return [place + FOOTER_BYTES for place in later.tolist() if self._follows(place, mark)]

    def _follows(self, place: int, mark: bytes) -> bool:
        end = place + FOOTER_BYTES
        if end > self.stop or self.rest[place:end] != mark:
            return False
        return end == self.stop or full_head(self.rest, end) is not None

    def _broken(self, start: int) -> RegisterFileError:
        head = full_head(self.rest, start)
        if head is None:
            what = f"no section begins with {self.rest[start : start + 8].hex()}"
            return RegisterFileError(f"byte {self.at + start}, the devices: {what}; is the file whole?")
        tail = "after which another section or the end would begin"
        return RegisterFileError(
            f"byte {self.at + start}, section {head[0].name} {head[0].instance}: no footer ({FOOTER:#x}, id "
            f"{head[0].section_id}) {tail}; is the file whole?"
        )


class _Footers:
    """Where footers may be: only those before another section or the end.

    Attributes:
        places: ascending, of one section id after the other. ids: of these sections.
    """

    def __init__(self, rest: bytes | bytearray, stop: int, at: int) -> None:
        found = [np.empty(0, np.int64)]
        for begin in range(0, stop, _SCAN_BYTES):
            piece = np.frombuffer(rest, np.uint8, min(_SCAN_BYTES + FOOTER_BYTES, stop - begin), begin)
            is_mark = piece[:-FOOTER_BYTES] == FOOTER
            found.append(np.flatnonzero(is_mark & (piece[FOOTER_BYTES:] == FULL)) + begin)
            if sum(map(len, found)) > _MAX_SEARCH:
                msg = f"byte {at}, the devices: more than {_MAX_SEARCH} places where a section could end"
                raise RegisterFileError(msg)
        last = stop - FOOTER_BYTES
        if last >= 0 and rest[last] == FOOTER:
            found.append(np.array([last]))
        places = np.concatenate(found)
        whole = np.frombuffer(rest, np.uint8)
        digits = (whole[places + 1 + digit].astype(np.int64) << 24 - 8 * digit for digit in range(4))
        ids = np.sum(np.stack(list(digits)), axis=0)
        order = np.argsort(ids, kind="stable")
        self.places, self.ids = places[order], ids[order]

    def of(self, section_id: int, first: int) -> I64Array:
        """The places of one section from one place on, ascending."""
        begin, end = np.searchsorted(self.ids, (section_id, section_id + 1)).tolist()
        own = self.places[begin:end]
        return own[np.searchsorted(own, first) :]
