"""Replays recorded ONE_REG calls on firmware registers: `setreg`."""

from __future__ import annotations

from fastsmc.facts.registers import (
    ARCH_ARM32,
    ARCH_ARM64,
    BITMAP_REGISTERS,
    CLASS_FW,
    CLASS_SVE,
    SIZE_MASK,
    SIZE_SHIFT,
    SIZE_U64,
    register,
)
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.recordings.folder import Record, Recording
from fastsmc.reference.state import OK
from fastsmc.reference.vm import Vm
from fastsmc.verification.pair import Pair
from fastsmc.verification.tally import Tally
from fastsmc.verification.typed import Predicted, Predictors, Shared, hexed, replay_typed

PSCI_VERSION, STD_BMAP = register("PSCI_VERSION"), register("STD_BMAP")
SVE_CLASS, UNKNOWN_CLASS = (ARCH_ARM64 | SIZE_U64 | kind for kind in (CLASS_SVE, 0x0017_0000))
ARM32_ARCH = ARCH_ARM32 | SIZE_U64 | CLASS_FW
RESERVED_BITS = PSCI_VERSION | 1 << 32
"""PSCI_VERSION with a bit set that no id has."""


def _discover(host: Host, record: Record, shared: Shared) -> Predicted:
    present = [row for row in BITMAP_REGISTERS if Pair(host).get(row.reg)[0] == OK]
    supported = [sum(1 << b for b in range(64) if Pair(host).set(row.reg, 1 << b) == OK) for row in present]
    return {
        "nbm": len(present),
        "supported": [f"{word:#x}" for word in supported],
        "defaults": [hexed(Pair(host).get(row.reg)) for row in present],
        "psci_default": hexed(Pair(host).get(PSCI_VERSION)),
    }


def _index(host: Host, record: Record, shared: Shared) -> Predicted:
    reg = int(record["reg"], 16)
    errno, value = Pair(host).get(reg)
    told: Predicted = {"get_errno": errno, "val": f"{value:#x}", "set_same_errno": Pair(host).set(reg, value)}
    told["set0_errno"] = Pair(host).set(reg, 0)
    for bits in (32, 128, 8):
        other = (reg & ~SIZE_MASK) | (bits // 8).bit_length() - 1 << SIZE_SHIFT
        told |= {f"get{bits}_errno": Pair(host).get(other)[0], f"set{bits}_errno": Pair(host).set(other, value)}
    return told


def _badptr(host: Host, record: Record, shared: Shared) -> Predicted:
    vm = Vm(host)
    return {
        "set_errno": vm.set_one_reg(0, STD_BMAP, 0, is_pointer_bad=True),
        "get_errno": vm.get_one_reg(0, STD_BMAP, is_pointer_bad=True)[0],
    }


def _otherclass(host: Host, record: Record, shared: Shared) -> Predicted:
    vm = Vm(host)
    named = {
        "get_0015": SVE_CLASS,
        "get_0017": UNKNOWN_CLASS,
        "get_arm32arch": ARM32_ARCH,
        "get_reserved_bits": RESERVED_BITS,
    }
    return {key: vm.get_one_reg(0, reg)[0] for key, reg in named.items()}


def _uninit_vcpu(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host)
    pair.uninit(0)
    return {"get_errno": pair.get(PSCI_VERSION)[0], "set_errno": pair.set(PSCI_VERSION, 2)}


def _pre(host: Host, record: Record, shared: Shared) -> Predicted:
    pair, reg = Pair(host), int(record["reg"], 16)
    errno = pair.set(reg, int(record["val"], 16))
    return {"errno": errno, "rb_v0": hexed(pair.get(reg, 0)), "rb_v1": hexed(pair.get(reg, 1))}


def _post(host: Host, record: Record, shared: Shared) -> Predicted:
    pair, reg = Pair(host), int(record["reg"], 16)
    told: Predicted = {"init_errno": pair.set(reg, int(record["init"], 16)), "run": pair.run(record["ran_vcpu"])}
    told["errno"] = pair.set(reg, int(record["val"], 16), record["writer"])
    return told | {"rb": hexed(pair.get(reg))}


def _immediate_exit(host: Host, record: Record, shared: Shared) -> Predicted:
    pair, reg = Pair(host), int(record["reg"], 16)
    value = pair.get(reg)[1]
    told: Predicted = {"run_errno": pair.run(immediate_exit=True)}
    return told | {"set_diff_errno": pair.set(reg, value ^ 1), "set_back_errno": pair.set(reg, value)}


def _reinit_after_run(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host)
    pair.set(STD_BMAP, 0)
    pair.run()
    told: Predicted = {"init_errno": pair.init(0), "val_after": hexed(pair.get(STD_BMAP))}
    return told | {"set_diff_errno": pair.set(STD_BMAP, 1)}


def _reinit_before_run(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host)
    pair.set(STD_BMAP, 0)
    pair.set(PSCI_VERSION, 0x10000)
    told: Predicted = {"init_errno": pair.init(0)}
    return told | {"bm0_after": hexed(pair.get(STD_BMAP)), "psci_after": hexed(pair.get(PSCI_VERSION))}


def _psci_version(host: Host, record: Record, shared: Shared) -> Predicted:
    features = FEATURE_PSCI_0_2 if record["psci02"] else 0
    told: Predicted = {"default": hexed(Pair(host, features=features).get(PSCI_VERSION))}
    # One VM takes all values of a phase in turn: after a refused one it still has the last accepted.
    pair = shared.setdefault((features, record["phase"]), Pair(host, features=features))
    if record["phase"] == "post":
        pair.run()
    told["errno"] = pair.set(PSCI_VERSION, int(record["val"], 16))
    return told | {"rb_v0": hexed(pair.get(PSCI_VERSION, 0)), "rb_v1": hexed(pair.get(PSCI_VERSION, 1))}


def _workaround(host: Host, record: Record, shared: Shared) -> Predicted:
    pair, reg = Pair(host), PSCI_VERSION + record["n"]
    told: Predicted = {"default": hexed(pair.get(reg))}
    if record["phase"] == "post":
        pair.run()
    told["errno"] = pair.set(reg, int(record["val"], 16))
    return told | {"rb": hexed(pair.get(reg))}


SETREG: Predictors = {
    "discover": _discover,
    "index": _index,
    "badptr": _badptr,
    "otherclass": _otherclass,
    "uninit_vcpu": _uninit_vcpu,
    "pre": _pre,
    "post": _post,
    "immediate_exit": _immediate_exit,
    "reinit_after_run": _reinit_after_run,
    "reinit_before_run": _reinit_before_run,
    "psci_version": _psci_version,
    "workaround": _workaround,
}
"""What the model predicts for each type of `setreg` record, from the record's inputs alone."""


def replay_setreg(recording: Recording, host: Host) -> Tally:
    """Replays `setreg`: every result field of a record must be predicted, and be equal."""
    return replay_typed(recording, host, "setreg", SETREG)
