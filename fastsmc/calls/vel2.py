"""Recorded HVCs of a guest that has EL2 itself: which of them KVM passed on to the guest's own EL2 (vEL2).

kvm_hvc_arm64 fires before KVM decides, and its line is the same whether KVM answers or passes the call on (recorded:
tests/recordings/guest-traces/6.18-el2.ftrace.txt). That a guest has EL2 is therefore the word of whoever reads its
trace.

Sources: Linux 6.16 arch/arm64/kvm/handle_exit.c (handle_hvc, handle_smc), hypercalls.c (kvm_smccc_call_handler) and
arch/arm64/include/asm/kvm_emulate.h (vcpu_get_reg), for where KVM has the function id of an SMC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastsmc.facts.smccc import FUNCTIONS, Gate
from fastsmc.results.tables import Column, Table

VEL2 = "vEL2"
"""What begins the name of an exit that was passed on to the guest's own EL2: "vEL2 HVC64"."""
_BY_FAST_PATH = np.array([row.func_id for row in FUNCTIONS if row.gate is Gate.FAST_PATH], np.uint32)
EL2_COMMAND = (
    "bpftrace -e 'kprobe:kvm_smccc_call_handler { @[((struct kvm_vcpu *)arg0)->arch.ctxt.regs.regs[0]] = count(); }'"
)
"""Counts by function id what reaches KVM's answers: SMCs, and the HVCs of guests without EL2.

By Linux' source; it was not tried on a host with such guests.
"""
NOT_HERE = (
    "the guest has EL2, so what KVM answers are its SMCs, and none of them is here: no tracepoint has their function "
    f"ids; count them with `{EL2_COMMAND}` (by Linux' source; not tried here)"
)
"""What a trace of such a guest lacks."""


def is_to_vel2(func_id: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which HVCs of a guest with EL2 are an exception to its own EL2: all but those that the fast path answers.

    Args:
        func_id: uint32[n_call].

    Returns:
        bool[n_call].

    >>> is_to_vel2(np.array([0x84000000, 0x80008000, 0x12345678], np.uint32)).tolist()
    [True, False, True]
    """
    return ~np.isin(func_id, _BY_FAST_PATH)


def told(n_call: int, n_to_vel2: int) -> str:
    """What a line about such a guest's calls says of who answered them.

    >>> told(15, 15)
    "; KVM answered none: all went to the guest's own EL2"
    >>> told(3, 2)
    "; KVM answered 1: 2 went to the guest's own EL2"
    """
    answered = n_call - n_to_vel2
    return f"; KVM answered {answered or 'none'}: {n_to_vel2 if answered else 'all'} went to the guest's own EL2"


def passed_on(exits: Mapping[str, int]) -> int:
    """How many HVCs the trace itself shows to have gone to a guest's own EL2: by kvm_inject_nested_exception."""
    return sum(n for name, n in exits.items() if name.startswith(f"{VEL2} HVC"))


def shown_by_exits(n: int, *, is_said: bool) -> str:
    """The sentence about them.

    Args:
        is_said: the trace is read as one of a guest with EL2.
    """
    were = "HVC was" if n == 1 else "HVCs were"
    rest = "" if is_said else "; KVM did not answer those: read the trace of such a guest with el2 (--el2)"
    return f"{n} {were} passed on to a guest's own EL2, by kvm_inject_nested_exception{rest}"


def beside(table: Table, n_to_vel2: Sequence[int]) -> Table:
    """A table of calls with one column more: how many of them went to the guest's own EL2."""
    column = Column.of(n_to_vel2, "modelled", "calls that went to the guest's own EL2, as it was said to have one")
    return replace(table, columns={**table.columns, "to_vel2": column})
