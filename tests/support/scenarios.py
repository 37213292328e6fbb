"""Small scenarios for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastsmc.errors import InputError
from fastsmc.scenario import Scenario, VmGroup
from tests.support.places import TESTS

TRACE = TESTS / "recordings" / "guest-traces" / "6.1-6.1.ftrace.txt"
CLOSED = {"kind": "closed", "think": {"law": "exponential", "mean_us": 20}, "mix": {"TRNG_RND64": 1.0}}


def of(workload: dict[str, Any] | None = None, *, folder: Path | str = ".", **vms: Any) -> VmGroup:
    """The group of a scenario with one workload and one VM group of 4 vCPUs."""
    row = {"vcpus": 4, "workload": "w"} | vms
    return Scenario.of({"vms": [row], "workloads": {"w": workload or CLOSED}}, folder=folder).groups[0]


def problems(text: str, tmp_path: Path) -> list[str]:
    """What is said of a TOML text, without the file's name: "line: key: ...", in order."""
    path = tmp_path / "s.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError) as refused:
        Scenario.load(path)
    lines = str(refused.value).splitlines()
    assert len(lines) == 1 or lines.pop(0) == f"{len(lines)} problems in {path}:"
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]
