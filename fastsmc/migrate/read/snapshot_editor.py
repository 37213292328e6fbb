"""Text of Firecracker's `snapshot-editor info-vmstate vcpu-states`: "vcpu 0:", then "0xID 0xVALUE" a line.

The tool prints each byte of a value without its leading zero, the highest byte first: the eight bytes of 0x10003 come
out as 0x00000103. Such text can be read back only where it has one digit per byte, two per byte, or one way to cut it;
where it has several, the value is not told. Were values ever printed as plain numbers they are read as such, which is
seen from one that is shorter than its register's bytes, or from all being filled up with zeros to one width; a file
that mixes both is refused. Source: Firecracker src/snapshot-editor/src/info.rs and the Debug of aarch64 VcpuState
(src/vmm/src/vstate/vcpu/aarch64.rs); no recorded sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastsmc.checks import cut, shown
from fastsmc.errors import RegisterFileError
from fastsmc.facts.registers import MAX_VALUE_BYTES, reg_size
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.limits import MAX_LINE, MAX_VCPUS
from fastsmc.migrate.read.lines import numbered
from fastsmc.migrate.read.result import Format
from fastsmc.migrate.read.told import Told

_VCPU = re.compile(r"vcpu (\d{1,6}):", re.ASCII)
_REGISTER = re.compile(r"0x([0-9a-fA-F]{1,16})[ \t]+0x([0-9a-fA-F]{1,512})", re.ASCII)
_OTHER = re.compile(r"(kvm_mp_state|mpidr): 0x[0-9a-f]{1,16}", re.ASCII)
_NOTE = "{} values of {} cannot be read back: the tool prints bytes without their leading zero."


def is_ours(text: str) -> bool:
    """Whether the text begins like the tool's."""
    first = next((line for line in text[:4096].splitlines() if line.strip()), "")
    return bool(_VCPU.fullmatch(first.strip()) or _REGISTER.fullmatch(first.strip()))


def read(text: str) -> Told:
    """The registers of all vCPUs; a text without "vcpu" lines is one vCPU's.

    Raises:
        RegisterFileError: a line that is neither, vCPUs out of order, or values of both ways of printing.
    """
    is_plain = _is_plain(text)
    registers = Registers()
    untold = 0
    for number, entry in _lines(text):  # for the second time: a list of them would take ten times the text
        where = f"line {number}"
        if isinstance(entry, int):
            if entry != registers.n_vcpu or entry == MAX_VCPUS:
                msg = f"{where}: vcpu {entry}, where vcpu {registers.n_vcpu} would come"
                msg += ": one vCPU of many; give the tool's whole output" * (not registers.n_vcpu)
                raise RegisterFileError(msg)
            registers.begin(f"vcpu {entry}")
            continue
        if not registers.n_vcpu:
            registers.begin("the only vcpu")
        reg, digits = entry
        value = int(digits, 16) if is_plain else _from_bytes(digits, reg_size(reg), f"{where}, register {reg:#x}")
        untold += value is None
        registers.add(reg, value, where)
    notes = (_NOTE.format(untold, len(registers)),) if untold else ()
    return Told(Format.SNAPSHOT_EDITOR, registers, notes=notes)


def _lines(text: str) -> Iterator[tuple[int, int | tuple[int, str]]]:
    """Line number with a vCPU's number, or a register's id and its value's digits."""
    for number, line in numbered(text):
        if not line or _OTHER.fullmatch(line):
            continue
        if found := _VCPU.fullmatch(line):
            yield number, int(found[1])
        elif found := _REGISTER.fullmatch(line):
            yield number, (int(found[1], 16), found[2])
        else:
            msg = f'line {number}: {shown(line)} is neither "vcpu N:" nor "0xID 0xVALUE"'
            raise RegisterFileError(msg)


def _is_plain(text: str) -> bool:
    """Whether values are plain numbers: some has fewer digits than bytes, or all are filled up to one width.

    Raises:
        RegisterFileError: fewer, and some other begins with a zero that a plain number has not.
    """
    short = padded = 0
    width, smallest, filled = MAX_LINE, MAX_VALUE_BYTES, set[int]()
    for number, entry in _lines(text):
        if isinstance(entry, int):
            continue
        n_bytes, digits = reg_size(entry[0]), entry[1]
        short = short or (number if len(digits) < n_bytes else 0)
        padded = padded or (number if len(digits) > 1 and digits[0] == "0" else 0)
        width, smallest = min(width, len(digits)), min(smallest, n_bytes)
        if digits[0] == "0":
            filled.add(len(digits))
    if filled <= {width} and 2 * smallest < width < MAX_LINE:
        return True  # all as "%016x" writes them: one width, which some registers' bytes cannot fill
    if not (short and padded):
        return bool(short)
    msg = f"line {short}: a value shorter than its register, while line {padded} begins with a zero: is it whole?"
    raise RegisterFileError(msg)


def _from_bytes(digits: str, n_bytes: int, where: str) -> int | None:
    """The value whose bytes, highest first and each without its leading zero, give these digits; None if several do.

    Raises:
        RegisterFileError: none does.
    """
    if len(digits) == 2 * n_bytes:
        return int(digits, 16)
    if not n_bytes <= len(digits) < 2 * n_bytes:
        msg = f"{where}: {len(digits)} digits for {n_bytes} bytes"
        raise RegisterFileError(msg)

    n_pairs = len(digits) - n_bytes
    first, last = _pairs(digits, n_pairs), _pairs_from_the_right(digits, n_pairs)
    if len(first) < n_pairs:
        msg = f"{where}: 0x{cut(digits)} cannot be {n_bytes} bytes"
        raise RegisterFileError(msg)
    if first != last:
        return None
    pieces, at = [], 0
    while at < len(digits):
        width = 2 if at in first else 1
        pieces.append(int(digits[at : at + width], 16))
        at += width
    return int.from_bytes(bytes(pieces), "big")


def _pairs(digits: str, n_pairs: int) -> set[int]:
    """Where the two-digit bytes begin, each as early as it can be; one never begins with a zero."""
    found, at = set[int](), 0
    while at + 1 < len(digits) and len(found) < n_pairs:
        if digits[at] != "0":
            found.add(at)
            at += 1
        at += 1
    return found


def _pairs_from_the_right(digits: str, n_pairs: int) -> set[int]:
    """Where the two-digit bytes begin, each as late as it can be. Where `_pairs` agrees, there is no third way."""
    found, at = set[int](), len(digits) - 2
    while at >= 0 and len(found) < n_pairs:
        if digits[at] != "0":
            found.add(at)
            at -= 1
        at -= 1
    return found
