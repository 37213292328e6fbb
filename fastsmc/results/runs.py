"""Runs: tables by name, and where they come from: versions, machine, seed and inputs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from fastsmc.errors import ResultFileError
from fastsmc.results.tables import Table, few


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a run can be repeated from. No host name and no paths."""

    fastsmc: str
    python: str
    numpy: str
    numba: str
    cpu: str
    n_core: int
    kernel: str
    date_utc: str
    seed: int
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Results: tables by name, and their provenance."""

    tables: Mapping[str, Table]
    provenance: Provenance

    def __repr__(self) -> str:
        return f"<Run of {len(self.tables)} tables, seed {self.provenance.seed}, {self.provenance.date_utc}>"

    def __getitem__(self, name: str) -> Table:
        """A table; ResultFileError if this run has none of that name."""
        if name not in self.tables:
            msg = f"the run has no table {name!r}; it has {few(self.tables)}"
            raise ResultFileError(msg)
        return self.tables[name]


def provenance(*, seed: int, inputs: dict[str, Any]) -> Provenance:
    """Versions and machine of this process, now. Imports neither Numba nor fastsmc."""
    return Provenance(
        fastsmc=_version("fastsmc"),
        python=platform.python_version(),
        numpy=np.__version__,
        numba=_version("numba"),
        cpu=_cpu_model(),
        n_core=os.cpu_count() or 0,
        kernel=platform.release(),
        date_utc=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seed=seed,
        inputs=inputs,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The model name of the first CPU; the architecture where the kernel prints none, as on arm64."""
    with suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()
