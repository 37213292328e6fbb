"""From the values of each vCPU to banks: the checks that every reader shares."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Set

import numpy as np

from fastsmc.checks import LAST_U64, BoolArray, I64Array, U64Array, cut
from fastsmc.errors import RegisterFileError
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.facts.registers import MAX_VALUE_BYTES, reg_size
from fastsmc.migrate.read.limits import MAX_LISTED, MAX_REGISTERS, MAX_VALUES, MAX_VCPUS, MAX_WIDE_BYTES
from fastsmc.migrate.read.result import Bank


class Registers:
    """Collects the registers of a file vCPU by vCPU, checking each; a register takes 17 bytes, and wide ones theirs.

    Attributes:
        what: the vCPU whose registers come, for messages.
        wide: the values over 64 bits, by their number among all registers.
    """

    def __init__(self, what: str = "") -> None:
        self.what = ""
        self.wide: dict[int, int] = {}
        self._ids, self._low, self._known = array("Q"), array("Q"), bytearray()
        self._starts: list[int] = []
        self._own = set[int]()
        self._n_wide_bytes = 0
        if what:
            self.begin(what)

    def begin(self, what: str) -> None:
        """Whatever is added from here on is the next vCPU's."""
        self.what = what
        self._starts.append(len(self._ids))
        self._own = set()

    @property
    def n_vcpu(self) -> int:
        """How many vCPUs were begun."""
        return len(self._starts)

    def __len__(self) -> int:
        """Registers of all vCPUs."""
        return len(self._ids)

    @property
    def own(self) -> Set[int]:
        """The ids of the last vCPU."""
        return self._own

    def add(self, reg: int, value: int | None, where: str) -> None:
        """One register.

        Raises:
            RegisterFileError: the id does not fit 64 bits, is there twice, names a size no register has, or is too
                small for the value; or there are too many.
        """
        if not 0 <= reg < 1 << 64:
            msg = f"{where}: register id {reg:#x} does not fit 64 bits"
            raise RegisterFileError(msg)
        n_bytes = reg_size(reg)
        if n_bytes > MAX_VALUE_BYTES:
            msg = f"{where}: register {reg:#x} would have {8 * n_bytes} bits; 2048 is the most there is"
            raise RegisterFileError(msg)
        if reg in self._own:
            msg = f"{where}: register {reg:#x} is there twice in {self.what}"
            raise RegisterFileError(msg)
        if value is not None and not 0 <= value < 1 << 8 * n_bytes:
            msg = f"{where}: register {reg:#x} has {8 * n_bytes} bits, and {cut(hex(value))} does not fit"
            raise RegisterFileError(msg)
        if len(self._own) == MAX_REGISTERS:
            msg = f"{where}: more than {MAX_REGISTERS} registers in {self.what}"
            raise RegisterFileError(msg)
        if len(self._ids) == MAX_VALUES:
            msg = f"{where}: more than {MAX_VALUES} registers of {self.n_vcpu} vCPUs"
            raise RegisterFileError(msg)
        if n_bytes > 8:
            self._add_wide(value or 0, n_bytes, where)
        self._own.add(reg)
        self._ids.append(reg)
        self._low.append((value or 0) & LAST_U64)
        self._known.append(value is not None)

    def _add_wide(self, value: int, n_bytes: int, where: str) -> None:
        self._n_wide_bytes += n_bytes
        if self._n_wide_bytes > MAX_WIDE_BYTES:
            msg = f"{where}: more than {MAX_WIDE_BYTES} bytes of registers over 64 bits"
            raise RegisterFileError(msg)
        self.wide[len(self._ids)] = value

    def places(self, vcpu: int) -> I64Array:
        """Where the registers of a vCPU are among all, in the order of their ids: int64[n_reg]."""
        start, end = self._starts[vcpu], (*self._starts[vcpu + 1 : vcpu + 2], len(self._ids))[0]
        return np.argsort(np.frombuffer(self._ids, np.uint64)[start:end]) + start

    def ids(self, places: I64Array) -> U64Array:
        """The ids at these places."""
        return np.frombuffer(self._ids, np.uint64)[places]

    def low(self, places: I64Array) -> U64Array:
        """The lowest 64 bits of the values at these places."""
        return np.frombuffer(self._low, np.uint64)[places]

    def known(self, places: I64Array) -> BoolArray:
        """Whether the values at these places are told."""
        return np.frombuffer(self._known, np.bool_)[places]


def banks(found: Registers, name: str) -> tuple[Bank, ...]:
    """The banks of these vCPUs, numbered from 0.

    Raises:
        RegisterFileError: no vCPU, one without registers, or too many.
    """
    check_counts(found.n_vcpu, len(found))
    groups: dict[bytes, tuple[list[int], list[I64Array]]] = {}
    for vcpu in range(found.n_vcpu):
        places = found.places(vcpu)
        if not places.size:
            msg = f"vCPU {vcpu} has no registers"
            raise RegisterFileError(msg)
        members, rows = groups.setdefault(found.ids(places).tobytes(), ([], []))
        members.append(vcpu)
        rows.append(places)
    check_ways(groups)
    return tuple(_bank(found, np.stack(rows), members, name) for members, rows in groups.values())


def check_ways(lists: Collection[bytes]) -> None:
    """Raises RegisterFileError if vCPUs list registers in too many ways; each way's ids are given as their bytes."""
    n_listed = sum(map(len, lists)) // 8
    if n_listed > MAX_LISTED:
        msg = f"{len(lists)} vCPUs list {n_listed} registers, each in its own way: at most {MAX_LISTED} are read"
        raise RegisterFileError(msg)
    n_reg = len(np.unique(np.frombuffer(b"".join(lists), np.uint64)))
    if n_reg > MAX_REGISTERS:
        msg = f"its vCPUs list {n_reg} different registers: at most {MAX_REGISTERS} are read"
        raise RegisterFileError(msg)


def check_counts(n_vcpu: int, n_value: int) -> None:
    """Raises RegisterFileError for no vCPU, and for more than a file may tell about."""
    if not n_vcpu:
        msg = "it tells about no vCPU"
        raise RegisterFileError(msg)
    if n_vcpu > MAX_VCPUS or n_value > MAX_VALUES:
        msg = f"{n_vcpu} vCPUs with {n_value} registers together: at most {MAX_VCPUS} and {MAX_VALUES} are read"
        raise RegisterFileError(msg)


def named_set(ids: U64Array, name: str) -> RegisterSet:
    """The set of these ids, which become read-only."""
    ids.flags.writeable = False
    return RegisterSet(name, "", "", (), ids)


def _bank(found: Registers, places: I64Array, members: list[int], name: str) -> Bank:
    """The bank of vCPUs whose registers are at places[vcpu, register]."""
    ids = found.ids(places[0])
    registers, vcpus = named_set(ids, name), np.array(members, np.int64)
    known = found.known(places)
    if not known.any():
        return Bank(registers, vcpus, None)
    wide = {
        reg: np.frombuffer(b"".join(found.wide[at].to_bytes(reg_size(reg), "little") for at in column), np.uint8)
        .reshape(len(members), reg_size(reg))
        for reg, column in zip(ids.tolist(), places.T.tolist(), strict=True)
        if reg_size(reg) > 8
    }  # fmt: skip
    return Bank(registers, vcpus, found.low(places), None if known.all() else known, wide)
