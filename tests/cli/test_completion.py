"""Completion in a shell knows values: releases, features, profiles, functions, VMMs, formats, samples."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.cli import known
from fastsmc.facts.vcpu import VCPU_FEATURES
from fastsmc.migrate.compat.matrix import known_releases
from fastsmc.scenario.profiles import profiles


def completed(words: str) -> list[str]:
    """What bash is told for a command line whose last word is being typed; as typer's own script for bash asks."""
    environment = {
        **os.environ,
        "_FASTSMC_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    code = "import sys; sys.argv = ['fastsmc']; from fastsmc.cli.app import app; app(prog_name='fastsmc')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fastsmc sco", ["scope"]),
        ("fastsmc scope --release 6.1", ["6.1", *(f"6.{n}" for n in range(10, 20))]),
        ("fastsmc migrate check 6.12+ps", ["6.12+psci02"]),
        ("fastsmc migrate size --features psci02+s", ["psci02+sve"]),
        ("fastsmc simulate --profile neo", ["neoverse-n1", "neoverse-n1-bhb"]),
        ("fastsmc explain PSCI_CPU_O", ["PSCI_CPU_OFF", "PSCI_CPU_ON", "PSCI_CPU_ON64"]),
        ("fastsmc migrate check --vmm c", ["cloud-hypervisor", "crosvm"]),
        ("fastsmc migrate inspect --format qemu", ["qemu-stream", "qemu-log"]),
        ("fastsmc migrate add-registers --family f", ["fw"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_values_are_completed(words: str, expected: list[str]) -> None:
    assert completed(words) == expected


def test_what_is_offered_is_what_is_taken() -> None:
    assert tuple(known.release_names()) == known_releases()
    assert set(known.features("")) == set(VCPU_FEATURES)
    assert tuple(known.profiles("")) == profiles()
    assert all(len(smc.explain([name])) == 1 for name in known.functions(""))
    for name in known.limits(""):
        assert name == "none" or smc.plan.Limits.preset(name)


def test_nothing_heavy_is_loaded_to_complete() -> None:
    code = (
        "import sys\nfrom fastsmc.cli import known\n"
        "for one in (known.releases, known.features, known.profiles, known.ids, known.vmms, known.formats,"
        " known.limits, known.samples): one('')\n"
        "print(*sorted({'numba', 'matplotlib', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout == "\n"
