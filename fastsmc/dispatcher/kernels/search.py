"""The searches of a chunk of calls whose ids have no name, level by level, for the wide kernel.

Nothing here may be compiled unless `jit.level.HAS_VECTORS`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.dispatcher.kernels.steps import ask_node
from fastsmc.jit.compiled import inner_kernel
from fastsmc.jit.simd import keys_below
from fastsmc.jit.types import U8, U16, U32, Index, u32, u64
from fastsmc.kernels import CODE_AT, UNKNOWN_AT, WORD, Groups, Trees, decided, default_of, group_of


class Searches(NamedTuple):
    """The searches under way: the place of each call in its chunk, its id, its node of the tree and its default."""

    listed: U16
    ids: U32
    node: U32
    default: U8


@inner_kernel
def group_within(vcpu: int | np.uint64, groups: Groups) -> np.uint64:
    """A vCPU's group; the last one of a vCPU that the fleet lacks, so that no table is read beyond its end.

    A caller's column is looked at first and read again where it is used, and another thread may have written to it.
    """
    return min(group_of(vcpu, groups.by), u64(groups.row.size - 1))


@inner_kernel
def row_within(vcpu: int | np.uint64, groups: Groups) -> np.uint32:
    """A vCPU's row, or a row of the fleet where it lacks the vCPU."""
    return u32(groups.row[group_within(vcpu, groups)])


@inner_kernel
def begin_search(searches: Searches, func_id: U32, vcpu: Index, row: U32, groups: Groups, trees: Trees) -> None:
    """Finds the leaf in which each search ends and prefetches it, so that it is in cache when `end_search` reads it.

    All searches go down level by level, so that their cache misses overlap. Filled are ids, node and default.
    uint32[n_call], unsigned[n_call], uint32[n_call, or 0: the row is found by vCPU].
    """
    listed, ids, node, default = searches
    nodes = trees.nodes
    for j in range(listed.size):
        c = listed[j]
        its_row = row[c] if row.size else row_within(vcpu[c], groups)
        search = trees.search_of_row[its_row]
        node[j] = u32(search >> u64(8))
        ids[j] = func_id[c]
        default[j] = default_of(search, ids[j])
    for _ in range(trees.depth - 1):
        for j in range(listed.size):
            node[j] = nodes[node[j], WORD] + keys_below(nodes, node[j], ids[j])
            ask_node(nodes, node[j])


@inner_kernel
def end_search(searches: Searches, lookup: U8, nodes: U32, out: U8, code: U8) -> None:
    """Verdicts and codes of the calls searched for. No branch depends on a call.

    rows.Rows.lookup, rows.FilterTrees.node -> uint8[n_call] x 2.
    """
    listed, ids, node, default = searches
    its_code = lookup[CODE_AT + lookup[UNKNOWN_AT]]
    for j in range(listed.size):
        c = listed[j]
        what = decided(nodes[node[j], WORD], keys_below(nodes, node[j], ids[j]), default[j])
        out[c] = what
        code[c] = its_code | what
