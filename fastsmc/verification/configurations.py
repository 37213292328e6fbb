"""The VMs that call records were made on: built from the headers that describe them, twice.

A header says what a VM was given: SET_ONE_REG calls, filter inserts, what its firmware registers then were. The same
calls are made on a reference VM and on one VM of a fleet, and what comes out otherwise than recorded is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EINVAL, ENXIO

import numpy as np

from fastsmc.checks import whole
from fastsmc.facts.registers import FW_BY_NAME
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import FilterAction
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2, MAX_VCPU_PER_VM, STOPPED
from fastsmc.fleet.filters import FilterRange
from fastsmc.recordings.folder import Record
from fastsmc.reference.state import MASK32, OK
from fastsmc.reference.vm import Vm
from fastsmc.verification.fields import fleet_get, word
from fastsmc.verification.tally import Tally
from fastsmc.vm import Fleet

STEAL_TIME_IPA, STEAL_TIME_STRIDE = 0x4038_0000, 64
"""Where the recorder put vCPU 0's steal-time record, and the distance to the next vCPU's."""

HEADER_KEYS = frozenset({"cfg", "features", "nvcpu", "sets", "filter", "fw", "enable_system_suspend_errno"})

PVTIME_KEYS = frozenset({"pvtime_errno_v0", "pvtime_errno_v1"})

MAX_PAD_SHARE = 0.05
"""The largest share of a host's inserts that a pad byte, which was not printed, may explain; recorded: 1.6 to 2.4 %."""

PAD_NOTE = "filter inserts replayed with a non-zero pad byte, which their recording does not print"


@dataclass(slots=True)
class Configuration:
    """One recorded VM, and the calls made on it so far.

    Attributes:
        header, line: the record that describes the VM, and its line.
        vm: the reference's VM.
        wrong: what of the header came out otherwise than recorded.
        pending_exits: exits after which the guest was not yet seen to go on.
        listed: x0 of the calls so far.
        n_answer, n_not_supported: how many answers so far, and how many of them are -1.
        n_summary: how many summaries so far; one closes the configuration.
    """

    header: Record
    line: int
    vm: Vm
    wrong: list[str]
    pending_exits: Counter[tuple[object, ...]] = field(default_factory=Counter)
    listed: list[int] = field(default_factory=list)
    n_answer: int = 0
    n_not_supported: int = 0
    n_summary: int = 0

    @property
    def has_filter(self) -> bool:
        """Whether its release has one; elsewhere every insert is EINVAL."""
        return self.vm.release.has_filter


def unclosed(configuration: Configuration) -> list[str]:
    """What is missing, or too much, at the end of a configuration's lines."""
    wrong = [f"an exit {key} after which the guest did not go on" for key in +configuration.pending_exits]
    if configuration.n_summary > 1:
        wrong.append(f"{configuration.n_summary} summaries close it, where one does")
    return wrong


def judge_headers(configurations: list[Configuration], wrong: list[list[str]], tally: Tally) -> None:
    """Counts the headers. That a pad byte was set is taken as an input, as long as such inserts are few."""
    n_insert = sum(len(c.header.get("filter", ())) for c in configurations)
    n_pad = sum(pad for c in configurations for *_, pad in inserts(c.header)) if configurations[0].has_filter else 0
    if n_pad:
        tally.notes[PAD_NOTE] += n_pad
    for configuration, parts in zip(configurations, wrong, strict=True):
        if n_pad > max(MAX_PAD_SHARE * n_insert, 2) and any(pad for *_, pad in inserts(configuration.header)):
            parts.append(
                f"EINVAL from well-formed fields, and {n_pad} of {n_insert} such inserts are too many for pads"
            )
        where = f"line {configuration.line}, configuration {configuration.header['cfg']}: "
        tally.add(where + "; ".join(parts) if parts else None)


def reference_vm(host: Host, header: Record) -> Vm:
    """The VM a header describes, before its SET_ONE_REG and filter calls."""
    n_vcpu = whole("nvcpu", header["nvcpu"], first=1, last=MAX_VCPU_PER_VM)
    vm = Vm(host, features=word("features", header["features"], last=MASK32), n_vcpu=n_vcpu)
    if vm.features & FEATURE_PSCI_0_2:
        vm.mp_state[1:] = [STOPPED] * (header["nvcpu"] - 1)
    for vcpu in range(n_vcpu):
        if f"pvtime_errno_v{vcpu}" in header:
            vm.steal_base[vcpu] = STEAL_TIME_IPA + STEAL_TIME_STRIDE * vcpu
    return vm


def inserts(header: Record) -> Iterator[tuple[int, int, int, int, bool]]:
    """Filter inserts of a header: base, nr, action, recorded errno, and whether the pad must have been non-zero.

    A header prints neither pad nor why an insert failed: EINVAL from well-formed fields can only be the pad.
    """
    for f in header.get("filter", ()):
        base, nr = word("base", f["base"], last=MASK32), whole("nr", f["nr"], last=MASK32)
        action = whole("action", f["action"], last=0xFF)
        last = (base + nr - 1) & MASK32
        is_malformed = action > FilterAction.FWD_TO_USER or last < base or nr == 0
        yield base, nr, action, f["errno"], f["errno"] == EINVAL and not is_malformed


def set_up(vm: Vm, header: Record) -> list[str]:
    """Makes the header's calls on the reference VM; what came out otherwise than recorded."""
    wrong = []

    def compare(what: str, mine: object, recorded: object) -> None:
        if mine != recorded:
            wrong.append(f"{what}: recorded {recorded}, reference {mine}")

    if "enable_system_suspend_errno" in header:
        compare("enable SYSTEM_SUSPEND", vm.enable_system_suspend(), header["enable_system_suspend_errno"])
    for key in header:
        if key.startswith("pvtime_errno"):
            compare(key, OK if "PV_TIME" in vm.release.answers else ENXIO, header[key])
    for s in header["sets"]:
        reg, value = word("reg", s["reg"]), word("val", s["val"])
        compare(f"SET {s['reg']} = {s['val']}", vm.set_one_reg(0, reg, value), s["errno"])
    has_filter = vm.release.has_filter
    for base, nr, action, errno, pad in inserts(header):
        mine = vm.insert_filter(base, nr, action, pad=pad and has_filter)
        compare(f"filter 0x{base:08x}+{nr} action {action}", mine, errno)
    present = [f"{FW_BY_NAME[name].reg:#x}" for name in vm.release.fw_registers]
    compare("firmware registers", sorted(present), sorted(header["fw"]))
    for reg, value in header["fw"].items():
        compare(f"GET {reg}", vm.get_one_reg(0, word("a register of fw", reg)), (OK, word("a value of fw", value)))
    return wrong


def fleet_of(configurations: list[Configuration], host: Host) -> Fleet:
    """The same VMs as a fleet, before their headers' calls; other vCPUs than the caller start as recorded."""
    return fleet_with([c.header for c in configurations], host)


def fleet_with(headers: list[Record], host: Host) -> Fleet:
    """One VM per header, as `fleet_of` builds them."""
    features = np.array([int(h["features"], 16) for h in headers])
    fleet = Fleet([h["nvcpu"] for h in headers], hosts=host, features=features)
    starts_off = fleet.features[fleet.vm_of_vcpu] & FEATURE_PSCI_0_2 != 0
    starts_off[fleet.first_vcpu[:-1]] = False
    fleet.vcpu_init(np.flatnonzero(starts_off), power_off=True)
    return fleet


def set_up_fleet(fleet: Fleet, vms: int | list[int], header: Record) -> list[str]:
    """Makes the header's calls on one VM of a fleet, or on equal ones; what came out otherwise than recorded."""
    wrong = []
    if "enable_system_suspend_errno" in header:
        errno = int(fleet.enable_system_suspend(vms=vms)[0])
        wrong += _unless_equal("fleet: enable SYSTEM_SUSPEND", errno, header["enable_system_suspend_errno"])
    for s in header["sets"]:
        errno = int(fleet.try_set_one_reg(int(s["reg"], 16), int(s["val"], 16), vms=vms)[0])
        wrong += _unless_equal(f"fleet: SET {s['reg']} = {s['val']}", errno, s["errno"])
    for base, nr, action, recorded, pad in inserts(header):
        if not pad:  # a fleet has no pad bytes to set wrong
            errno = int(fleet.try_install_filter(FilterRange(base, nr, action), vms=vms)[0, 0])
            wrong += _unless_equal(f"fleet: filter 0x{base:08x}+{nr} action {action}", errno, recorded)
    for reg, value in header["fw"].items():
        wrong += _unless_equal(f"fleet: GET {reg}", fleet_get(fleet, int(reg, 16), vms), (OK, int(value, 16)))
    return wrong


def _unless_equal(what: str, mine: object, recorded: object) -> list[str]:
    return [] if mine == recorded else [f"{what}: recorded {recorded}, model {mine}"]
