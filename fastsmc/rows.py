"""Tables folded once more, into what a dispatch kernel reads: rows by class, shared by equal policies.

A **class** is a set of known ids of one service that every row of this fleet treats alike; ids without a name make up
two more classes, as the PSCI allow rule passes them or not. A **row** says what becomes of each class. Policies with
equal rows share one, so a fleet of 700 policies may have 200 rows. A row is kept twice: as bytes, and packed in fields.
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
from fastsmc.kernels import (
    CLASS_AT,
    CODE_AT,
    FEW_BYTES,
    FEW_ROW_BYTES,
    FEW_VCPUS,
    KEY_AT,
    LOOKUP_BYTES,
    PLANE_AT,
    UNKNOWN_AT,
)
from fastsmc.smccc import FilterAction, Service, Verdict

N_CLASS = 64
"""Bytes in a row: room for a class per known id and two for the others."""
SEARCH = 8
"""Added to a row's verdict where ranges may overrule it. Verdicts end at 6, so a field of 4 bits holds both."""
FIELDS_PER_BYTE = 2
N_KEY = 16
"""Keys in a node of a filter tree: 64 bytes, which one comparison of a wide register covers."""
DIRECT_BYTES = 1 << 18
"""Packed rows are repeated per vCPU up to this size: one dependent load less per call while they stay in L2."""

_CODE_OF_SLOT = np.append(SLOT_SERVICE, np.full(2, Service.UNKNOWN, np.uint8)) << np.uint8(3)
"""uint8[n_slot + 2]: service * 8, to which a verdict is added for a call's code."""
_LAST_ID = np.uint32(0xFFFF_FFFF)
_KEEP = 0x70
_VERDICT_OF_ACTION = np.array([_KEEP, Verdict.DENIED, Verdict.FORWARDED], np.uint8)
"""What a range decides, by FilterAction: high half, the bits of the row's own verdict that stand; low half, others."""

Index = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True)
class FilterTrees:
    """The step functions of all filters as search trees of one depth.

    A node holds the last ids of its steps (or, above the leaves, of its children), ascending, filled up with
    0xffffffff. The number of keys below an id is the step it belongs to: never a filler, for nothing is above it.

    Attributes:
        root: uint32[n_filter], node. depth: levels, at least 1.
        key: uint32[n_node, N_KEY]. child: uint32[n_node], the first child of a node above the leaves.
        verdict: uint8[n_node, N_KEY], what the steps of a leaf decide: a verdict, or 0x70, which lets the row's stand.
    """

    root: NDArray[np.uint32]
    depth: int
    key: NDArray[np.uint32]
    child: NDArray[np.uint32]
    verdict: NDArray[np.uint8]


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
            of each bucket as words, and its product with the multiplier as planes of bytes; the class of each bucket;
            service * 8 of each class; the classes of unknown ids that the PSCI allow rule refuses and passes.
        verdict: uint8[N_PLANE * n_row, N_CLASS], Verdict, plus SEARCH where ranges may overrule it.
        packed: uint8[N_PLANE * n_row, n_byte], the same in fields of 4 bits, low half first; n_byte is a power of two.
        packed_of_vcpu: uint8[n_vcpu, n_byte], rows of plane 0 by vCPU; [0, n_byte] in a fleet too large for it.
        few: uint8[FEW_VCPUS + FEW_BYTES], the place of each vCPU's row in what follows, and the packed rows of plane 0;
            empty where vCPUs or rows are too many. A place is the row's first byte in its block of 128, plus the number
            of the block, for which rows of 4 bytes and more leave room.
        root_of_row: uint32[N_PLANE * n_row], node of trees.
    """

    n_vcpu: int
    magic: int
    magic_shift: int
    row_of_group: Index
    run_of_group: NDArray[np.uint32]
    lookup: NDArray[np.uint8]
    verdict: NDArray[np.uint8]
    packed: NDArray[np.uint8]
    packed_of_vcpu: NDArray[np.uint8]
    few: NDArray[np.uint8]
    root_of_row: NDArray[np.uint32]
    trees: FilterTrees

    @property
    def n_row(self) -> int:
        return len(self.verdict) // N_PLANE

    @cached_property
    def has_ranges(self) -> bool:
        """Whether a range may overrule the verdict of any row."""
        return bool(np.any(self.verdict & SEARCH))

    @cached_property
    def arguments(self) -> tuple[Any, ...]:
        """What `decide` of kernels and kernels_wide take between conduit and vm_of_vcpu."""
        return (
            self.n_vcpu,
            np.uint64(self.magic),
            np.uint64(self.magic_shift),
            self.row_of_group,
            self.run_of_group,
            np.uint32(self.n_row),
            np.uint32(MULTIPLIER),
            self.lookup,
            self.verdict,
            self.packed,
            self.packed_of_vcpu,
            self.few,
            np.uint32(self.packed.shape[1].bit_length() - 1),
            self.root_of_row,
            self.trees.depth if self.has_ranges else 0,
            self.trees.key,
            self.trees.child,
            self.trees.verdict,
        )


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
    is_searched = ranged[tables.filter_of_policy][:, None, None] & (tables.unknown != Verdict.SMC_REFUSED)
    unknown = tables.unknown | np.where(is_searched, SEARCH, 0).astype(np.uint8)
    columns = np.concatenate([tables.action, unknown], axis=2)
    filter_of_policy = np.where(is_searched.any(axis=(1, 2)), tables.filter_of_policy, 0)
    content = np.concatenate([columns.reshape(len(columns), -1), filter_of_policy[:, None].view(np.uint8)], axis=1)
    _, first, row_of_policy = np.unique(content, axis=0, return_index=True, return_inverse=True)
    by_slot = columns[first].transpose(1, 0, 2).reshape(N_PLANE * first.size, -1)
    by_slot = np.concatenate([_CODE_OF_SLOT[None], by_slot])
    by_class, class_of_slot = np.unique(by_slot, axis=1, return_inverse=True)
    code_of_class, by_class = by_class[0], by_class[1:]
    verdict = np.zeros((len(by_class), N_CLASS), np.uint8)
    verdict[:, : by_class.shape[1]] = by_class
    packed = _packed(by_class)
    row_of_vcpu = row_of_policy.reshape(-1).astype(narrowest(first.size - 1))[policy_of_vcpu]
    is_direct = row_of_vcpu.size * packed[0].nbytes <= DIRECT_BYTES
    trees = _trees(filters)
    size = _group_size(row_of_vcpu)
    row_of_group = np.ascontiguousarray(row_of_vcpu[::size])
    return Rows(
        row_of_vcpu.size,
        *_division(size),
        row_of_group,
        np.concatenate([[0], np.cumsum(row_of_group[1:] != row_of_group[:-1])]).astype(np.uint32),
        _lookup(class_of_slot.reshape(-1).astype(np.uint8), code_of_class),
        verdict,
        packed,
        _readable_past(packed[row_of_vcpu] if is_direct else packed[:0]),
        _few(row_of_vcpu, packed[: first.size]),
        np.tile(trees.root[filter_of_policy[first]], N_PLANE),
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
        return 1, 0
    shift = 31 + (divisor - 1).bit_length()
    return -(-(1 << shift) // divisor), shift


def _lookup(class_of_slot: NDArray[np.uint8], code_of_class: NDArray[np.uint8]) -> NDArray[np.uint8]:
    lookup = np.zeros(LOOKUP_BYTES, np.uint8)
    lookup[KEY_AT:PLANE_AT] = KEY_OF_BUCKET.view(np.uint8)
    product = KEY_OF_BUCKET * np.uint32(MULTIPLIER)
    lookup[PLANE_AT:CLASS_AT] = product.view(np.uint8).reshape(N_BUCKET, 4).T.reshape(-1)
    lookup[CLASS_AT:CODE_AT] = class_of_slot[SLOT_OF_BUCKET]
    lookup[CODE_AT:][: code_of_class.size] = code_of_class
    lookup[UNKNOWN_AT : UNKNOWN_AT + 2] = class_of_slot[SLOT_ID.size :]
    return lookup


def _packed(by_class: NDArray[np.uint8]) -> NDArray[np.uint8]:
    n_byte = 4
    while n_byte * FIELDS_PER_BYTE < by_class.shape[1]:
        n_byte *= 2
    fields = np.zeros((len(by_class), n_byte * FIELDS_PER_BYTE), np.uint8)
    fields[:, : by_class.shape[1]] = by_class
    return _readable_past(fields[:, ::2] | fields[:, 1::2] << np.uint8(4))


def _readable_past(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same rows with memory after the last one: the wide kernel loads words from any byte, or FEW_ROW_BYTES."""
    memory = np.zeros(rows.size + FEW_ROW_BYTES, np.uint8)
    memory[: rows.size] = rows.reshape(-1)
    return memory[: rows.size].reshape(rows.shape)


def _few(row_of_vcpu: Index, packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if row_of_vcpu.size > FEW_VCPUS or packed.nbytes > FEW_BYTES:
        return np.zeros(0, np.uint8)
    few = np.zeros(FEW_VCPUS + FEW_BYTES, np.uint8)
    start = row_of_vcpu.astype(np.int64) * packed[0].nbytes
    few[: start.size] = start % 128 | start // 128
    few[FEW_VCPUS:][: packed.nbytes] = packed.reshape(-1)
    return few


def _trees(filters: Sequence[Steps]) -> FilterTrees:
    depth, reach = 1, N_KEY
    while reach < max(start.size for start, _ in filters):
        depth, reach = depth + 1, reach * N_KEY
    keys, children, verdicts, root = [], [], [], []
    n_node = 0
    for start, action in filters:
        root.append(n_node)
        levels = [_nodes(np.append(start[1:] - np.uint32(1), _LAST_ID))]
        while len(levels) < depth:
            levels.insert(0, _nodes(levels[0][:, -1]))
        for level in levels:
            n_node += len(level)
            keys.append(level)
            children.append(n_node + N_KEY * np.arange(len(level)))
        inner = n_node - root[-1] - len(levels[-1])
        leaf = np.zeros((n_node - root[-1]) * N_KEY, np.uint8)
        leaf[inner * N_KEY :][: action.size] = _VERDICT_OF_ACTION[action]
        verdicts.append(leaf.reshape(-1, N_KEY))
    return FilterTrees(
        np.array(root, np.uint32),
        depth,
        np.concatenate(keys),
        np.concatenate(children).astype(np.uint32),
        np.concatenate(verdicts),
    )


def _nodes(last: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Keys filled up to whole nodes: uint32[n_node, N_KEY]."""
    nodes = np.full((-(-last.size // N_KEY), N_KEY), _LAST_ID)
    nodes.reshape(-1)[: last.size] = last
    return nodes
