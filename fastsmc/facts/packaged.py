"""Where the data files of the package lie."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).parents[1] / "data"


def packaged(*names: str) -> Path:
    """The path of a data file or folder that the package brings, such as `packaged("profiles")`."""
    return _DATA.joinpath(*names)


GUEST_BOOT_TRACE = packaged("linux-7.3-guest-boot.ftrace.txt")
"""The calls of a real Linux 7.3 guest that boots, as ftrace printed them."""

SAMPLES = {
    "boot.ftrace.txt": GUEST_BOOT_TRACE,
    "entropy.toml": packaged("samples", "entropy.toml"),
    "hosts.csv": packaged("samples", "hosts.csv"),
    "vms.csv": packaged("samples", "vms.csv"),
    "vm6.12.bin.xz": packaged("payloads", "linux-6.12.107-max", "payload-psci02+pmu.bin.xz"),
    "vm6.18.bin.xz": packaged("payloads", "linux-6.18.15-max", "payload-psci02+pmu.bin.xz"),
    "migrated.json": packaged("samples", "migrated.json"),
    "recording": packaged("samples", "linux-5.10.218-n1"),
}
"""Small inputs to try commands on, which the command line takes as `sample:NAME`.

The trace, the registers of two VMs and the recording are of real kernels, and the answer to query-migrate is that of a
real QEMU. Hosts, VMs and the scenario are made up.
"""
