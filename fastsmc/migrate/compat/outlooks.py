"""`outlooks`: what becomes of many VMs that move one way, as arrays, with the registers in the way by code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.checks import I64Array
from fastsmc.errors import FastsmcError, InputError
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.migrate.compat.check import direction
from fastsmc.migrate.compat.named import normal_features
from fastsmc.migrate.compat.prepared import named, verdict
from fastsmc.migrate.compat.result import Direction, Outlook, shown_name
from fastsmc.migrate.compat.side import paired
from fastsmc.migrate.compat.vmms import RULES, assumed

RESTORES, FAILS, UNKNOWN = range(3)
"""Codes of outlooks."""
OUTLOOKS = (Outlook.RESTORES, Outlook.FAILS, Outlook.UNKNOWN)
"""The outlook of each code."""
_PAIRS = 1 << 17
"""Directions that are kept, of some 200 bytes each."""
_SHOWN = 4


class Cause(NamedTuple):
    """What an outlook rests on: the registers in the way, those that cannot be judged, or a sentence.

    Attributes:
        registers: ids, in the order of the payload: those that fail, or, where the outlook is unknown, those that
            cannot be judged.
        why: why it fails or cannot be known where no register tells; "" otherwise.
    """

    outlook: Outlook
    registers: tuple[int, ...] = ()
    why: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The registers' names; an id in hexadecimal where it has none here."""
        return tuple(shown_name(reg) or f"{reg:#x}" for reg in self.registers)

    def __str__(self) -> str:
        if not self.registers:
            return self.why or self.outlook.value
        names = self.names
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        word = "in the way" if self.outlook is Outlook.FAILS else "cannot be judged"
        return f"{word}: {', '.join(names[:_SHOWN])}{more}"


@dataclass(frozen=True, slots=True, eq=False)
class Outlooks:
    """What becomes of each row's VM. Modelled, as `check` is.

    Attributes:
        code: int8[n], read-only: RESTORES 0, FAILS 1, UNKNOWN 2.
        cause: int64[n], read-only: index into `causes`.
        causes: each once.
    """

    code: NDArray[np.int8]
    cause: I64Array
    causes: tuple[Cause, ...]

    def __len__(self) -> int:
        """Rows."""
        return len(self.code)

    def __getitem__(self, row: int) -> Cause:
        """What the outlook of a row is and rests on."""
        return self.causes[int(self.cause[row])]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by outlook."""
        found = np.bincount(self.code, minlength=len(OUTLOOKS)).tolist()
        return dict(zip((word.value for word in OUTLOOKS), found, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """The causes with their rows counted, and the cause of every row, as plain values."""
        n = np.bincount(self.cause, minlength=len(self.causes)).tolist()
        causes = [
            {"verdict": each.outlook, "registers": [f"{reg:#018x}" for reg in each.registers], "why": each.why or None}
            for each in self.causes
        ]
        rows = [{**cause, "rows": count} for cause, count in zip(causes, n, strict=True)]
        return {"kind": "modelled", "rows": self.counts, "causes": rows, "cause_of_row": self.cause.tolist()}

    def __repr__(self) -> str:
        told = ", ".join(f"{n:,} {word}" for word, n in self.counts.items())
        return f"<Outlooks of {len(self):,} rows: {told}; {len(self.causes)} causes>"


def outlooks(source: ArrayLike, dest: ArrayLike, features: ArrayLike = "", *, vmm: ArrayLike = "qemu") -> Outlooks:
    """Whether each of many VMs restores on another kernel: the forward direction of `check`, for arrays. Broadcasts.

    Each distinct row is judged once, and kept for the next call. Kernels are releases, what `uname -r` prints, or
    recorded hosts; no text names a file here. What `check` refuses, such as a kernel that fastsmc does not know or
    "", has an unknown outlook, whose cause says why.

    Args:
        source, dest: kernels: text[n] or one text for all.
        features: the VM's vCPU features on both sides, "psci02+pmu"; those that `check` assumes where it is "".
        vmm: as `check` takes it, "qemu:10.1".

    Raises:
        InputError: not text, not of one dimension, or lengths that do not broadcast.

    >>> found = outlooks(["6.12", "6.18", ""], "6.12", "psci02+pmu")
    >>> found
    <Outlooks of 3 rows: 1 restores, 1 fails, 1 unknown; 3 causes>
    >>> [str(cause) for cause in found.causes]
    ['restores', 'in the way: PSCI_VERSION', 'no kernel is told']
    """
    columns = [_text(what, given) for what, given in zip(_ARGS, (source, dest, features, vmm), strict=True)]
    sizes = {len(column) for column in columns if len(column) != 1}
    if len(sizes) > 1:
        told = ", ".join(f"{what} {len(column)}" for what, column in zip(_ARGS, columns, strict=True))
        msg = f"outlooks: lengths do not broadcast: {told}"
        raise InputError(msg)
    n = sizes.pop() if sizes else 1
    words, code = [], np.zeros(n, np.int64)
    for column in columns:
        names = dict.fromkeys(column)
        number = dict(zip(names, range(len(names)), strict=True))
        words.append(list(names))
        code = code * len(names) + np.fromiter(map(number.__getitem__, column), np.int64, len(column))
    rows, of_row = np.unique(code, return_inverse=True)
    places = np.unravel_index(rows, [len(names) for names in words]) if n else [rows] * len(words)
    distinct = zip(
        *([names[k] for k in place.tolist()] for names, place in zip(words, places, strict=True)), strict=True
    )
    found = [judged(*each) for each in distinct]
    causes = {cause: number for number, cause in enumerate(dict.fromkeys(found))}
    cause = np.array([causes[each] for each in found], np.int64)[of_row.reshape(-1)]
    by_cause = np.array([OUTLOOKS.index(each.outlook) for each in causes], np.int8)
    outlook = by_cause[cause] if n else np.zeros(0, np.int8)
    outlook.flags.writeable = cause.flags.writeable = False
    return Outlooks(outlook, cause, tuple(causes))


_ARGS = ("source", "dest", "features", "vmm")


def _text(what: str, given: ArrayLike) -> list[str]:
    """A column as a list; one text is a list of one."""
    array = np.atleast_1d(np.asarray(given))
    column: list[Any] = array.tolist()
    if array.ndim != 1 or (array.dtype.kind != "U" and not all(isinstance(each, str) for each in column)):
        msg = f"outlooks: {what} is {array.dtype}{list(array.shape)}: it must be a text or a column of text"
        raise InputError(msg)
    return column


@lru_cache(maxsize=_PAIRS)
def judged(source: str, dest: str, features: str, vmm: str) -> Cause:
    """What becomes of a VM that moves one way; unknown where `check` refuses to say."""
    if not source.strip() or not dest.strip():
        return Cause(Outlook.UNKNOWN, (), "no kernel is told")
    try:
        by = version(vmm)
        wanted = _features(features) if features else assumed(by)[0]
        found = verdict(source, dest, wanted, by)
    except FastsmcError as error:
        return Cause(Outlook.UNKNOWN, (), str(error))
    return Cause(found.outlook, found.unjudged if found.outlook is Outlook.UNKNOWN else found.failing, found.why)


@lru_cache(maxsize=1024)
def explained(source: str, dest: str, features: str, vmm: str) -> Direction:
    """The same direction with all that `check` says of it: reasons, values, remedies.

    Raises:
        FastsmcError: what `check` refuses.
    """
    by = version(vmm)
    wanted = _features(features) if features else assumed(by)[0]
    one, other = named(source, wanted), named(dest, wanted)
    if one.side is None or other.side is None:
        raise InputError(one.refused or other.refused)
    return direction(*paired(one.side, other.side), by)


_features = lru_cache(maxsize=256)(normal_features)


@lru_cache(maxsize=256)
def version(vmm: str) -> VmmVersion:
    """The version of a VMM that a text names.

    Raises:
        InputError: none that is known.
    """
    return VmmVersion.of(vmm, tuple(RULES))
