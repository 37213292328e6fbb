"""The loops of the kernels that are analysed and timed, each with arguments that it runs on.

To have one more, add it to `LOOPS`: the kernel, its arguments, and how many bytes it stores of each call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.inputs import KNOWN, fleet_of_policies
from fastsmc import kernels
from fastsmc.bitmaps import MULTIPLIER
from fastsmc.dispatcher.kernels import narrow, one_row, passes, wide
from fastsmc.dispatcher.kernels.passes import CHUNK, STEP, Chunk
from fastsmc.dispatcher.kernels.search import Searches
from fastsmc.dispatcher.kernels.steps import mixed_step
from fastsmc.jit import level
from fastsmc.jit.cache_lines import empty_on_lines, on_lines
from fastsmc.jit.compiled import inner_kernel
from fastsmc.jit.types import U8, U32, u64
from fastsmc.kernels import CLASS_AT, CODE_AT, Division, Groups

Arguments = tuple[Any, ...]


@inner_kernel
def any_rows(classes: U8, packed: U8, byte_bits: np.uint32, row: U32, out: U8) -> None:
    """The loop of `wide.verdicts_of` over calls of any rows, which the kernel has inline."""
    for step in range(0, out.size, STEP):
        mixed_step(classes, u64(min(step, out.size - STEP)), packed, byte_bits, row, out)


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop of a kernel.

    Attributes:
        what: what it does, in words. takes: the names of its arguments among `inputs()`.
        at_once: calls that the kernel takes at once.
        stored: bytes that a call stores, by which the calls of a turn are counted, as LLVM unrolls some loops.
        more_wide: how many more it stores by wide registers, which list without a branch.
        is_wide: whether only the back end for wide registers has it.
    """

    name: str
    what: str
    kernel: Callable[..., Any]
    takes: tuple[str, ...]
    at_once: int = STEP
    stored: int = 1
    more_wide: int = 0
    is_wide: bool = False

    def stored_by(self, back_end: str) -> int:
        return self.stored + (self.more_wide if back_end == level.WIDE else 0)

    def arguments(self, given: dict[str, Any], n_call: int = CHUNK) -> Arguments:
        """Its arguments, for the first `n_call` calls of the chunk."""
        return tuple(_first(given[name], n_call) for name in self.takes)


def _first(argument: Any, n_call: int) -> Any:
    """Of an array by call so many elements, also in named tuples; anything else as it is."""
    if isinstance(argument, tuple):
        return type(argument)(*(_first(one, n_call) for one in argument))
    return argument[:n_call] if isinstance(argument, np.ndarray) and argument.shape == (CHUNK,) else argument


LOOPS = (
    Loop("classes", "ids -> classes", passes.classes_of, ("func_id", "multiplier", "lookup", "lookup", "no", "out")),
    Loop(
        "classes, listing",
        "ids -> classes, unknown ids listed",
        passes.classes_and_unknown,
        ("func_id", "multiplier", "lookup", "lookup", "out", "listed"),
        more_wide=2,
    ),
    Loop(
        "one row",
        "classes -> verdicts, one row",
        passes.by_runs,
        ("same_vcpu", "yes", "groups", "run_of_group", "classes", "verdict", "out"),
    ),
    Loop("codes", "classes, verdicts -> codes", passes.codes_of, ("classes", "lookup", "some_verdicts", "out")),
    Loop(
        "any rows by loads",
        "classes, vCPUs -> verdicts, any rows, up to 256 kB of them",
        narrow.by_loads,
        ("decided", "by_row", "last_vcpu", "room"),
        stored=5,  # a verdict and a place of four bytes
    ),
    Loop(
        "few vCPUs",
        "classes, vCPUs -> verdicts, up to 1024 vCPUs, few rows",
        wide.by_small_bits,
        ("vcpu16", "classes", "bits", "no", "out"),
        is_wide=True,
    ),
    Loop(
        "many vCPUs",
        "classes, vCPUs -> verdicts, any number of vCPUs, few rows",
        wide.by_bits,
        ("func_id", "vcpu32", "bit_groups", "classes", "bits", "bit_row", "group", "out"),
        stored=6,  # a verdict, a row and a group of four bytes
        is_wide=True,
    ),
    Loop(
        "any rows",
        "classes, rows -> verdicts",
        any_rows,
        ("classes", "packed", "byte_bits", "row", "out"),
        is_wide=True,
    ),
    Loop(
        "scalar",
        "ids, vCPUs -> verdicts, all in one, on any CPU",
        kernels._by_vcpu,
        ("func_id", "vcpu16", "places", "multiplier", "table", "listed", "out"),
        at_once=1,
    ),
    Loop(
        "scalar, one row",
        "ids -> verdicts, on any CPU",
        one_row._by_row,
        ("func_id", "place", "multiplier", "table", "listed", "out"),
        at_once=1,
    ),
)


def chosen(names: str, back_end: str) -> tuple[Loop, ...]:
    """The loops that a back end has, of those with these names, parted by semicolons; of no name, all.

    >>> [loop.name for loop in chosen("codes;few vCPUs", "neon")]
    ['codes']
    """
    wanted = set(filter(None, names.split(";")))
    if unknown := wanted - {loop.name for loop in LOOPS}:
        msg = f"no loop is called {'; '.join(sorted(unknown))}: there are {'; '.join(loop.name for loop in LOOPS)}"
        raise SystemExit(msg)
    has = [loop for loop in LOOPS if back_end == level.WIDE or not loop.is_wide]
    return tuple(loop for loop in has if not wanted or loop.name in wanted)


def inputs() -> dict[str, Any]:
    """Arguments by name: one chunk of calls by VMs in random order, of known ids, and the tables of their fleet.

    The tables of `bits` are of 16 policies, the others of all that 1024 VMs drew.
    """
    rng = np.random.default_rng(18)
    rows, few = fleet_of_policies(1024).rows(), fleet_of_policies(1024, n_policy=16).rows()
    vcpu = rng.integers(rows.n_vcpu, size=CHUNK)
    by = Division(np.uint64(rows.magic), np.uint64(rows.magic_shift))
    few_by = Division(np.uint64(few.magic), np.uint64(few.magic_shift))
    n_vcpu, magic, shift, offset, plane_bytes, *_ = rows.portable
    places = kernels.Places(n_vcpu, Division(magic, shift), offset, plane_bytes)
    func_id, vcpu16 = on_lines(rng.choice(KNOWN, CHUNK)), on_lines(vcpu.astype(np.uint16))
    n_known = int(rows.lookup[CLASS_AT:CODE_AT].max()) + 1
    groups, classes = Groups(by, rows.row_of_group), on_lines(rng.integers(n_known, size=CHUNK, dtype=np.uint8))
    words, some, none = empty_on_lines(CHUNK, np.uint32), empty_on_lines(CHUNK, np.uint8), np.zeros(0, np.uint8)
    searches = Searches(none.view(np.uint16), words, words, some)
    return {
        "func_id": func_id,
        "vcpu16": vcpu16,
        "places": places,
        "table": rows.table,
        "place": np.uint64(places.offset[18]),
        "same_vcpu": on_lines(np.full(CHUNK, 18, np.uint16)),
        "vcpu32": on_lines(vcpu.astype(np.uint32)),
        "classes": classes,
        "decided": Chunk(func_id, vcpu16, none, empty_on_lines(CHUNK, np.uint8), 0),
        "by_row": narrow.ByRow(groups, rows.run_of_group, rows.lookup, rows.verdict, *rows.narrow[-2:]),
        "last_vcpu": np.uint32(rows.n_vcpu - 1),
        "room": narrow.Room(classes, some, some, some, words, vcpu16, searches),
        "row": on_lines(rows.row_of_group[vcpu * rows.magic >> rows.magic_shift].astype(np.uint32)),
        "some_verdicts": on_lines(rng.integers(6, size=CHUNK, dtype=np.uint8)),
        "multiplier": np.uint32(MULTIPLIER),
        "lookup": rows.lookup,
        "verdict": rows.verdict,
        "packed": rows.packed,
        "byte_bits": np.uint32(rows.packed.shape[1].bit_length() - 1),
        "groups": groups,
        "run_of_group": rows.run_of_group,
        "bit_groups": Groups(few_by, few.bit_rows.row_of_group),
        "bits": few.bit_rows.table,
        "yes": True,
        "no": False,
        "out": empty_on_lines(CHUNK, np.uint8),
        "bit_row": empty_on_lines(CHUNK, np.uint8),
        "group": empty_on_lines(STEP, np.uint32),
        "listed": empty_on_lines(CHUNK + STEP, np.uint16),
    }
