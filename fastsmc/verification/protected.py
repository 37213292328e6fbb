"""Replays `protected`: which VMs a host creates, what protected ones lack, and their calls beside ordinary ones'.

Every line is a record. The lines of one VM follow the line that creates it, in the order in which things were done.
"""

from __future__ import annotations

from collections.abc import Container
from errno import EINVAL

from fastsmc.checks import shown, whole
from fastsmc.errors import InputError
from fastsmc.facts.guests import CAPS_NOT_FOR_PROTECTED, VM_TYPE_PROTECTED, vcpu_init_errno, vm_type_errno, why_refused
from fastsmc.facts.registers import BITMAP_REGISTERS, FW_BY_NAME, register
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import PSCI_1_0, PSCI_1_3, FilterAction
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording
from fastsmc.reference.state import OK
from fastsmc.reference.vm import Vm
from fastsmc.verification.fields import conduit_of, word, words
from fastsmc.verification.pair import DisagreementError, Made, Pair
from fastsmc.verification.tally import Tally
from fastsmc.verification.typed import Predicted, hexed

INSERT = (0x8200_0000, 4, FilterAction.FWD_TO_USER)
"""The range that the recorder inserts into every VM's filter; no call of its list is in it."""
IPA_BITS = 0xFF
"""The bits of a VM's type that hold its IPA size. Of the others, KVM knows that of protected VMs. Source: api.rst."""
VM_KEYS = frozenset({"t", "protected", "c"})
CALL_KEYS = frozenset({"id", "c", "a", "x", "protected"})
TYPES = frozenset({"create", "caps", "vm", "fw_default", "bitmap", "psci", "reg_list", "end"})


class Guests:
    """The VMs of a host, one after another."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.pair: Pair | None = None
        self.caps: dict[str, int] | None = None
        self.is_protected = False
        self.conduit = ""
        self.n_call = 0
        self.n_reg: int | None = None
        self.refused = ""

    def told(self, record: Record) -> tuple[Predicted, Predicted]:
        """The results of a record, and what the model says they are."""
        rule = {"create": self._create, "caps": self._caps, "vm": self._vm}.get(record.get("t", ""))
        if rule is not None:
            return rule(record)
        if self.refused:
            return _results(record, {"t"}), {"model": self.refused}
        if self.pair is None:
            msg = "the line that creates the VM must come first"
            raise InputError(msg)
        if "t" not in record:
            return self._call(self.pair, record)
        rules = {"fw_default": self._fw_default, "bitmap": self._bitmap, "psci": self._psci, "reg_list": self._reg_list}
        return rules.get(record["t"], self._end)(self.pair, record)

    def _create(self, record: Record) -> tuple[Predicted, Predicted]:
        kind = word("type", record["type"])
        errno = vm_type_errno(self.host, is_protected=bool(kind & VM_TYPE_PROTECTED))
        return _results(record, {"t", "type"}), {"errno": EINVAL if kind & ~VM_TYPE_PROTECTED & ~IPA_BITS else errno}

    def _caps(self, record: Record) -> tuple[Predicted, Predicted]:
        """An ordinary VM's capabilities are the machine's; a protected one has those but for some."""
        is_protected = bool(word("type", record["type"]) & VM_TYPE_PROTECTED)
        if refused := why_refused(self.host, FEATURE_PSCI_0_2, is_protected=is_protected):
            return _results(record, {"t", "type"}), {"model": refused}
        vm = Vm(self.host, is_protected=is_protected)
        told: Predicted = {"has_filter_errno": vm.has_device_attr(0, 0)}
        if not is_protected:
            self.caps = dict(record["caps"])
            return _results(record, {"t", "type", "caps"}), told
        if self.caps is None:
            msg = "the capabilities of an ordinary VM must come first"
            raise InputError(msg)
        left = {cap: value for cap, value in self.caps.items() if int(cap) not in CAPS_NOT_FOR_PROTECTED}
        return _results(record, {"t", "type"}), told | {"caps": left}

    def _vm(self, record: Record) -> tuple[Predicted, Predicted]:
        self.is_protected = bool(whole("protected", record["protected"], last=1))
        self.refused = why_refused(self.host, FEATURE_PSCI_0_2, is_protected=self.is_protected)
        if self.refused:
            return _results(record, VM_KEYS), {"model": self.refused}
        self.pair = Pair(self.host, n_vcpu=1, is_protected=self.is_protected)
        self.conduit, self.n_call = str(record["c"]), 0
        conduit_of(record["c"])
        told: Predicted = {"memslot_errno": OK, "filter_errno": self.pair.insert(*INSERT), "vcpu_errno": OK}
        errno = vcpu_init_errno(self.host, FEATURE_PSCI_0_2, is_protected=self.is_protected)
        return _results(record, VM_KEYS), told | {"init_errno": errno}

    def _fw_default(self, pair: Pair, record: Record) -> tuple[Predicted, Predicted]:
        registers = [FW_BY_NAME[name].reg for name in pair.vm.release.fw_registers]
        told: Predicted = {"features": f"{FEATURE_PSCI_0_2:#x}"}
        told["regs"] = {f"{reg:#x}": [OK, hexed(pair.get(reg))] for reg in registers}
        return _results(record, {"t"}), told

    def _bitmap(self, pair: Pair, record: Record) -> tuple[Predicted, Predicted]:
        reg = BITMAP_REGISTERS[whole("n", record["n"], last=len(BITMAP_REGISTERS) - 1)].reg
        told: Predicted = {"set0_errno": pair.set(reg, 0)}
        errno, value = pair.get(reg)
        return _results(record, {"t", "n"}), told | {
            "rb_errno": errno,
            "rb": f"{value:#x}",
            "set1_errno": pair.set(reg, 1),
        }

    def _psci(self, pair: Pair, record: Record) -> tuple[Predicted, Predicted]:
        """The recorder calls the second value by another name than its own, which is 1.3."""
        told: Predicted = {"set_10000_errno": pair.set(register("PSCI_VERSION"), PSCI_1_0)}
        return _results(record, {"t"}), told | {"set_10001_errno": pair.set(register("PSCI_VERSION"), PSCI_1_3)}

    def _reg_list(self, pair: Pair, record: Record) -> tuple[Predicted, Predicted]:
        """How many registers there are is the machine's: the first VM tells, and all others list as many."""
        self.n_reg = record["n"] if self.n_reg is None else self.n_reg
        return _results(record, {"t"}), {"errno": OK, "n": self.n_reg}

    def _call(self, pair: Pair, record: Record) -> tuple[Predicted, Predicted]:
        self.n_call += 1
        x0, conduit = word("id", record["id"]), conduit_of(record["c"])
        x1, x2, x3 = words("a", record["a"], n=3)
        ((outcome, apart),) = pair.calls([Made((x0, x1, x2, x3), conduit)])
        seen = words("x", [int(text, 16) for text in record["x"]], n=4)
        told: Predicted = {"protected": int(self.is_protected), "c": self.conduit, "exit": None, "x": list(record["x"])}
        if not outcome.matches((seen[0], seen[1], seen[2], seen[3])):
            told["x"] = [f"{value:#x}" for value in outcome.x]
        if outcome.exit is not None:
            told["exit"] = outcome.exit
        if apart:
            told["vectorized"] = apart
        return _results(record, {"id", "a"}) | {"exit": None}, told

    def _end(self, pair: Pair, record: Record) -> tuple[Predicted, Predicted]:
        return _results(record, {"t"}), {"calls": self.n_call}


def _results(record: Record, inputs: Container[str]) -> Predicted:
    return {key: value for key, value in record.items() if key not in inputs}


def replay_protected(recording: Recording, host: Host) -> Tally:
    """Replays `protected`: VM types, capabilities, firmware registers, filter and calls of both kinds of VM."""
    tally, guests = Tally(recording.name, "protected"), Guests(host)
    line = 0
    try:
        for line, record in recording.records("protected"):
            if record.get("t") == "create" and word("type", record["type"]) & IPA_BITS:
                tally.cannot_judge("VMs created with an IPA size of their own")
            elif record.get("t") in TYPES or ("t" not in record and record.keys() <= CALL_KEYS):
                tally.add(_judged(guests, line, record))
            else:
                tally.cannot_judge(f"protected records of type {shown(str(record.get('t')))}")
    except FORMAT_ERRORS as error:
        raise recording.malformed(tally.kind, line, error) from error
    return tally


def _judged(guests: Guests, line: int, record: Record) -> str | None:
    try:
        recorded, told = guests.told(record)
    except DisagreementError as error:
        return f"line {line}: {record}: {error}"
    keys = [key for key in recorded | told if recorded.get(key) != told.get(key)]
    parts = (f"{key}: recorded {recorded.get(key)}, model {told.get(key)}" for key in keys)
    return f"line {line}: {record}: " + "; ".join(parts) if keys else None
