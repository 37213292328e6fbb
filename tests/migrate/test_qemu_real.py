"""Predicted sizes of QEMU streams against real QEMU, where it is installed: every section and the description."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fastsmc.migrate.qemu.machine import VERSIONS, QemuMachine, parse_machine
from fastsmc.migrate.qemu.size import size
from fastsmc.migrate.read.detect import inspect
from tests.support.places import ROOT
from tests.support.qemu_parts import read
from tools import qemu_migrate

VERSION = qemu_migrate.version()
WHY_NOT = (
    f"{qemu_migrate.PROGRAM} not found: predicted streams were not compared with real ones"
    if VERSION is None
    else f"QEMU {VERSION} found: predictions are for {' and '.join(VERSIONS)}"
)
KNOWN = ".".join((VERSION or "none").split(".")[:2])
pytestmark = [
    pytest.mark.skipif(KNOWN not in VERSIONS, reason=WHY_NOT),
    pytest.mark.soak("streams of an installed QEMU; make test has recorded ones (test_qemu_size.py)"),
]


@pytest.mark.parametrize("n_vcpu", [1, 2, 8, 64, 512])
@pytest.mark.parametrize("cpu", ["cortex-a57", "max"])
def test_real_streams_of_many_vcpus(cpu: str, n_vcpu: int, tmp_path: Path) -> None:
    compare(tmp_path, "virt,gic-version=3", cpu, n_vcpu)


@pytest.mark.parametrize(
    "cpu", ["cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1", "a64fx", "max,sve=off", "max,pauth=off"]
)
def test_real_streams_of_many_cpus(cpu: str, tmp_path: Path) -> None:
    compare(tmp_path, "virt,gic-version=3", cpu, 2)


@pytest.mark.skipif(KNOWN == "7.2", reason="QEMU 7.2 has none of these CPUs")
@pytest.mark.parametrize("cpu", ["cortex-a55", "cortex-a710", "neoverse-n2", "neoverse-v1"])
def test_real_streams_of_newer_cpus(cpu: str, tmp_path: Path) -> None:
    """Only "max" sends the state of NMI and WFxT."""
    compare(tmp_path, "virt,gic-version=3", cpu, 2)


@pytest.mark.parametrize(
    "options", ["", ",its=off", ",acpi=off", ",secure=on", ",virtualization=on", ",virtualization=on,secure=on,its=off"]
)
@pytest.mark.parametrize("gic", [2, 3])
def test_real_streams_of_many_machines(gic: int, options: str, tmp_path: Path) -> None:
    compare(tmp_path, f"virt,gic-version={gic}{options}", "max", 3)


@pytest.mark.parametrize("gic", [2, 3])
def test_a_real_stream_with_the_default_network_card(gic: int, tmp_path: Path) -> None:
    compare(tmp_path, f"virt,gic-version={gic}", "max", 2, nodefaults=False)


def test_a_real_stream_after_running(tmp_path: Path) -> None:
    """Without firmware the guest takes exceptions for ever; nothing grows by that."""
    compare(tmp_path, "virt,gic-version=3", "cortex-a57", 2, run_s=0.3)


def test_a_real_stream_of_a_guest_that_uses_sme(tmp_path: Path) -> None:
    guest = tmp_path / "guest"
    guest.write_bytes(qemu_migrate.ZA_GUEST)
    common = ("-M", "virt,gic-version=3", "-cpu", "max", "-m", "64M", "-nodefaults", "-kernel", str(guest))
    real = read(qemu_migrate.migrate(*common, out=tmp_path / "stream", run_s=1))
    found = size(real.n_reg, n_vcpu=1, has_sve=True, machine=QemuMachine(za=True, version=KNOWN))
    assert [(part.name, part.instance, part.bytes) for part in found.parts] == real.parts
    assert found.description_bytes == len(real.description)


def test_a_real_stream_without_its_description(tmp_path: Path) -> None:
    common = ("-cpu", "max", "-smp", "2", "-m", "64M", "-nodefaults")
    full = qemu_migrate.migrate("-M", "virt,gic-version=3", *common, out=tmp_path / "full")
    bare = qemu_migrate.migrate("-M", "virt,gic-version=3,suppress-vmdesc=on", *common, out=tmp_path / "bare")
    guest = QemuMachine(version=KNOWN, cpu_max=True)
    found = size(read(full).n_reg, n_vcpu=2, has_sve=True, machine=guest)
    assert len(full) - len(bare) == found.suppress_vmdesc_saves


def test_the_layouts_are_what_this_qemu_describes() -> None:
    """fastsmc/data/qemu_virt_*.json can be made again and is the same."""
    root = ROOT
    command = [sys.executable, "tools/make_qemu_sections.py", "--check"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def compare(folder: Path, options: str, cpu: str, n_vcpu: int, *, nodefaults: bool = True, run_s: float = 0) -> None:
    """Every section and the description to the byte; the issue asked for cpu and GIC, and for 1 %."""
    arguments = ["-M", options, "-cpu", cpu, "-smp", str(n_vcpu), "-m", "64M"]
    # The card's boot ROM is another Debian package; it is RAM, not device state.
    arguments += ["-nodefaults"] if nodefaults else ["-global", "virtio-net-pci.romfile="]
    real = read(qemu_migrate.migrate(*arguments, out=folder / "stream", run_s=run_s))
    assert [name for name, *_ in real.parts].count("cpu") == n_vcpu
    given = parse_machine(options) | {"version": KNOWN, "cpu_max": cpu.startswith("max")}
    chosen = QemuMachine(**given, nodefaults=nodefaults)  # type: ignore[arg-type]
    found = size(real.n_reg, n_vcpu=n_vcpu, has_sve=real.has_sve, machine=chosen)
    assert [(part.name, part.instance, part.bytes) for part in found.parts] == real.parts
    assert found.description_bytes == len(real.description)
    ram = sum(part.n_bytes for part in inspect(folder / "stream").parts if part.name == "ram")
    assert found.total_bytes == real.size - ram
