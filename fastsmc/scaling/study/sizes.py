"""How large the study of calls under load is."""

from __future__ import annotations

from dataclasses import dataclass

from fastsmc.scenario.model import LawKind

_POWERS = tuple(1 << k for k in range(11))


@dataclass(frozen=True, slots=True)
class StudySizes:
    """How large the study is; the defaults are the report's.

    Attributes:
        n_vm: VMs alike at a point, whose calls are put together. n_forwarded: forwarded calls at a point, at least.
        most_call: no point makes more calls, so rare calls are fewer.
        warmup: forwarded calls of each vCPU on average before they are counted. A queue fills as fast as vCPUs come to
            it, so rare calls need many: of 5 %, 20 calls a vCPU left the busiest point 2 % off.
        think_us: a vCPU's mean time between calls. share: of calls that are forwarded, where it is not the axis.
        service_law: of the VMM's work, whose mean is the profile's.
        workers: threads of the design between one lock and none.
        vcpus; shares and share_vcpus; lock_workers and lock_vcpus; ranges and range_vcpus; boot_vcpus: axes.
    """

    n_vm: int = 8
    n_forwarded: int = 1 << 17
    most_call: int = 1 << 20
    warmup: int = 8
    think_us: float = 100.0
    share: float = 0.5
    service_law: LawKind = "deterministic"
    workers: int = 4
    vcpus: tuple[int, ...] = _POWERS
    shares: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
    share_vcpus: tuple[int, ...] = (1, 16, 64, 512, 1024)
    lock_workers: tuple[int, ...] = _POWERS[:9]
    lock_vcpus: tuple[int, ...] = (512, 1024)
    ranges: tuple[int, ...] = (0, 1, 3, 10, 30, 100, 300, 1000, 3000)
    range_vcpus: tuple[int, ...] = (16, 64, 512)
    boot_vcpus: tuple[int, ...] = _POWERS
