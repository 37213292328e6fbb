"""Where the data files of the package lie."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).parents[1] / "data"
_CHECKOUT = Path(__file__).parents[2]
"""Of an installed package: the folder of packages, where the paths below fastsmc/ are right as well."""


def packaged(*names: str) -> Path:
    """The path of a data file or folder that the package brings, such as `packaged("profiles")`."""
    return _DATA.joinpath(*names)


def shared(installed: str, checkout: str) -> Path:
    """The path of data that lies once in the project: in `data/` of an installed package, elsewhere in a checkout.

    pyproject.toml says under `force-include` what the wheel takes from where; tests/whole/test_wheel.py compares. What
    lies in the package's own folder is there in both, and a file named under `force-include` would leave it.
    """
    path = packaged(*installed.split("/"))
    return path if path.exists() else _CHECKOUT / checkout


GUEST_BOOT_TRACE = packaged("linux-7.3-guest-boot.ftrace.txt")
"""The calls of a real Linux 7.3 guest that boots, as ftrace printed them."""

PROBE = Path(__file__).parents[1] / "probing" / "standalone.py"
"""The probe, one file that runs without this package."""
RECORDER = PROBE.with_name("recorder.py")
"""The recorder, which the probe loads from beside itself."""

RECORDINGS = ("recordings", "tests/recordings")
"""The recordings of real kernels that every copy of the package brings, as `shared` takes them."""

SAMPLES = {
    "boot.ftrace.txt": GUEST_BOOT_TRACE,
    "entropy.toml": packaged("samples", "entropy.toml"),
    "hosts.csv": packaged("samples", "hosts.csv"),
    "vms.csv": packaged("samples", "vms.csv"),
    "vm6.12.bin.xz": packaged("payloads", "linux-6.12.107-max", "payload-psci02+pmu.bin.xz"),
    "vm6.18.bin.xz": packaged("payloads", "linux-6.18.15-max", "payload-psci02+pmu.bin.xz"),
    "migrated.json": packaged("samples", "migrated.json"),
    "host.json.xz": packaged("samples", "host.json.xz"),
    "recording": shared("recordings/linux-5.10.218-n1", "tests/recordings/linux-5.10.218-n1"),
    "thousand_vcpus.toml": shared("samples/thousand_vcpus.toml", "examples/thousand_vcpus.toml"),
    "boot_storm.toml": shared("samples/boot_storm.toml", "examples/boot_storm.toml"),
    "trng_to_vmm.toml": shared("samples/trng_to_vmm.toml", "examples/trng_to_vmm.toml"),
    "stream.xz": shared("samples/stream.xz", "tests/streams/max-4.bin.xz"),
    "source.log": shared("samples/source.log", "tests/downtime/source.log"),
    "destination.log": shared("samples/destination.log", "tests/downtime/destination.log"),
}
"""Small inputs to try commands on, which the command line takes as `sample:NAME`.

The trace, the registers of two VMs, the host profile and the recording are of real kernels, the stream and the answer
to query-migrate of a real QEMU. Hosts, VMs, scenarios and the two logs are made up.
"""
