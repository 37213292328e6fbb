"""Host profiles, as the probe writes them. Numbers in hexadecimal text begin with 0x and have no leading zeros."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class ProbedKernel(TypedDict):
    """What uname and the kernel say."""

    release: str
    version: str
    machine: str
    page_bytes: int


class CpuKind(TypedDict):
    """CPUs of one kind, by MIDR_EL1 of /proc/cpuinfo, whose architecture field is 15 there."""

    midr: str
    cores: int


class ProbedCpu(TypedDict):
    """Which CPUs there are; features are those of /proc/cpuinfo."""

    kinds: list[CpuKind]
    features: str
    clocksource: str | None


class LargestVm(TypedDict):
    """How many vCPUs a VM may have: KVM_CAP_MAX_VCPUS, and how many were made before the limit, an errno or the time
    ended it."""

    limit: int
    made: int
    ended_by: str


class ProbedKvm(TypedDict):
    """What KVM says of itself.

    capabilities: by number, what /dev/kvm and a VM answer, negative errnos for a refused question; those that are 0 at
    both are left out. device_errnos: whether interrupt controllers can be made, 0 for yes. mode: as KVM acts;
    mode_asked: kvm-arm.mode as it was given.
    """

    api_version: int
    mode_asked: str | None
    mode: Literal["default", "nvhe", "nested", "protected"]
    capabilities: dict[str, list[int]]
    device_errnos: dict[str, int]
    pv_time_errno: int
    sve_lengths: list[int]
    largest_vm: LargestVm


class ProbedFilter(TypedDict):
    """The SMCCC filter: whether a VM takes one (0 for yes), and what it says to a range of no functions."""

    errno: int
    empty_at_0_errno: int
    empty_errno: int


class FirmwareRegister(TypedDict):
    """A firmware register after reset; the words that it accepts of those tried, or of a bitmap the bits."""

    id: str
    name: str | None
    reset: str
    accepted: NotRequired[list[str]]
    accepted_bits: NotRequired[str]


class ProbedRegisters(TypedDict):
    """The registers of a vCPU after its reset, in the order of KVM_GET_REG_LIST, and errnos of those not readable.

    init: word 0 of the features of KVM_ARM_VCPU_INIT.
    """

    features: str
    init: str
    registers: dict[str, str]
    unread: dict[str, int]


class RefusedFeatures(TypedDict):
    """A feature set that KVM_ARM_VCPU_INIT refused although its capabilities are there."""

    features: str
    init: str
    errno: int


class Spread(TypedDict):
    """Median and quartiles of samples, in ns; Python's own share is in those of ioctls."""

    median: float
    q1: float
    q3: float
    samples: int


class Overhead(TypedDict):
    """What is in a figure besides KVM: a function of C, one that is a system call, ioctls that do next to nothing."""

    function: Spread
    system_call: Spread
    ioctl: Spread
    ioctl_with_struct: Spread


class TimedCall(TypedDict):
    """A call from the guest and back, with a filter of so many ranges; `store` is one to MMIO."""

    call: str
    id: str
    ranges: int
    ns: Spread


class TimedRegisters(TypedDict):
    """One get or set of a register of a kind: cold, at a fresh vCPU's first touch, or warm."""

    kind: str
    ioctl: Literal["get", "set"]
    state: Literal["cold", "warm"]
    registers: int
    ns: Spread


class TimedWay(TypedDict):
    """All registers of a vCPU one after another: how many ioctls, ns of all vCPUs, and of one."""

    ioctls: int
    all: float
    ns: Spread


class TimedVm(TypedDict):
    """A save and a load of all registers of a VM."""

    vcpus: int
    save: TimedWay
    load: TimedWay


class HostCosts(TypedDict):
    """What a host pays; cut: what could not be measured, a sentence each."""

    features: str
    overhead: Overhead
    calls: list[TimedCall]
    registers: list[TimedRegisters]
    vms: list[TimedVm]
    cut: list[str]
    seconds: float


class HostProfile(TypedDict):
    """What the probe found on one host; emulated_by has the signs that it is no real machine."""

    schema: Literal["fastsmc-host-profile"]
    version: Literal[1]
    date_utc: str
    emulated_by: list[str]
    kernel: ProbedKernel
    cpu: ProbedCpu
    vulnerabilities: dict[str, str]
    kvm: ProbedKvm
    filter: ProbedFilter
    firmware: list[FirmwareRegister]
    register_sets: list[ProbedRegisters]
    refused: list[RefusedFeatures]
    costs: NotRequired[HostCosts]
