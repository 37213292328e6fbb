"""The sample files, written into a folder where every command of the documentation finds them."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastsmc.checks import escaped
from fastsmc.disk.staged import staged
from fastsmc.errors import ResultFileError
from fastsmc.facts.packaged import SAMPLES
from fastsmc.results.tables import Column, Table

_FLEET = "--hosts hosts.csv --vms vms.csv"
_LOGS = "--trace source.log --trace destination.log"
_TOLD = {
    "boot.ftrace.txt": ("calls of a Linux 7.3 guest that boots (recorded)", "services boot.ftrace.txt"),
    "entropy.toml": ("a scenario: who answers TRNG, kernel or VMM", "simulate entropy.toml"),
    "hosts.csv": ("4 hosts (made up)", f"plan upgrade {_FLEET} --to 6.18"),
    "vms.csv": ("their 4 VMs (made up)", f"plan problems {_FLEET}"),
    "vm6.12.bin.xz": (
        "registers of a vCPU on Linux 6.12 (recorded)",
        "migrate diff vm6.12.bin.xz vm6.18.bin.xz",
    ),
    "vm6.18.bin.xz": ("registers of a vCPU on Linux 6.18 (recorded)", "migrate check vm6.18.bin.xz 6.6"),
    "migrated.json": (
        "what QEMU 10.0 says of a migration (recorded)",
        "migrate downtime --vcpus 4 --registers 182 --query-migrate migrated.json",
    ),
    "host.json.xz": ("what the probe found on an emulated Linux 6.1 host (recorded)", "probe host.json.xz"),
    "recording": ("what Linux 5.10 answered when it was asked (recorded)", "verify recording --kind restore"),
    "thousand_vcpus.toml": ("a scenario: 1024 vCPUs call all the time", "simulate thousand_vcpus.toml"),
    "boot_storm.toml": ("a scenario: 32 VMs of 32 vCPUs boot at once", "simulate boot_storm.toml"),
    "trng_to_vmm.toml": ("a scenario: 256 VMs call in bursts", "simulate trng_to_vmm.toml"),
    "stream.xz": ("a migration stream of QEMU 7.2 (recorded)", "migrate inspect stream.xz"),
    "source.log": (
        "a trace of QEMU at the source (made up)",
        f"migrate downtime --vcpus 4 --registers 182 {_LOGS}",
    ),
    "destination.log": (
        "the same at the destination (made up)",
        f"migrate downtime --vcpus 4 --registers 182 {_LOGS}",
    ),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: its name, what it is, and a command that reads it."""

    name: str
    what: str
    command: str


@dataclass(frozen=True, slots=True, repr=False)
class Samples:
    """The samples that were written.

    Attributes:
        folder: where.
        samples: what lies there now.
    """

    folder: Path
    samples: tuple[Sample, ...]

    def __repr__(self) -> str:
        return f"Samples({len(self.samples)} in {escaped(str(self.folder))[-100:]})"

    @property
    def answer(self) -> str:
        """How many there are, and where."""
        return f"{len(self.samples)} samples in {escaped(str(self.folder))}"

    def table(self) -> Table:
        """A row per sample: name, what, command."""
        columns = {
            name: Column.of([getattr(one, name) for one in self.samples]) for name in ("name", "what", "command")
        }
        return Table("A row per sample: what it is, and a command that reads it.", columns)

    def __str__(self) -> str:
        width = max(len(one.name) for one in self.samples)
        return "\n".join([self.answer, *(f"{one.name:{width}}  {one.what}" for one in self.samples)])

    def as_dict(self) -> dict[str, Any]:
        """The samples as plain values: `folder`, and `samples` with `name`, `what`, `command`."""
        return {"folder": str(self.folder), "samples": [asdict(one) for one in self.samples]}


def samples(folder: str | os.PathLike[str] = "fastsmc-samples") -> Samples:
    """Writes small files to try things on: a guest's trace, scenarios, a fleet, registers, a stream, logs, a recording.

    Files of the same names that are there are replaced; others stay. The command line takes the same files as
    `sample:NAME`, without writing them.

    Raises:
        ResultFileError: the folder cannot be written.
    """
    path = Path(folder)
    try:
        with staged() as writing:
            for name, source in SAMPLES.items():
                if source.is_dir():
                    writing.folder(path / name, {one.name: one.read_bytes() for one in sorted(source.iterdir())})
            for name, source in SAMPLES.items():
                if not source.is_dir():
                    writing.file(path / name, source.read_bytes())
    except OSError as error:
        msg = f"{escaped(str(path))}: the samples cannot be written there ({error.strerror or error})"
        raise ResultFileError(msg) from error
    told = ((name, *_TOLD[name]) for name in SAMPLES)
    return Samples(path, tuple(Sample(name, what, f"fastsmc {command}") for name, what, command in told))
