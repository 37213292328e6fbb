"""Tables folded once more, into what a dispatch kernel reads: rows by class, shared by equal policies.

A **class** is a set of known ids of one service that every row of this fleet treats alike; ids without a name make up
two more classes, as the PSCI allow rule passes them or not. A **row** says what becomes of each class. Policies with
equal rows share one, so a fleet of 700 policies may have 200 rows. A row is kept as bytes, packed in fields, and
where it can be as bits (bit_rows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.bitmaps import (
    KEY_OF_BUCKET,
    MULTIPLIER,
    N_BUCKET,
    N_PLANE,
    SLOT_ID,
    SLOT_OF_BUCKET,
    SLOT_SERVICE,
    Steps,
    Tables,
)
from fastsmc.facts.smccc import FilterAction, Service, Verdict
from fastsmc.fleet.bit_rows import BitRows, build_bit_rows
from fastsmc.jit.cache_lines import on_lines
from fastsmc.jit.types import Index
from fastsmc.kernels import (
    CLASS_AT,
    CODE_AT,
    CODES_AT,
    HIT_AT,
    IS_EMPTY,
    KEY_AT,
    KEY_TOP,
    LOOKUP_BYTES,
    PLANE_AT,
    ROW_BYTES,
    ROWS_AT,
    SEARCH,
    UNKNOWN_AT,
    UNKNOWN_CODE_AT,
    WORD_AT,
)

N_CLASS = 64
"""Bytes in a row: room for a class per known id and two for the others."""
FIELDS_PER_BYTE = 2
DIRECT = 4096
"""Fleets of up to so many vCPUs have an offset of four bytes each, which fit L1 beside the rest."""
IN_CACHE = 1 << 18
"""Bytes of packed rows that are repeated per vCPU, so that one load finds a verdict; they then stay in L2."""
N_STEP = 16
"""Steps, or children, of a node of a filter tree: 15 keys and a word about them are 64 bytes, a cache line."""

_CODE_OF_SLOT = np.append(SLOT_SERVICE, np.full(2, Service.UNKNOWN, np.uint8)) << np.uint8(3)
"""uint8[n_slot + 2]: service * 8, to which a verdict is added for a call's code."""
_LAST_ID = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class FilterTrees:
    """The step functions of all filters as search trees of one depth.

    The keys of a node are the last ids of its steps (of its children, above the leaves), ascending, without the very
    last one; 0xffffffff fills up the rest. The number of keys below an id is the step that the id belongs to. A filler
    is never counted, because no id is above it. The word after the keys is the first child of a node above the leaves;
    in a leaf it is the FilterAction of each step, 2 bits each, from the lowest up.

    Attributes:
        depth: levels, at least 1.
        node: uint32[n_node, N_STEP], from the start of a cache line on; the roots of all filters, then their children,
            level by level, so that the upper levels lie close together and stay in cache.
    """

    depth: int
    node: NDArray[np.uint32]


@dataclass(frozen=True)
class Rows:
    """What the dispatch kernels index; a row number is `plane * n_row + row`.

    Attributes:
        n_vcpu: how many there are.
        magic, magic_shift: `vcpu * magic >> magic_shift` is a vCPU's group. Groups are of one size, the largest at
            which a group has one row: in a fleet of equal VMs a VM or more, so columns by group stay in cache.
        row_of_group: the narrowest unsigned[n_group] that holds a row number of plane 0.
        run_of_group: uint32[n_group], counts changes of row from group 0 on: equal at both ends of a span of groups
            where one row serves them all.
        lookup: uint8[kernels.LOOKUP_BYTES], what the id alone decides, placed as kernels.KEY_AT and so on tell: the key
            of each bucket as words; the three low bytes of its product with half the multiplier as planes; the class of
            each bucket with flags (kernels.KEY_TOP, IS_EMPTY), and without; service * 8 of each class; the classes of
            unknown ids that the PSCI allow rule refuses and passes; the planes and classes with flags once more as
            words, the flags lowest.
        verdict: uint8[N_PLANE * n_row, N_CLASS], Verdict, plus SEARCH where ranges may overrule it.
        packed: uint8[N_PLANE * n_row, n_byte], the same in fields of 4 bits, low half first; n_byte is a power of two.
        bit_rows: the rows of plane 0 once more, as bits.
        search_of_row: uint64[N_PLANE * n_row], what an id without a name needs: from bit 8 up the root of its tree;
            the row's verdicts where the PSCI allow rule passes it, bits 4 to 7, and where not, bits 0 to 3.
    """

    n_vcpu: int
    magic: int
    magic_shift: int
    row_of_group: Index
    run_of_group: NDArray[np.uint32]
    lookup: NDArray[np.uint8]
    verdict: NDArray[np.uint8]
    packed: NDArray[np.uint8]
    bit_rows: BitRows
    search_of_row: NDArray[np.uint64]
    trees: FilterTrees

    @property
    def n_row(self) -> int:
        return len(self.verdict) // N_PLANE

    @cached_property
    def has_ranges(self) -> bool:
        """Whether a range may overrule the verdict of any row."""
        return bool(np.any(self.verdict & SEARCH))

    @cached_property
    def portable(self) -> tuple[Any, ...]:
        """What `kernels.decide` takes between conduit and vm_of_vcpu, and `one_row.decide_blocks` after func_id."""
        return (*self._places, np.uint32(MULTIPLIER), self.table, *self._search)

    @cached_property
    def table(self) -> NDArray[np.uint8]:
        """uint8[]: what one look-up a call needs, placed as kernels.CODES_AT and so on tell: rows as in `verdict`, by
        bucket instead of class. A row has only verdicts of known ids, so none has SEARCH."""
        classes = self.lookup[CLASS_AT:CODE_AT]
        codes = np.zeros(ROWS_AT - CODES_AT, np.uint8)
        code_of_class = self.lookup[CODE_AT:UNKNOWN_AT]
        codes[:N_BUCKET] = code_of_class[classes]
        codes[UNKNOWN_CODE_AT - CODES_AT] = code_of_class[self.lookup[UNKNOWN_AT]]
        return on_lines(np.concatenate([self.lookup[KEY_AT:PLANE_AT], codes, self.verdict[:, classes].reshape(-1)]))

    @cached_property
    def _places(self) -> tuple[Any, ...]:
        """The groups of `table`. In a small fleet a vCPU is one, and its offset is found without a product."""
        n_vcpu, magic, shift = self._groups
        row = self.row_of_group
        if n_vcpu <= DIRECT:
            row = row[np.arange(n_vcpu, dtype=np.uint64) * magic >> shift]
            magic, shift = (np.uint64(number) for number in _division(1))
        offset = (ROWS_AT + ROW_BYTES * row.astype(np.int64)).astype(np.uint32)
        return n_vcpu, magic, shift, offset, np.uint64(ROW_BYTES * self.n_row)

    @cached_property
    def wide(self) -> tuple[Any, ...]:
        """What the `decide` for wide registers takes between conduit and vm_of_vcpu."""
        return (*self._groups, self.row_of_group, self.run_of_group, *self._tables, *self._folded, *self._search)

    @cached_property
    def wide_blocks(self) -> tuple[Any, ...]:
        """What the `decide_blocks` for wide registers takes between func_id and its scratch."""
        return (*self._groups[1:], self.row_of_group, *self._tables[1:], *self._folded)

    @cached_property
    def narrow(self) -> tuple[Any, ...]:
        """What the `decide` for narrow registers takes between conduit and vm_of_vcpu."""
        tables = (self.row_of_group, self.run_of_group, self.lookup, self.verdict)
        return (*self.portable, *self._groups[1:], *tables, self._by_vcpu, self._folded[1])

    @cached_property
    def narrow_blocks(self) -> tuple[Any, ...]:
        """What the `decide_blocks` for narrow registers takes between func_id and its scratch."""
        return (*self.portable, *self._groups[1:], self.row_of_group, self.lookup, self.verdict)

    @property
    def _by_vcpu(self) -> NDArray[np.uint8]:
        """The packed row of each vCPU, one after another; none where they would not stay in cache.

        The last is followed by room for any class, as that of an unknown id may be.
        """
        if self.n_vcpu * self.packed.shape[1] > IN_CACHE:
            return np.zeros(0, np.uint8)
        group = np.arange(self.n_vcpu, dtype=np.uint64) * np.uint64(self.magic) >> np.uint64(self.magic_shift)
        rows = self.packed[self.row_of_group[group]].reshape(-1)
        return on_lines(np.concatenate([rows, np.zeros(N_CLASS // FIELDS_PER_BYTE, np.uint8)]))

    @property
    def _groups(self) -> tuple[Any, ...]:
        return self.n_vcpu, np.uint64(self.magic), np.uint64(self.magic_shift)

    @property
    def _tables(self) -> tuple[Any, ...]:
        return np.uint32(self.n_row), np.uint32(MULTIPLIER), self.lookup, self.verdict

    @property
    def _folded(self) -> tuple[Any, ...]:
        byte_bits = np.uint32(self.packed.shape[1].bit_length() - 1)
        return self.packed, byte_bits, self.bit_rows.row_of_group, self.bit_rows.table

    @property
    def _search(self) -> tuple[Any, ...]:
        return self.search_of_row, self.trees.depth if self.has_ranges else 0, self.trees.node


def narrowest(last: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The narrowest unsigned dtype that holds `last`."""
    return np.min_scalar_type(last)


def build_rows(tables: Tables, policy_of_vcpu: NDArray[np.uint32], filters: Sequence[Steps]) -> Rows:
    """Fold tables into rows.

    Args:
        filters: step functions (`Filter.steps`) of what `tables.filter_of_policy` indexes.

    Cost: one sort of n_policy rows of 193 bytes, one of 64 columns; O(n_step) for the trees.
    """
    ranged = np.array([bool(np.any(action != FilterAction.HANDLE)) for _, action in filters])
    before_filter = np.isin(tables.unknown, [Verdict.SMC_REFUSED, Verdict.TO_VEL2])
    is_searched = ranged[tables.filter_of_policy][:, None, None] & ~before_filter
    unknown = tables.unknown | np.where(is_searched, SEARCH, 0).astype(np.uint8)
    columns = np.concatenate([tables.action, unknown], axis=2)
    filter_of_policy = np.where(is_searched.any(axis=(1, 2)), tables.filter_of_policy, 0)
    content = np.concatenate([columns.reshape(len(columns), -1), filter_of_policy[:, None].view(np.uint8)], axis=1)
    _, first, row_of_policy = np.unique(content, axis=0, return_index=True, return_inverse=True)
    by_slot = columns[first].transpose(1, 0, 2).reshape(N_PLANE * first.size, -1)
    by_slot = np.concatenate([_CODE_OF_SLOT[None], by_slot])
    by_class, class_of = np.unique(by_slot, axis=1, return_inverse=True)
    class_of_slot = class_of.reshape(-1).astype(np.uint8)
    code_of_class, by_class = by_class[0], by_class[1:]
    verdict = np.zeros((len(by_class), N_CLASS), np.uint8)
    verdict[:, : by_class.shape[1]] = by_class
    packed = _packed(by_class)
    row_of_vcpu = row_of_policy.reshape(-1).astype(narrowest(first.size - 1))[policy_of_vcpu]
    # Where a range may decide, every id without a name is searched for: its class need not tell.
    left_out = class_of_slot[SLOT_ID.size :][: 2 * np.any(by_class & SEARCH)]
    trees = _trees(filters)
    size = _group_size(row_of_vcpu)
    row_of_group = np.ascontiguousarray(row_of_vcpu[::size])
    return Rows(
        row_of_vcpu.size,
        *_division(size),
        row_of_group,
        np.concatenate([[0], np.cumsum(row_of_group[1:] != row_of_group[:-1])]).astype(np.uint32),
        _lookup(class_of_slot, code_of_class),
        on_lines(verdict),
        packed,
        build_bit_rows(by_class[: first.size], left_out, row_of_group, row_of_vcpu),
        np.tile(filter_of_policy[first].astype(np.uint64) << np.uint64(8), N_PLANE)
        | verdict[:, class_of_slot[SLOT_ID.size + 1]] << np.uint64(4)
        | verdict[:, class_of_slot[SLOT_ID.size]],
        trees,
    )


def _group_size(row_of_vcpu: Index) -> int:
    """The largest n such that vCPUs 0..n-1, n..2n-1 and so on have one row each time."""
    changes = np.flatnonzero(row_of_vcpu[1:] != row_of_vcpu[:-1]) + 1
    size = int(np.gcd.reduce(changes)) if changes.size else row_of_vcpu.size
    return size if row_of_vcpu.size <= 1 << 31 else 1  # _division is exact below


def _division(divisor: int) -> tuple[int, int]:
    """(magic, shift): `n * magic >> shift` is `n // divisor` for every n below 2**31, without leaving 64 bits.

    Source: Granlund and Montgomery, Division by invariant integers using multiplication, theorem 4.2.
    """
    if divisor == 1:
        return 1 << 31, 31
    shift = 31 + (divisor - 1).bit_length()
    return -(-(1 << shift) // divisor), shift


def _lookup(class_of_slot: NDArray[np.uint8], code_of_class: NDArray[np.uint8]) -> NDArray[np.uint8]:
    lookup = np.zeros(LOOKUP_BYTES, np.uint8)
    lookup[KEY_AT:PLANE_AT] = KEY_OF_BUCKET.view(np.uint8)
    product = (KEY_OF_BUCKET * np.uint32(MULTIPLIER >> 1)).view(np.uint8).reshape(N_BUCKET, 4).T
    class_of_bucket = class_of_slot[SLOT_OF_BUCKET]
    is_empty = product[3] & np.uint8(N_BUCKET - 1) != np.arange(N_BUCKET)
    lookup[PLANE_AT:HIT_AT] = product[:3].reshape(-1)
    lookup[HIT_AT:CLASS_AT] = class_of_bucket | product[3] & np.uint8(KEY_TOP) | is_empty * np.uint8(IS_EMPTY)
    lookup[CLASS_AT:CODE_AT] = class_of_bucket
    lookup[CODE_AT:][: code_of_class.size] = code_of_class
    lookup[UNKNOWN_AT : UNKNOWN_AT + 2] = class_of_slot[SLOT_ID.size :]
    entries = np.stack([lookup[HIT_AT:CLASS_AT], *lookup[PLANE_AT:HIT_AT].reshape(3, N_BUCKET)], axis=1)
    lookup[WORD_AT:LOOKUP_BYTES] = entries.reshape(-1)
    return on_lines(lookup)


def _packed(by_class: NDArray[np.uint8]) -> NDArray[np.uint8]:
    n_byte = 4
    while n_byte * FIELDS_PER_BYTE < by_class.shape[1]:
        n_byte *= 2
    fields = np.zeros((len(by_class), n_byte * FIELDS_PER_BYTE), np.uint8)
    fields[:, : by_class.shape[1]] = by_class
    return _readable_past(fields[:, ::2] | fields[:, 1::2] << np.uint8(4))


def _readable_past(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same rows with memory after the last one: the wide kernel loads words from any byte."""
    memory = np.zeros(rows.size + 4, np.uint8)
    memory[: rows.size] = rows.reshape(-1)
    return memory[: rows.size].reshape(rows.shape)


def _trees(filters: Sequence[Steps]) -> FilterTrees:
    depth, reach = 1, N_STEP
    while reach < max(start.size for start, _ in filters):
        depth, reach = depth + 1, reach * N_STEP
    levels: list[list[NDArray[np.uint32]]] = [[] for _ in range(depth)]
    for start, _ in filters:
        last = np.append(start[1:] - np.uint32(1), np.uint32(_LAST_ID))
        for level in reversed(levels):
            level.append(_by_node(last, _LAST_ID))
            last = level[-1][:, -1]
    node = on_lines(np.concatenate([nodes for level in levels for nodes in level]))
    size = np.array([[len(nodes) for nodes in level] for level in levels])
    first = (np.cumsum(size) - size.reshape(-1)).reshape(size.shape)  # of each filter in each level
    for own, n, child in zip(first, size, first[1:], strict=False):
        place = np.arange(own[0], own[-1] + n[-1])
        node[place, -1] = np.repeat(child, n) + N_STEP * (place - np.repeat(own, n))
    actions = np.concatenate([_by_node(action, FilterAction.HANDLE) for _, action in filters])
    node[first[-1, 0] :, -1] = np.bitwise_or.reduce(actions << np.arange(0, 2 * N_STEP, 2, dtype=np.uint32), axis=1)
    return FilterTrees(depth, node)


def _by_node(values: NDArray[Any], filler: int) -> NDArray[np.uint32]:
    """Values filled up to whole nodes: uint32[n_node, N_STEP]."""
    nodes = np.full((-(-values.size // N_STEP), N_STEP), filler, np.uint32)
    nodes.reshape(-1)[: values.size] = values
    return nodes
