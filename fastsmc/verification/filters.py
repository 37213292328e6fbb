"""Predicts what recorded filter inserts return: the records of `filter` that carry a type `t`."""

from __future__ import annotations

from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import FilterAction
from fastsmc.recordings.folder import Record
from fastsmc.verification.pair import Pair
from fastsmc.verification.typed import Predicted, Predictors, Shared

DENY = FilterAction.DENY
VALID = (0x8400_0000, 1, DENY)
"""An insert that a fresh VM accepts; the recorder names no range where none matters."""
RESERVED = (0x8000_8000, 1, DENY)
BAD_ACTION = 3


def _has(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host)
    told: Predicted = {"has_errno": pair.vm.has_device_attr(0, 0), "set_errno": pair.insert(*VALID)}
    told |= {"has_attr1_errno": pair.vm.has_device_attr(0, 1), "has_group1_errno": pair.vm.has_device_attr(1, 0)}
    told |= {"get_errno": pair.vm.get_device_attr(), "badptr_errno": pair.vm.insert_filter(*VALID, is_pointer_bad=True)}
    return told | {"flags1_errno": pair.insert(*VALID)}  # struct kvm_device_attr's flags are not looked at


def _single(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host)
    one = int(record["base"], 16), record["nr"], record["action"]
    return {"errno": pair.insert(*one), "again_errno": pair.insert(*one)}


def _bad_action(host: Host, record: Record, shared: Shared) -> Predicted:
    return {"errno": Pair(host).insert(VALID[0], 1, record["action"])}


def _pad(host: Host, record: Record, shared: Shared) -> Predicted:
    return {"errno": Pair(host).insert(*VALID, pad=True)}


def _precedence(host: Host, record: Record, shared: Shared) -> Predicted:
    return {
        "pad_and_nr0": Pair(host).insert(VALID[0], 0, DENY, pad=True),
        "nr0_and_badaction": Pair(host).insert(VALID[0], 0, BAD_ACTION),
        "badaction": Pair(host).insert(VALID[0], 1, BAD_ACTION),
        "reserved_and_badaction": Pair(host).insert(RESERVED[0], 1, BAD_ACTION),
    }


def _before_vcpu_create(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host)
    pair.uninit(0)
    return {"errno": pair.insert(*VALID)}


def _after_run(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host)
    pair.run()
    return {
        "deny": pair.insert(*VALID),
        "reserved": pair.insert(*RESERVED),
        "pad": pair.insert(*VALID, pad=True),
        "nr0": pair.insert(VALID[0], 0, DENY),
        "badaction": pair.insert(VALID[0], 1, BAD_ACTION),
        "handle": pair.insert(VALID[0], 1, FilterAction.HANDLE),
    }


def _after_immediate_exit(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host)
    return {"run_errno": pair.run(immediate_exit=True), "errno": pair.insert(*VALID)}


def _overlap(host: Host, record: Record, shared: Shared) -> Predicted:
    pair = Pair(host)
    inserts = [(int(base, 16), nr, action) for base, nr, action in (record["first"], record["second"])]
    return dict(zip(("e1", "e2"), (pair.insert(*one) for one in inserts), strict=True))


FILTER: Predictors = {
    "has": _has,
    "single": _single,
    "badaction": _bad_action,
    "pad": _pad,
    "precedence": _precedence,
    "before_vcpu_create": _before_vcpu_create,
    "after_run": _after_run,
    "after_immediate_exit": _after_immediate_exit,
    "overlap": _overlap,
}
"""What the model predicts for each type of `filter` record; the configurations below them are calls."""
