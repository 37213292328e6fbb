"""`encode`: registers and values of vCPUs as the bytes of every form that is known, or of arrays given by hand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import U8Array, escaped, whole, word_of
from fastsmc.errors import InputError
from fastsmc.facts.register_sets import RegisterSet, vm_global_mask
from fastsmc.migrate._checks import MAX_COUNT
from fastsmc.migrate.compat.named import listed
from fastsmc.migrate.formats import FORMATS, MAX_BYTES, RegisterState, encode_state, encoded_bytes
from fastsmc.migrate.payload import Codec
from fastsmc.migrate.payload import encode as encode_arrays
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.result import RegisterFile
from fastsmc.results.layout import text
from fastsmc.results.tables import Column, Table
from fastsmc.results.units import count

Vcpus = str | os.PathLike[str] | RegisterFile | RegisterSet
"""A file of registers, what `inspect` returned, a release such as "6.18+pmu", or a register set."""


_BY_VALUES = ("delta against vCPU 0", "cloud-hypervisor-like")
"""Forms whose length depends on the values."""
_ZEROS = f"a release tells no values: with zeros {' and '.join(_BY_VALUES)} are shorter than with real ones"


@dataclass(frozen=True, slots=True)
class Form:
    """A form of the registers.

    Attributes:
        name: of `migrate.formats.FORMATS`.
        n_reg: registers of a vCPU that it carries; 0 where it refuses them.
        n_byte: its length; 0 where it refuses them.
        packed_bytes: with zstd; None where nobody asked or it refuses them.
        refused: why; "" where it takes them.
    """

    name: str
    n_reg: int
    n_byte: int
    packed_bytes: int | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Encoded:
    """The registers of a VM's vCPUs in every form.

    Attributes:
        subject: whose registers they are, in words.
        n_vcpu: vCPUs.
        n_reg: registers of each.
        forms: in the order of `FORMATS`.
        notes: what a reader of the sizes should know.
        states: the registers as a form takes them: all, or those of QEMU's arrays.
        has_values: they are real; without any they are zeros.
    """

    subject: str
    n_vcpu: int
    n_reg: int
    forms: tuple[Form, ...]
    notes: tuple[str, ...]
    states: tuple[RegisterState, ...]
    has_values: bool = True

    @property
    def answer(self) -> str:
        """One sentence: the smallest and the largest form."""
        taken = [form for form in self.forms if form.n_byte and (self.has_values or form.name not in _BY_VALUES)]
        if not taken:
            return f"{self.subject}: no form takes these registers"
        least, most = min(taken, key=lambda form: form.n_byte), max(taken, key=lambda form: form.n_byte)
        return (
            f"{self.subject}: {self.n_reg} registers on {self.n_vcpu} vCPUs take {count(least.n_byte)} B "
            f"({least.name}) to {count(most.n_byte)} B ({most.name})"
        )

    def bytes_of(self, form: str, *, zstd_level: int | None = None) -> U8Array:
        """The bytes of a form, packed with zstd if a level is given.

        Raises:
            InputError: no such form, registers that it refuses, or no zstandard installed.
        """
        word_of("form", form, FORMATS)
        found = next(one for one in self.forms if one.name == form)
        if found.refused:
            msg = f"{form} does not take these registers: {found.refused}"
            raise InputError(msg)
        state = next(one for one in self.states if one.ids.size == found.n_reg)
        return encode_state(state, form, zstd_level=zstd_level)

    @property
    def table(self) -> Table:
        """A row per form."""
        taken = [form.n_byte > 0 for form in self.forms]
        columns = {
            "form": Column.of([form.name for form in self.forms]),
            "registers": Column.of([form.n_reg for form in self.forms], "modelled", "of a vCPU that it carries"),
            "bytes": _known([form.n_byte if form.n_byte else None for form in self.forms]),
            "bytes_per_vcpu": _known(
                [form.n_byte / self.n_vcpu if ok else None for form, ok in zip(self.forms, taken, strict=True)]
            ),
        }
        if any(form.packed_bytes is not None for form in self.forms):
            columns["packed_bytes"] = _known([form.packed_bytes for form in self.forms])
        columns["refused"] = Column.of([form.refused for form in self.forms])
        return Table("A row per form of the same registers.", columns)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "subject": self.subject,
            "answer": self.answer,
            "vcpus": self.n_vcpu,
            "registers": self.n_reg,
            "forms": [
                {
                    "form": form.name,
                    "registers": form.n_reg,
                    "bytes": form.n_byte or None,
                    "packed_bytes": form.packed_bytes,
                    "refused": form.refused or None,
                }
                for form in self.forms
            ],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return "\n".join([escaped(self.answer), "", text(self.table), *(f"note: {escaped(one)}" for one in self.notes)])

    def __repr__(self) -> str:
        return f"<Encoded {escaped(self.answer)[:150]}>"


def _known(values: list[Any]) -> Column:
    return Column.of(values, "modelled", unknown=True)


@overload
def encode(
    ids: ArrayLike,
    values: ArrayLike,
    codec: Codec | str,
    *,
    is_global: ArrayLike | None = ...,
    out: U8Array | None = ...,
) -> U8Array: ...
@overload
def encode(
    ids: Vcpus, *, n_vcpu: int | None = ..., features: str | None = ..., zstd_level: int | None = ...
) -> Encoded: ...
def encode(
    ids: Any,
    values: ArrayLike | None = None,
    codec: Codec | str | None = None,
    *,
    is_global: ArrayLike | None = None,
    out: U8Array | None = None,
    n_vcpu: int | None = None,
    features: str | None = None,
    zstd_level: int | None = None,
) -> U8Array | Encoded:
    """The registers of vCPUs as bytes: arrays in one codec, or a file's or a release's registers in every form.

    With ids, values and a codec it is `fastsmc.migrate.payload.encode`. With anything else it tells the size of every
    form and has the bytes of each: `encode("vm.bin").bytes_of("qemu cpu section")`.

    Args:
        ids: uint64[n_reg], ascending; or a file of registers, what `inspect` returned, a release such as "6.18+pmu", or
            a register set. A path is taken for a file where there is one.
        values: uint64[n_vcpu, n_reg]; those of 32-bit registers below 2**32.
        codec: how arrays are written.
        is_global: bool[n_reg], needed by the codecs that send VM-global registers once.
        out: uint8[payload_bytes] to write into and return.
        n_vcpu: vCPUs, each with the values of the file's first; all of the file's if not given, or 1 of a release.
        features: of a release, or of a recorded list, joined by +.
        zstd_level: tell packed sizes too; needs zstandard.

    Raises:
        InputError: wrong shapes, ids or values; a file without values, or whose vCPUs list different registers; a
            release or features that are not known.
        RegisterFileError: a file that cannot be read.

    >>> encode("6.12").table["bytes"][:2].tolist()
    [1472.0, 2944.0]
    """
    if codec is not None or values is not None:
        return encode_arrays(ids, values, codec, is_global=is_global, out=out)  # type: ignore[arg-type]
    subject, state, notes = _state(ids, n_vcpu, features)
    states = tuple({one.ids.size: one for one in (state, _arrays_of(state))}.values())
    forms = tuple(_form(name, states, zstd_level) for name in FORMATS)
    if len(states) > 1 and any(form.n_reg == states[1].ids.size for form in forms):
        notes.append("core and SVE registers are not in the arrays: QEMU and Cloud Hypervisor have them elsewhere")
    has_values = not any(note == _ZEROS for note in notes)
    return Encoded(subject, state.n_vcpu, int(state.ids.size), forms, tuple(notes), states, has_values)


def _form(name: str, states: tuple[RegisterState, ...], zstd_level: int | None) -> Form:
    """A form of all registers, or else of those in QEMU's arrays."""
    refused = ""
    for state in states:
        try:
            size = encoded_bytes(state, name)
            if size > MAX_BYTES:
                return Form(name, int(state.ids.size), size)
            found = encode_state(state, name)
        except InputError as error:
            refused = refused or str(error)
            continue
        packed = None if zstd_level is None else int(encode_state(state, name, zstd_level=zstd_level).size)
        return Form(name, int(state.ids.size), int(found.size), packed)
    return Form(name, 0, 0, None, refused)


def _state(of: Any, n_vcpu: int | None, features: str | None) -> tuple[str, RegisterState, list[str]]:
    """Whose registers they are, the registers, and what is to be noted."""
    if isinstance(of, str) and of != "-" and os.sep not in of and not Path(of).exists():
        try:
            of = listed(of, features)
        except InputError as error:
            msg = f"{error}; nor is there a file of that name"
            raise InputError(msg) from None
    if isinstance(of, RegisterSet):
        n = whole("n_vcpu", 1 if n_vcpu is None else n_vcpu, first=1, last=MAX_COUNT)
        ids = of.cpreg_ids
        zeros = RegisterState.of(ids, np.zeros((n, ids.size), np.uint64), is_global=vm_global_mask(ids))
        return of.name, zeros, [_ZEROS, "these are the registers of QEMU's arrays; core and SVE registers come on top"]
    file = of if isinstance(of, RegisterFile) else inspect(of, features=features)
    if not isinstance(file, RegisterFile):
        msg = f"{file.path}: {file.no_host.partition(',')[0]}; encode needs the registers of a vCPU"
        raise InputError(msg)
    if len(file.banks) > 1:
        msg = f"{file.provenance.path}: its vCPUs list different registers, and a form has those of all alike"
        raise InputError(msg)
    state = RegisterState.of_bank(*file.banks, *([file.core] if file.core is not None else []))
    notes = []
    if n_vcpu is not None:
        n = whole("n_vcpu", n_vcpu, first=1, last=MAX_COUNT)
        rows = np.zeros(n, np.int64)
        wide = {reg: values[rows] for reg, values in state.wide.items()}
        state = RegisterState.of(state.ids, state.values[rows], wide=wide)
        notes.append(f"each of the {n} vCPUs has the values of the file's first")
    scoped = RegisterState.of(state.ids, state.values, wide=state.wide, is_global=vm_global_mask(state.ids))
    return file.provenance.path, scoped, notes


def _arrays_of(state: RegisterState) -> RegisterState:
    """The registers of QEMU's cpreg arrays: neither core nor SVE."""
    kept = np.isin(state.ids, RegisterSet("", "", "", (), state.ids).cpreg_ids)
    wide = {reg: rows for reg, rows in state.wide.items() if reg in set(state.ids[kept].tolist())}
    scope = None if state.is_global is None else state.is_global[kept]
    return RegisterState.of(state.ids[kept], state.values[:, kept], wide=wide, is_global=scope)
