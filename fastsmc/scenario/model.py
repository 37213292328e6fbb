"""What a scenario is once it is checked: frozen values a simulation can trust. Times are in ns, rates in 1/s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastsmc.facts.costs import Figure
from fastsmc.facts.smccc import Conduit, Level
from fastsmc.facts.vcpu import MAX_VCPU_PER_VM
from fastsmc.fleet.filters import FilterRange
from fastsmc.scenario.scripts import Script

LawKind = Literal["deterministic", "exponential"]
WorkloadKind = Literal["closed", "open", "script"]
Lock = Literal["vm", "workers", "none"]


@dataclass(frozen=True, slots=True)
class Law:
    """How a span of time is drawn."""

    kind: LawKind
    mean_ns: float


@dataclass(frozen=True, slots=True)
class OnOff:
    """Bursts: a vCPU calls during on-times only. Both spans are exponential, each with its own mean."""

    on_ns: float
    off_ns: float

    @property
    def share_on(self) -> float:
        """Share of the time a vCPU is on."""
        return self.on_ns / (self.on_ns + self.off_ns)


@dataclass(frozen=True, slots=True)
class MixEntry:
    """One kind of call and its share of all calls of a workload, 0 < share <= 1; shares add up to 1.

    Attributes:
        name: as the scenario has it, or the project's name for the id.
        service: what the VMM does for it if it is forwarded; None: as for the group's other calls.
        level: the exception level it is made at, in a guest with EL2.
    """

    name: str
    func_id: int
    conduit: Conduit = Conduit.HVC
    x1: int = 0
    x2: int = 0
    x3: int = 0
    share: float = 1.0
    service: Law | None = None
    level: Level = Level.EL1


@dataclass(frozen=True, slots=True)
class Workload:
    """Which calls each vCPU makes, and when.

    Attributes:
        kind: closed: think `gap`, call, wait for the answer. open: calls come, whatever is outstanding. script: a
            sequence once, each step after the one it waits for.
        gap: closed: thinking time. open: time between arrivals (with `onoff`: while on). None for script, and for
            an open workload that replays a trace at its own times (`script` is there, and its at_ns are the arrivals).
        mix: what is called. With a script: its distinct calls, and `share` as they occur in it.
        step_entry: int per script step, index into `mix`; empty without a script.
    """

    name: str
    kind: WorkloadKind
    mix: tuple[MixEntry, ...]
    gap: Law | None = None
    onoff: OnOff | None = None
    script: Script | None = None
    step_entry: tuple[int, ...] = ()

    @property
    def rate_hz(self) -> float | None:
        """Long-run calls per second of one vCPU that is open and not scripted; else None."""
        if self.kind != "open" or self.gap is None:
            return None
        return 1e9 / self.gap.mean_ns * (self.onoff.share_on if self.onoff else 1.0)


@dataclass(frozen=True, slots=True)
class VmGroup:
    """VMs that are alike.

    Attributes:
        count: VMs. vcpus: of each VM.
        features: word 0 of KVM_ARM_VCPU_INIT.
        psci: PSCI_VERSION as set, 0: the release's default.
        bitmaps: firmware bitmap registers that are set, by name.
        lock: vm: one lock for the whole VM. workers: `workers` threads take forwarded calls, first come first served.
            none: every vCPU has a thread of its own.
        workers: 1 for vm, as given for workers, `vcpus` for none.
        service: what the VMM does for one forwarded call, its lock held.
        service_is_from_profile: the scenario does not say it; it is the profile's vmm_service_ns.
        kvm_arm_mode: of the host. is_protected: they are protected VMs.
    """

    name: str
    count: int
    vcpus: int
    release: str
    features: int
    psci: int
    bitmaps: tuple[tuple[str, int], ...]
    filter: tuple[FilterRange, ...]
    workload: Workload
    lock: Lock
    workers: int
    service: Law
    service_is_from_profile: bool = False
    kvm_arm_mode: str = "default"
    is_protected: bool = False

    @property
    def is_hypothetical(self) -> bool:
        """More vCPUs in a VM than arm64 KVM allows today."""
        return self.vcpus > MAX_VCPU_PER_VM


@dataclass(frozen=True, slots=True)
class HostCores:
    """Cores all vCPUs of the scenario share, and how long the scheduler lets one run while others wait."""

    cores: int
    slice_ns: Figure
