"""What each scope costs, against a VMM that loops over vCPUs and registers, and the command that prints it."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.facts.register_sets import is_vm_global, register_set
from fastsmc.facts.registers import FW_REGISTERS, register
from fastsmc.scopes import Marked, Scope, compare_scopes, scope_cost
from fastsmc.scopes.per_vcpu import STATE
from tests.support.command import fastsmc


def touched(ids: list[int], once: list[int], n_vcpu: int) -> tuple[int, int]:
    """Accesses of a VMM that goes through its vCPUs one by one, and core ioctls beside them."""
    accesses = 0
    for vcpu in range(n_vcpu):
        for reg in ids:
            accesses += 1 if reg not in once else vcpu == 0
    return accesses, n_vcpu


@pytest.mark.parametrize("features", ["psci02", "psci02+pmu+sve+pauth"])
@pytest.mark.parametrize("marked", list(Marked))
def test_costs_are_those_of_a_vmm_that_loops(features: str, marked: Marked) -> None:
    registers_ = register_set("7.3", features=features)
    ids = registers_.cpreg_ids.tolist()
    core = (92 if "sve" in features else 75) + 2
    v4 = [register(n) for n in STATE[1:4]] + [register(f"SMCCC_ARCH_WORKAROUND_{n}") for n in (1, 2)]
    once = {
        Marked.V4: v4,
        Marked.FIRMWARE: [row.reg for row in FW_REGISTERS],
        Marked.DECLARED: [reg for reg in ids if is_vm_global(reg)],
    }[marked]
    n_vcpu = [1, 2, 63, 513]
    for scope, shared in ((Scope.VM_GLOBAL, []), (Scope.PER_VCPU, []), (Scope.VM_SCOPED, once)):
        qemu = scope_cost(registers_, n_vcpu, scope, marked=marked)
        minimal = scope_cost(registers_, n_vcpu, scope, marked=marked, vmm="minimal", codec="values")
        assert (qemu.n_reg, qemu.n_marked) == (len(ids), len(shared))
        assert qemu.is_hypothetical.tolist() == [False, False, False, True]
        for i, count in enumerate(n_vcpu):
            accesses, vcpus = touched(ids, shared, count)
            assert qemu.save_ioctls[i] == qemu.load_ioctls[i] == 2 * accesses + core * vcpus
            assert minimal.save_ioctls[i] == minimal.load_ioctls[i] == accesses
            assert (qemu.payload_bytes[i], minimal.payload_bytes[i]) == (16 * accesses, 8 * accesses)


def test_today_and_the_bug_cost_the_same_and_differ_in_meaning() -> None:
    today, bug = (scope_cost(182, np.array([[1], [512]]), scope) for scope in (Scope.VM_GLOBAL, Scope.PER_VCPU))
    for name in ("save_ioctls", "load_ioctls", "payload_bytes"):
        assert np.array_equal(getattr(today, name), getattr(bug, name))
    assert int(today.save_ioctls[1, 0]) == 225_792, "facts: 512 vCPUs, Neoverse N1 on 6.18"
    assert (today.may_elide, bug.may_elide) == (True, False)
    assert "nothing may be left out" in bug.note


def test_the_table_has_every_scope_for_every_size_and_vmm() -> None:
    rows = compare_scopes(register_set("6.12"), [512, 1, 1024])
    assert [row.n_vcpu for row in rows[::10]] == [512, 1, 1024]
    assert len(rows) == 3 * 2 * 5
    assert [row.is_hypothetical for row in rows[::10]] == [False, False, True]
    assert all(row.of_today == 1 for row in rows if not row.marked or row.n_vcpu == 1)
    assert all(row.of_today < 1 for row in rows if row.marked and row.n_vcpu > 1)
    assert [row.n_marked for row in rows[:5]] == [0, 0, 5, 7, 69]


@pytest.mark.parametrize(
    "act",
    [
        lambda: scope_cost(182, 0, Scope.VM_GLOBAL),
        lambda: scope_cost(182, 1.5, Scope.VM_GLOBAL),
        lambda: scope_cost(182, 1, "none"),
        lambda: scope_cost(182, 1, Scope.VM_SCOPED),
        lambda: scope_cost(182, 1, Scope.VM_SCOPED, marked=183),
        lambda: scope_cost(182, 1, Scope.VM_GLOBAL, codec="id+value, VM-global once"),
        lambda: scope_cost(182, 1, Scope.VM_GLOBAL, vmm="xen"),
        lambda: compare_scopes(register_set("7.3"), []),
    ],
)
def test_bad_input_is_one_clear_sentence(act: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"\S+ \S+ \S+") as caught:
        act()
    assert "\n" not in str(caught.value)


def test_the_command_prints_the_table() -> None:
    done = fastsmc("scope", "--release", "6.18", "--vcpus", "512,1024")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("if all VM-global registers were VM-scoped, QEMU would need 616,728 of 903,168 ioctls")
    assert lines[0].endswith(" at 1024 vCPUs* (modelled)")
    assert lines[1] == "linux-6.18.15-max psci02: 182 registers carried per vCPU (modelled)"
    assert lines[4].split() == [
        "512",
        "qemu",
        *str(Scope.VM_GLOBAL).split(),
        "0",
        "225,792",
        "225,792",
        "1,490,944",
        "100.0%",
    ]
    assert sum(line.lstrip().startswith("1024*") for line in lines) == 10
    assert "* hypothetical: arm64 KVM stops at 512 vCPUs per VM" in lines
    told = json.loads(fastsmc("scope", "--release", "6.18", "--vcpus", "512,1024", "--json").stdout)
    assert len(told["rows"]) == 20
    assert told["rows"][0]["save_ioctls"] == 225_792
    assert set(told["notes"]) == {scope.value for scope in Scope}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--vcpus", "1,x"], "--vcpus '1,x': give whole numbers"),
        (["--vcpus", "64,0"], "--vcpus is 0: it must be"),
        (["--release", "4.4"], "release 4.4 is outside 5.10"),
        (["--features", "psci03"], "vCPU feature 'psci03' is not one of"),
    ],
)
def test_the_command_refuses_bad_input_in_one_line(arguments: list[str], says: str) -> None:
    done = fastsmc("scope", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr.splitlines()[0]
    assert len(done.stderr.splitlines()) == 3


def test_a_count_given_twice_counts_once_and_a_bad_one_is_named() -> None:
    registers_ = register_set("7.3")
    assert compare_scopes(registers_, [64, 1, 64]) == compare_scopes(registers_, [64, 1])
    for counts in (0, [1, 0], np.array([0]), 1.5, None, 1 << 21):
        with pytest.raises(InputError, match=r"vCPU count(\[\d\])? is [^(]*: it must be a whole number"):
            scope_cost(registers_, counts, Scope.VM_GLOBAL)  # type: ignore[arg-type]
