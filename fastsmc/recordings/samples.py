"""Small real files to try the commands on, which every copy of the package brings."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastsmc.checks import escaped
from fastsmc.disk.staged import staged
from fastsmc.errors import ResultFileError
from fastsmc.facts.packaged import shared


@dataclass(frozen=True, slots=True)
class Sample:
    """One file: its name, what it is, and the command that reads it.

    Attributes:
        source: where it lies in a checkout of the project.
    """

    name: str
    what: str
    command: str
    source: str


_LOGS = "fastsmc migrate downtime --vcpus 4 --registers 182 --trace source.log --trace destination.log"

SAMPLES = (
    Sample(
        *("boot.txt", "calls of a Linux 7.3 guest that boots (recorded, ftrace)", "fastsmc services boot.txt"),
        source="fastsmc/data/linux-7.3-guest-boot.ftrace.txt",
    ),
    Sample(
        *("thousand_vcpus.toml", "1024 vCPUs that call all the time", "fastsmc simulate thousand_vcpus.toml"),
        source="examples/thousand_vcpus.toml",
    ),
    Sample(
        *("boot_storm.toml", "32 VMs of 32 vCPUs that boot at once", "fastsmc simulate boot_storm.toml"),
        source="examples/boot_storm.toml",
    ),
    Sample(
        *("trng_to_vmm.toml", "256 VMs whose VMM answers TRNG itself", "fastsmc simulate trng_to_vmm.toml"),
        source="examples/trng_to_vmm.toml",
    ),
    Sample(
        *("hosts.csv", "9 hosts (made up)", "fastsmc plan upgrade --hosts hosts.csv --vms vms.csv --to 6.18"),
        source="fastsmc/data/samples/hosts.csv",
    ),
    Sample(
        *("vms.csv", "their 27 VMs (made up)", "fastsmc plan problems --hosts hosts.csv --vms vms.csv"),
        source="fastsmc/data/samples/vms.csv",
    ),
    Sample(
        *("vm-6.18.bin.xz", "registers of a vCPU of Linux 6.18 (recorded)", "fastsmc migrate check vm-6.18.bin.xz 6.6"),
        source="tests/recordings/linux-6.18.15-max/payload-psci02+pmu.bin.xz",
    ),
    Sample(
        *("vm-6.12.bin.xz", "the same of 6.12 (recorded)", "fastsmc migrate diff vm-6.12.bin.xz vm-6.18.bin.xz"),
        source="tests/recordings/linux-6.12.107-max/payload-psci02+pmu.bin.xz",
    ),
    Sample(
        *("stream.xz", "a migration stream of QEMU 7.2, emulated CPU (recorded)", "fastsmc migrate inspect stream.xz"),
        source="tests/streams/max-4.bin.xz",
    ),
    Sample(
        *("source.log", "QEMU's trace of a migration (recorded), source", _LOGS),
        source="tests/downtime/source.log",
    ),
    Sample(
        *("destination.log", "the same of the destination", _LOGS),
        source="tests/downtime/destination.log",
    ),
)
"""What there is to try commands on, in the order of the pages that use it."""


@dataclass(frozen=True, slots=True, repr=False)
class Samples:
    """The sample files that were written.

    Attributes:
        folder: where.
        files: what lies there now.
    """

    folder: Path
    files: tuple[Sample, ...]

    def __repr__(self) -> str:
        return f"Samples({len(self.files)} files)"

    def __str__(self) -> str:
        width = max(len(one.name) for one in self.files)
        lines = [f"{one.name:{width}}  {one.what}" for one in self.files]
        return "\n".join([f"{len(self.files)} sample files in {escaped(str(self.folder))}", *lines])

    def as_dict(self) -> dict[str, Any]:
        """The samples as plain values: `folder` and `files` with `name`, `what`, `command`."""
        files = [{key: value for key, value in asdict(one).items() if key != "source"} for one in self.files]
        return {"folder": str(self.folder), "files": files}


def samples(folder: str | os.PathLike[str] = "fastsmc-samples") -> Samples:
    """Writes small real files to try things on: a guest's trace, scenarios, a fleet, registers, a stream, logs.

    Files of the same names that are there are replaced; others stay.

    Raises:
        ResultFileError: the folder cannot be written.
    """
    path = Path(folder)
    content = {one.name: shared(f"samples/{one.name}", one.source).read_bytes() for one in SAMPLES}
    try:
        with staged() as writing:
            writing.folder(path, content)
    except OSError as error:
        msg = f"{escaped(str(path))}: the samples cannot be written there ({error.strerror or error})"
        raise ResultFileError(msg) from error
    return Samples(path, SAMPLES)
