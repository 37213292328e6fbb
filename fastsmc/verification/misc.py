"""Replays `misc`: late vCPUs, other VMs, and what a guest sees after a forwarded call."""

from __future__ import annotations

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import FilterAction
from fastsmc.recordings.folder import Record, Recording
from fastsmc.verification.fields import conduit_of
from fastsmc.verification.pair import Pair
from fastsmc.verification.tally import Tally
from fastsmc.verification.typed import Predicted, Predictors, Shared, hexed, replay_typed

PSCI_VERSION, STD_BMAP, VENDOR_HYP_BMAP = map(register, ("PSCI_VERSION", "STD_BMAP", "VENDOR_HYP_BMAP"))


def _late_vcpu(host: Host, record: Record, shared: Shared) -> Predicted:
    """A vCPU that is created after another has run: it sees the VM's value and is frozen too."""
    pair = Pair(host, n_vcpu=3)
    pair.uninit(2)
    pair.set(STD_BMAP, 0)
    pair.run()
    told: Predicted = {"init": pair.init(2), "val": hexed(pair.get(STD_BMAP, 2))}
    return told | {"set_same": pair.set(STD_BMAP, 0, 2), "set_diff": pair.set(STD_BMAP, 1, 2)}


def _other_vm(host: Host, record: Record, shared: Shared) -> Predicted:
    one, other = Pair(host), Pair(host)
    one.set(STD_BMAP, 0)
    return {"val": hexed(other.get(STD_BMAP))}


def _late_init_before_run(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host, n_vcpu=3)
    pair.uninit(2)
    pair.set(VENDOR_HYP_BMAP, 1)
    pair.init(2)
    return {"bm2": hexed(pair.get(VENDOR_HYP_BMAP, 2))}


def _psci_after_late_init(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host, n_vcpu=3)
    pair.uninit(2)
    pair.set(PSCI_VERSION, 2)
    pair.init(2)
    return {"v0": hexed(pair.get(PSCI_VERSION, 0)), "v2": hexed(pair.get(PSCI_VERSION, 2))}


FWD_ID, FWD_X1 = 0x8600_0009, 0xB
"""The call that `fwd_ret` forwards; userspace then does nothing (mode 0), writes hypercall.ret (1) or x0 and x1 (2)."""
FWD_WRITTEN = (0x888, 0x999)


def _fwd_ret(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host)
    pair.insert(FWD_ID, 1, FilterAction.FWD_TO_USER)
    conduit = conduit_of(record["c"])
    outcome = pair.vm.call(0, FWD_ID, FWD_X1, conduit=conduit)
    verdict = int(verdicts(pair.fleet, Calls.one_each(FWD_ID, n_vcpu=2, conduit=conduit))[0])
    if outcome.exit is None or verdict != outcome.verdict:
        return {"verdict": verdict}
    x0, x1 = FWD_WRITTEN if record["mode"] == 2 else outcome.x[:2]
    told: Predicted = {"kind": 2, "reason": outcome.exit.reason, "nr": f"{outcome.exit.nr:#x}", "args": [0] * 6}
    return told | {"flags": f"{outcome.exit.flags:#x}", "end_kind": 0, "x0": f"{x0:#x}", "x1": f"{x1:#x}"}


MISC: Predictors = {
    "late_vcpu": _late_vcpu,
    "other_vm": _other_vm,
    "late_init_before_run": _late_init_before_run,
    "psci_after_late_init": _psci_after_late_init,
    "fwd_ret": _fwd_ret,
}
"""What the model predicts for each type of `misc` record."""


def replay_misc(recording: Recording, host: Host) -> Tally:
    """Replays `misc`: every result field of a record must be predicted, and be equal."""
    return replay_typed(recording, host, "misc", MISC)
