"""Library only: which VMs have vCPUs that differ, in which bits, and which calls depend on who makes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastsmc.bitmaps import SLOT_ID
from fastsmc.calls.workload import Calls
from fastsmc.facts.smccc import FUNCTION_BY_ID, FUNCTIONS, Conduit, Gate, Service, Verdict
from fastsmc.fleet.selection import Selection
from fastsmc.reference.vm import Vm
from fastsmc.scopes.per_vcpu import STATE, PerVcpuFleet

Runs = tuple[range, ...]
"""vCPU numbers within their VM, as runs."""

_PROBES = (
    (0x8400_0000, 0),  # PSCI_VERSION
    (0x8400_000A, 0x8400_0012),  # PSCI_FEATURES of SYSTEM_RESET2
    (0x8400_000A, 0x8400_0015),  # and of SYSTEM_OFF2
    (0x8000_0001, 0xC500_0020),  # ARCH_FEATURES of PV_TIME_FEATURES
    (0x8600_0000, 0),  # VENDOR_HYP_FEATURES
)
"""(function, x1) of every question whose answer reads a firmware register, beside being gated by one. Derived: the
answers in `reference` that look at the PSCI version or a bitmap."""

_SHOWN_RUNS, _SHOWN_VMS = 8, 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One register that is not the same on all vCPUs of a VM.

    Attributes:
        bits: those that differ.
        groups: (value, vCPUs that hold it), by first vCPU.
    """

    vm: int
    register: str
    bits: int
    groups: tuple[tuple[int, Runs], ...]

    def __str__(self) -> str:
        (value, runs), *others = self.groups
        first = f"{self.register} is {value:#x} on vCPU{'s' * (sum(map(len, runs)) > 1)} {_spelled(runs)}"
        return ", ".join([first, *(f"{value:#x} on {_spelled(runs)}" for value, runs in others)])


@dataclass(frozen=True, slots=True)
class DifferingCall:
    """A known function whose verdict depends on which vCPU of the VM calls it, arguments not looked at.

    Attributes:
        conduit: HVC or SMC, with immediate 0.
        groups: (verdict, vCPUs that get it), by first vCPU.
    """

    vm: int
    func_id: int
    name: str
    conduit: Conduit
    groups: tuple[tuple[Verdict, Runs], ...]


@dataclass(frozen=True, slots=True)
class DifferingAnswer:
    """A question every vCPU of the VM may ask by HVC, and to which they get different answers.

    Attributes:
        x1: the question's argument.
        groups: (x0..x3, vCPUs that get them), by first vCPU.
    """

    vm: int
    func_id: int
    name: str
    x1: int
    groups: tuple[tuple[tuple[int, ...], Runs], ...]

    def __str__(self) -> str:
        answers = np.array([x for x, _ in self.groups], np.uint64)
        column = int(np.argmax((answers != answers[0]).any(axis=0)))  # the first of x0..x3 that differs tells enough
        asked = f"({FUNCTION_BY_ID[self.x1].name})" if self.x1 else ""
        words = " or ".join(dict.fromkeys(_signed(x[column]) for x, _ in self.groups))
        return f"{self.name}{asked} answers {words} in x{column}"


@dataclass(frozen=True, slots=True, eq=False)
class Asymmetry:
    """Which VMs have vCPUs that differ, at the moment of asking. Modelled: KVM has no such state.

    As text: one line per register that differs, for the first 20 VMs, with the calls that depend on it.

    Attributes:
        vms: int64[n_asymmetric], ascending.
        bits: uint64[n_vm, 5], the bits of each register of `per_vcpu.STATE` that differ between vCPUs of a VM.
        values: uint64[n_vcpu, 5], `PerVcpuFleet.values`.
        first_vcpu: int64[n_vm + 1].
        text: the report.
    """

    vms: NDArray[np.int64]
    bits: NDArray[np.uint64]
    values: NDArray[np.uint64]
    first_vcpu: NDArray[np.int64]
    text: str = ""

    def differences(self, vm: int) -> tuple[Difference, ...]:
        """The registers that differ within one VM; empty for a symmetric one."""
        first, end = self.first_vcpu[vm : vm + 2]
        return tuple(
            Difference(vm, STATE[column], int(self.bits[vm, column]), tuple(_groups(self.values[first:end, column])))
            for column in np.flatnonzero(self.bits[vm])
        )

    def __len__(self) -> int:
        return int(self.vms.size)

    def __str__(self) -> str:
        return self.text


def asymmetric(model: PerVcpuFleet) -> Asymmetry:
    """Which VMs have vCPUs whose firmware registers differ.

    A PSCI version set to the release's default equals one that was never set: what GET_ONE_REG gives is compared.

    Cost: O(n_vcpu), no Python loop over vCPUs or VMs, and `differing_calls` of the VMs in the text.
    """
    found = _compared(model)
    doubt = ", hypothetical: more than 512 vCPUs in a VM" if model.is_hypothetical else ""
    is_are = "is" if len(found) == 1 else "are"
    lines = [f"{len(found)} of {model.fleet.n_vm} VMs {is_are} asymmetric (modelled: KVM has no such state{doubt})"]
    shown = found.vms[:_SHOWN_VMS]
    calls, answers = differing_calls(model, vms=shown), differing_answers(model, vms=shown)
    for vm in shown.tolist():
        asked = ", ".join(str(answer) for answer in answers if answer.vm == vm)
        for difference in found.differences(vm):
            gated = [call for call in calls if call.vm == vm and _gate_of(call.func_id) == difference.register]
            lines.append(f"VM {vm}: {difference}: {_calls_told(gated) or 'no verdict depends on it'}")
        lines += [f"VM {vm}: {asked}, depending on the vCPU"] * bool(asked)
    lines += [f"and {len(found) - _SHOWN_VMS} VMs more"] * (len(found) > _SHOWN_VMS)
    return replace(found, text="\n".join(lines))


def _compared(model: PerVcpuFleet) -> Asymmetry:
    values, first = model.values(), model.fleet.first_vcpu
    in_some: NDArray[np.uint64] = np.bitwise_or.reduceat(values, first[:-1], axis=0)
    in_all: NDArray[np.uint64] = np.bitwise_and.reduceat(values, first[:-1], axis=0)
    bits = in_some ^ in_all
    return Asymmetry(np.flatnonzero(bits.any(axis=1)), bits, values, first)


def differing_calls(model: PerVcpuFleet, *, vms: Selection = slice(None)) -> tuple[DifferingCall, ...]:
    """The known functions (smccc.FUNCTIONS), by HVC and by SMC, whose verdict depends on the vCPU that calls.

    Arguments can make two vCPUs' verdicts equal (SYSTEM_RESET2 and SYSTEM_OFF2 refuse some), never more different.

    Args:
        vms: which VMs to look at.

    Cost: a sort of each asymmetric VM's vCPUs, and one row per call found.
    """
    tables, policy_of_vcpu = model.holders.tables()
    found = []
    for number, span in _asymmetric_spans(model, vms):
        policies, member = np.unique(policy_of_vcpu[span], return_inverse=True)
        rows = tables.action[policies, :2]  # the planes of HVC and SMC, immediate 0
        for plane, slot in np.argwhere((rows != rows[0]).any(axis=0)).tolist():
            groups = tuple((Verdict(v), runs) for v, runs in _groups(rows[member, plane, slot]))
            row = FUNCTIONS[slot]
            found.append(DifferingCall(number, int(SLOT_ID[slot]), row.name, Conduit(plane), groups))
    return tuple(found)


def differing_answers(model: PerVcpuFleet, *, vms: Selection = slice(None)) -> tuple[DifferingAnswer, ...]:
    """The questions about versions and features that all vCPUs of a VM may ask, and whose answer depends on who asks.

    Args:
        vms: which VMs to look at.

    Cost: as `differing_calls`, and the reference once per distinct policy and question.
    """
    tables, policy_of_vcpu = model.holders.tables()
    slot_of = {row.func_id: slot for slot, row in enumerate(FUNCTIONS)}
    found = []
    for number, span in _asymmetric_spans(model, vms):
        policies, first, member = np.unique(policy_of_vcpu[span], return_index=True, return_inverse=True)
        guests = [_reference(model, span.start + int(vcpu)) for vcpu in first]
        for func_id, x1 in _PROBES:
            if (tables.action[policies, 0, slot_of[func_id]] != Verdict.HANDLED).any():
                continue
            answers = [guest.call(0, func_id, x1).x for guest in guests]
            kinds = list(dict.fromkeys(answers))
            if len(kinds) > 1:
                kind_of_vcpu = np.array([kinds.index(answer) for answer in answers])[member]
                groups = tuple((kinds[kind], runs) for kind, runs in _groups(kind_of_vcpu))
                found.append(DifferingAnswer(number, func_id, FUNCTION_BY_ID[func_id].name, x1, groups))
    return tuple(found)


def calls_that_differ(model: PerVcpuFleet, calls: Calls) -> NDArray[np.int64]:
    """Which calls of a batch would have had another verdict, had vCPU 0 of the caller's VM made them.

    Returns:
        int64[n_found], indices into the batch, ascending.

    Raises:
        InputError: a call by a vCPU the fleet does not have.
    """
    own = model.verdicts(calls)
    first = model.fleet.first_vcpu[model.fleet.vm_of_vcpu[calls.vcpu]]
    return np.flatnonzero(own != model.verdicts(replace(calls, vcpu=first.astype(np.uint32))))


def _asymmetric_spans(model: PerVcpuFleet, vms: Selection) -> Iterator[tuple[int, slice]]:
    """Number and vCPUs of every selected VM that is asymmetric."""
    chosen = model.fleet.vms(vms)
    for number in chosen[np.isin(chosen, _compared(model).vms)].tolist():
        first, end = model.fleet.first_vcpu[number : number + 2].tolist()
        yield number, slice(first, end)


def _reference(model: PerVcpuFleet, vcpu: int) -> Vm:
    """A reference VM with what one vCPU holds; its filter is left out, as the caller has seen to that."""
    holders = model.holders
    guest = Vm(holders.hosts[holders.host_of_vm[vcpu]], features=int(holders.features[vcpu]))
    guest.bitmap = holders.fw_bmap[vcpu].tolist()
    guest.psci_version = int(holders.psci_version[vcpu])
    guest.has_system_suspend = bool(holders.has_system_suspend[vcpu])
    return guest


def _gate_of(func_id: int) -> str:
    """The register of STATE that a function's verdict can depend on; '' for none."""
    row = FUNCTION_BY_ID[func_id]
    if row.gate is Gate.BITMAP:
        return STATE[1 + row.bitmap]
    return "PSCI_VERSION" if row.service is Service.PSCI else ""


def _groups(column: NDArray[np.generic]) -> Iterator[tuple[int, Runs]]:
    """(value, where it is) of each distinct value, by first place."""
    kinds, first = np.unique(column, return_index=True)
    for kind in kinds[np.argsort(first)]:
        places = np.flatnonzero(column == kind)
        parts = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
        yield int(kind), tuple(range(int(part[0]), int(part[-1]) + 1) for part in parts)


def _spelled(runs: Runs) -> str:
    """Runs as Linux spells CPU lists: "0-62,64"."""
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:_SHOWN_RUNS]]
    hidden = sum(map(len, runs[_SHOWN_RUNS:]))
    return ",".join(texts) + (f" and {hidden} more" if hidden else "")


def _calls_told(calls: list[DifferingCall]) -> str:
    """The calls of one register in a sentence; those with equal conduits and verdicts together."""
    conduits: dict[tuple[str, tuple[tuple[Verdict, Runs], ...]], list[str]] = {}
    for call in calls:
        conduits.setdefault((call.name, call.groups), []).append(call.conduit.name)
    names: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (name, groups), ways in conduits.items():
        told = " or ".join(dict.fromkeys(verdict.name for verdict, _ in groups))
        names.setdefault((told, tuple(ways)), []).append(name)
    parts = []
    for (told, by), named in names.items():
        listed = ", ".join(named[:-1]) + " and " * (len(named) > 1) + named[-1]
        parts.append(f"{listed}{f' by {by[0]}' * (len(by) == 1)} {'are' if len(named) > 1 else 'is'} {told}")
    return f"{'; '.join(parts)} depending on the vCPU" if parts else ""


def _signed(word: int) -> str:
    return str(word - (1 << 64)) if word >> 63 else hex(word)
