"""Random fleets and calls: dispatch, grouped and frozen calls, answers and power state against the reference.

    python -m tools.fuzz_dispatch --minutes 20 --seed 1
    NUMBA_CPU_NAME=haswell python -m tools.fuzz_dispatch --minutes 20
    python -m tools.fuzz_dispatch --anywhere --minutes 20    # the wide kernels' loops on a CPU without AVX-512

A round makes a fleet of VMs on up to three hosts, with policies, filters and power states at random, and a batch of
calls. The reference makes each of them. A difference ends the run with the seed of its round, and `--seed S --rounds 1`
makes that round again.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LENGTHS = (1, 3, 63, 64, 65, 127, 500, 2047, 2048, 2049, 2112, 4096, 5000, 8191, 8193)
"""Calls of a batch: around the steps and chunks of the kernels."""

RELEASES = (
    *("5.10", "5.15", "5.18", "5.19", "6.1", "6.3", "6.4", "6.6", "6.9", "6.12", "6.12.111", "6.12.112", "6.15"),
    *("6.18", "7.2.8", "7.2.9", "7.3"),
)


class Done(NamedTuple):
    """What was compared: rounds, verdicts, answers of four words, and calls made in order."""

    rounds: int = 0
    verdicts: int = 0
    answers: int = 0
    switched: int = 0

    def and_also(self, other: Done) -> Done:
        return Done(*(a + b for a, b in zip(self, other, strict=True)))


def one_round(seed: int, *, narrow: bool = True) -> Done:
    """One fleet and one batch; `narrow` allows vCPU columns of 8 and 16 bits, for which kernels are compiled anew.

    Raises:
        AssertionError: something differs from the reference.
    """
    from fastsmc.calls.grouped import GroupedCalls
    from fastsmc.calls.workload import Calls
    from fastsmc.dispatcher.answers import answers
    from fastsmc.dispatcher.batch import dispatch, verdicts
    from fastsmc.dispatcher.power import switch
    from fastsmc.facts.vcpu import STOPPED

    rng = np.random.default_rng(seed)
    fleet, vms = _fleet(rng)
    n_call = int(rng.choice(LENGTHS))
    columns = _columns(rng, n_call, fleet.n_vcpu, vms, narrow=narrow)
    calls = Calls.of(**columns)
    expected = np.empty(n_call, np.uint8)
    words = np.empty((n_call, 4), np.uint64)
    before = [list(vm.mp_state) for vm in vms]
    owner, number = fleet.vm_of_vcpu[calls.vcpu], calls.vcpu - fleet.first_vcpu[fleet.vm_of_vcpu[calls.vcpu]]
    arguments = [_or_zero(columns, name, n_call) for name in ("x1", "x2", "x3", "conduit")]
    each = list(
        zip(owner.tolist(), number.tolist(), calls.func_id.tolist(), *(a.tolist() for a in arguments), strict=True)
    )
    for c, (m, v, func_id, x1, x2, x3, conduit) in enumerate(each):
        vms[m].mp_state = list(before[m])
        outcome = vms[m].call(v, func_id, x1, x2, x3, conduit)
        expected[c], words[c] = outcome.verdict, [word & 0xFFFF_FFFF_FFFF_FFFF for word in outcome.x]
    grouped = GroupedCalls.from_calls(calls)
    out = np.empty(n_call, np.uint8)
    by_name = {
        "verdicts": verdicts(fleet, calls),
        "verdicts, out": verdicts(fleet, calls, out),
        "dispatch": dispatch(fleet, calls).verdict,
        "frozen": verdicts(fleet, calls.frozen()),
        "grouped": verdicts(fleet, grouped),
        "grouped, counted": dispatch(fleet, grouped, by="vm").verdict,
    }
    for name, found in by_name.items():
        assert np.array_equal(found, expected), f"{name}: call {int(np.flatnonzero(found != expected)[0])} differs"
    counted = dispatch(fleet, calls).by_vm
    cells = np.zeros_like(counted)
    np.add.at(cells, (owner, expected), 1)
    assert np.array_equal(counted, cells), "counts by VM differ"
    found = answers(fleet, calls)
    assert np.array_equal(found, words), f"answers: call {int(np.flatnonzero((found != words).any(axis=1))[0])} differs"
    for vm, state in zip(vms, before, strict=True):
        vm.mp_state = list(state)
    ran = np.array([_made(vms, one, STOPPED) for one in each])
    switched = switch(fleet, calls, expected)
    assert np.array_equal(switched.ran, ran), "switch: who ran differs"
    assert fleet.mp_state.tolist() == [state for vm in vms for state in vm.mp_state], "switch: power states differ"
    return Done(1, len(by_name) * n_call, n_call, n_call)


def _made(vms: list[Any], one: tuple[int, ...], stopped: int) -> bool:
    m, v, func_id, x1, x2, x3, conduit = one
    runs = bool(vms[m].mp_state[v] != stopped)
    if runs:
        vms[m].call(v, func_id, x1, x2, x3, conduit)
    return runs


def _or_zero(columns: dict[str, Any], name: str, n_call: int) -> NDArray[Any]:
    return np.zeros(n_call, np.uint64) if columns.get(name) is None else np.asarray(columns[name])


def _fleet(rng: np.random.Generator) -> tuple[Any, list[Any]]:
    """A fleet, and the reference's VMs of the same policies and power states."""
    from fastsmc.facts.registers import register
    from fastsmc.facts.releases import Host, release
    from fastsmc.facts.vcpu import STOPPED
    from fastsmc.fleet.filters import FilterRange
    from fastsmc.reference.vm import Vm
    from fastsmc.vm import Fleet

    names = rng.choice(RELEASES, int(rng.integers(1, 4)))
    hosts = [Host(release(str(name)), workaround=(int(rng.integers(3)), int(rng.integers(4)), int(rng.integers(3))))
             for name in names]  # fmt: skip
    n_vm = int(rng.choice([1, 2, 5, 40, 200]))
    counts = rng.integers(1, int(rng.choice([2, 4, 20])), n_vm)
    if rng.random() < 0.3:
        counts[:] = counts[0]
    host_of_vm = rng.integers(len(hosts), size=n_vm) if rng.random() < 0.7 else np.zeros(n_vm, np.int64)
    features = rng.choice([0x4, 0x0, 0x6, 0x2], n_vm, p=[0.7, 0.1, 0.1, 0.1])
    fleet = Fleet(counts, hosts=hosts, host_of_vm=host_of_vm, features=features)
    vms = [Vm(hosts[h], features=int(f), n_vcpu=int(n)) for h, f, n in zip(host_of_vm, features, counts, strict=True)]
    registers = [register(name) for name in ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP", "PSCI_VERSION")]
    for _ in range(int(rng.integers(0, 12))):
        chosen = np.flatnonzero(rng.random(n_vm) < rng.random())
        kind = int(rng.integers(4))
        if kind == 0:
            size = int(rng.choice([1, 2, 8, 64, 1 << 16, 1 << 28]))
            new = FilterRange(_an_id(rng), size, int(rng.integers(0, 3)))
            got = fleet.try_install_filter(new, vms=chosen)[:, 0].tolist()
            want = [vms[m].insert_filter(new.base, new.nr_functions, int(new.action)) for m in chosen]
        elif kind == 1:
            got = fleet.enable_system_suspend(vms=chosen).tolist()
            want = [vms[m].enable_system_suspend() for m in chosen]
        elif kind == 2 and rng.random() < 0.3:
            got = fleet.try_run_once(vms=chosen).tolist()
            want = [vms[m].run(0) for m in chosen]
        else:
            reg, value = int(rng.choice(registers)), int(rng.choice([0, 1, 2, 3, 0x10000, 0x10001, 0x10002, 0x10003]))
            got = fleet.try_set_one_reg(reg, value, vms=chosen).tolist()
            want = [vms[m].set_one_reg(0, reg, value) for m in chosen]
        assert got == [errno or 0 for errno in want], "errnos differ"
    off = rng.random(fleet.n_vcpu) < rng.choice([0, 0.3, 1])
    fleet.vcpu_init(off, power_off=True)
    for vm, first in zip(vms, fleet.first_vcpu, strict=False):
        for v in range(len(vm.mp_state)):
            if off[first + v]:
                vm.mp_state[v] = STOPPED
    return fleet, vms


def _an_id(rng: np.random.Generator) -> int:
    from fastsmc.facts.smccc import FUNCTIONS

    known = FUNCTIONS[int(rng.integers(len(FUNCTIONS)))].func_id
    near = (known + int(rng.integers(-2, 3))) & 0xFFFF_FFFF
    return int(rng.choice([known, near, int(rng.integers(1 << 32)), 0, 0xFFFF_FFFF, 0xC600_0000, 0x8600_0001]))


def _columns(rng: np.random.Generator, n_call: int, n_vcpu: int, vms: list[Any], *, narrow: bool) -> dict[str, Any]:
    """Columns of a batch: ids known, near, in ranges and at random; vCPUs in runs or not; arguments that matter."""
    own = [
        edge & 0xFFFF_FFFF for vm in vms[:5] for first, last, _ in vm.filter for edge in (first - 1, first, last + 1)
    ]
    pool = np.array([_an_id(rng) for _ in range(60)] + own, np.uint64).astype(np.uint32)
    func_id = rng.choice(pool, n_call)
    vcpu = rng.integers(n_vcpu, size=n_call)
    if rng.random() < 0.4:
        vcpu = np.repeat(vcpu, 40)[:n_call]
    kinds = [kind for kind in (np.uint8, np.uint16, np.uint32) if narrow and n_vcpu <= np.iinfo(kind).max]
    columns: dict[str, Any] = {"vcpu": vcpu.astype(rng.choice(kinds) if kinds else np.uint32), "func_id": func_id}
    values = np.array([0, 1, 2, 3, 0x10, 0x100, 64, 192, 193, 1 << 31, 1 << 32, (1 << 64) - 1, *pool[:20]], np.uint64)
    for name in ("x1", "x2", "x3"):
        if rng.random() < 0.7:
            columns[name] = rng.choice(values, n_call)
    if rng.random() < 0.5:
        columns["conduit"] = rng.integers(0, 4, n_call).astype(np.uint8)
    return columns


def run(seed: int, *, seconds: float = 0, rounds: int = 0, narrow: bool = True) -> Done:
    """Rounds from a seed on, for so long or so many.

    Raises:
        AssertionError: a difference, with the seed of its round.
    """
    done, begin = Done(), time.monotonic()
    while (rounds and done.rounds < rounds) or (not rounds and time.monotonic() - begin < seconds):
        try:
            done = done.and_also(one_round(seed + done.rounds, narrow=narrow))
        except AssertionError as error:
            msg = f"seed {seed + done.rounds}: {error}"
            raise AssertionError(msg) from error
    return done


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=0, help="so many rounds, however long they take")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--anywhere", action="store_true", help="the wide kernels by loops, on any CPU")
    given = parser.parse_args()
    if given.anywhere:
        import tests.support.wide_anywhere  # noqa: F401  # replaces the instructions before a kernel is imported
    from fastsmc.jit.first import take_kernels_at_once

    take_kernels_at_once()
    done = run(given.seed, seconds=60 * given.minutes, rounds=given.rounds)
    print(
        f"{done.rounds} rounds: {done.verdicts} verdicts, {done.answers} answers, {done.switched} calls in order: equal"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
