"""`dispatch`: verdicts of a fleet's batch of calls, or of one's own mix in one VM."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from fastsmc.calls.counts import Counts
from fastsmc.calls.grouped import AnyCalls
from fastsmc.calls.trace import Trace
from fastsmc.calls.workload import Calls
from fastsmc.checks import word_of
from fastsmc.dispatcher.batch import By, Dispatched, verdicts
from fastsmc.dispatcher.batch import dispatch as of_fleet
from fastsmc.errors import CheckError
from fastsmc.facts.other_calls import service_and_name
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host
from fastsmc.facts.releases import release as rules_of
from fastsmc.facts.smccc import Conduit, Verdict
from fastsmc.facts.vcpu import feature_bits, has_el2
from fastsmc.migrate.compat.named import split_features
from fastsmc.reference.vm import Vm
from fastsmc.usage.decided import WAY, Decided, DecidedCall
from fastsmc.usage.losses import loss_of
from fastsmc.usage.mixed import Call, Mix, calls_of
from fastsmc.usage.policy import Policy, policy_of
from fastsmc.usage.ruled import rule_of
from fastsmc.vm import Fleet

_CONDUITS = {"hvc": Conduit.HVC, "smc": Conduit.SMC}


@overload
def dispatch(
    what: Fleet,
    calls: AnyCalls,
    *,
    by: By = ...,
    out: NDArray[np.uint8] | None = ...,
    threads: int | None = ...,
) -> Dispatched: ...


@overload
def dispatch(
    what: Mix = ...,
    *,
    trace: str | os.PathLike[str] | Trace | Counts | None = ...,
    release: str = ...,
    features: str | None = ...,
    bitmaps: Mapping[str, int] | None = ...,
    psci_version: str | int | None = ...,
    deny: Iterable[str | int] = ...,
    forward: Iterable[str | int] = ...,
    conduit: str = ...,
) -> Decided: ...


def dispatch(what: Fleet | Mix = (), calls: AnyCalls | None = None, **options: Any) -> Dispatched | Decided:
    """The verdict of every call: of a batch on a fleet, or of one's own mix of calls in one VM.

    A fleet and calls are dispatched as `fastsmc.dispatcher.batch.dispatch` does, with its options `by`, `out` and
    `threads`. A mix gets a VM of one vCPU and one row per call: verdict, registers, and the rule that settles it.

    Args:
        what: a fleet; or the mix: names and ids, "TRNG_RND64=3" with a weight, "PSCI_FEATURES(PSCI_CPU_ON)" with x1; or
            weights by name or id.
        calls: the batch of a fleet.
        trace: calls of a mix as a guest made them: a trace, counts, or a file of either.
        release: whose rules the verdicts follow; 7.3 if none is named.
        features: vCPU features of the VM, joined by +; psci02 if none are given. With el2 the host is taken to have
            been booted with kvm-arm.mode=nested, and the calls to come from the guest's own EL2.
        bitmaps, psci_version, deny, forward: the VM's policy, as for `services`.
        conduit: "hvc" or "smc".

    Raises:
        InputError: no such function, release, feature, bitmap or version; no call at all; a batch that a fleet's
            dispatch refuses.
        TraceError: a trace that cannot be read.
        RegisterError, FilterError: what KVM of the release refuses of the policy.

    >>> found = dispatch(["PTP", "TRNG_RND64=3"], release="6.12", bitmaps={"STD_BMAP": 0})
    >>> [(row.function, row.verdict.name, row.rule) for row in found.rows]
    [('VENDOR_HYP_PTP', 'HANDLED', 'VENDOR_HYP_BMAP bit 1 (PTP) is set'),
     ('TRNG_RND64', 'DENIED', 'STD_BMAP bit 0 (TRNG_V1_0) is clear')]
    """
    if isinstance(what, Fleet):
        return of_fleet(what, cast(AnyCalls, calls), **options)
    if calls is not None:
        return of_fleet(cast(Any, what), calls, **options)  # which says what is no fleet
    return _decided(what, **options)


def _decided(
    mix: Mix,
    *,
    trace: str | os.PathLike[str] | Trace | Counts | None = None,
    release: str = "7.3",
    features: str | None = None,
    bitmaps: Mapping[str, int] | None = None,
    psci_version: str | int | None = None,
    deny: Iterable[str | int] = (),
    forward: Iterable[str | int] = (),
    conduit: str = "hvc",
) -> Decided:
    name, wanted = split_features(release, features)
    rules, bits = rules_of(name), feature_bits(wanted)
    policy = policy_of(bitmaps or {}, psci_version, deny, forward)
    way = _CONDUITS[word_of("conduit", conduit, _CONDUITS)]
    asked = calls_of(mix, trace)
    host = Host(rules, kvm_arm_mode="nested" if has_el2(bits) else "default")
    fleet = policy.fleet(host, features=bits)
    total = sum(one.weight for one in asked)
    # A VM for each call, as no call of a mix is after another.
    rows = tuple(_row(_vm(host, bits, policy), one, way, one.weight / total) for one in asked)
    _check(fleet, asked, rows, way)
    return Decided(rules.name, wanted, conduit, policy, rows)


def _vm(host: Host, features: int, policy: Policy) -> Vm:
    """The same VM as the fleet's, for the reference, which tells registers and doubts."""
    vm = Vm(host, features=features)
    if policy.psci_version is not None:
        vm.set_one_reg(0, register("PSCI_VERSION"), policy.psci_version)
    for name, word in policy.bitmaps:
        vm.set_one_reg(0, register(name), word)
    for one in policy.ranges:
        vm.insert_filter(one.base, one.nr_functions, one.action)
    return vm


def _row(vm: Vm, call: Call, conduit: Conduit, share: float) -> DecidedCall:
    outcome = vm.call(0, call.func_id, *call.arguments, conduit=conduit)
    service, function = service_and_name(call.func_id)
    loss = loss_of(service, function) if WAY[outcome.verdict] == "refused" else ""
    rule = rule_of(vm, call.func_id, outcome.verdict)
    doubts = tuple(map(str, outcome.doubts))
    return DecidedCall(
        service, function, call.func_id, call.arguments, share, outcome.verdict, outcome.x, outcome.free, rule,
        outcome.exit, loss, doubts,
    )  # fmt: skip


def _check(fleet: Fleet, asked: list[Call], rows: tuple[DecidedCall, ...], conduit: Conduit) -> None:
    """Compares the reference's verdicts with the fleet's.

    Raises:
        CheckError: they differ: a fault of fastsmc.
    """
    n = len(asked)
    columns = [np.array([call.arguments[k] for call in asked], np.uint64) for k in range(3)]
    calls = Calls.of(
        np.zeros(n, np.uint32),
        np.array([call.func_id for call in asked], np.uint32),
        conduit=np.full(n, conduit, np.uint8),
        x1=columns[0],
        x2=columns[1],
        x3=columns[2],
    )
    for row, verdict in zip(rows, verdicts(fleet, calls).tolist(), strict=True):
        if row.verdict != verdict:
            both = f"{row.verdict.name} by the reference and {Verdict(verdict).name} by the tables"
            msg = f"0x{row.func_id:08x} is {both}; please report this"
            raise CheckError(msg)
