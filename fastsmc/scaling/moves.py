"""What breaks when a VM moves: kernels against kernels for each VMM, and the failures that people reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fastsmc import migrate
from fastsmc.facts.versions import NEWEST
from fastsmc.progress import Progress, silent
from fastsmc.results.tables import Table
from fastsmc.scaling._rows import Heading, table

KERNELS = ("5.10", "5.15", "6.1", "6.6", "6.12", "6.18", f"{NEWEST[0]}.{NEWEST[1]}")
"""The long-term kernels that fastsmc knows, and the newest. Source: kernel.org/category/releases.html, 2026."""
VMMS = ("qemu", "firecracker", "cloud-hypervisor", "crosvm")
"""Each in its newest version that fastsmc knows."""

_AUGER = (
    "qemu-devel, October to December 2025: 'Mitigation of failed to load cpu:cpreg_vmstate_array_len', "
    "20251222134110.3649287-1-eric.auger@redhat.com"
)


class Failure(NamedTuple):
    """A kind of failure that was reported in public, and a move that shows it."""

    name: str
    source: str
    dest: str
    vmm: str
    features: str | None
    reported: str


FAILURES = (
    Failure("back to an older kernel", "6.18", "6.12", "qemu:10.1", None, _AUGER),
    Failure("to a kernel that hides registers", "6.12", "6.13", "qemu:10.1", None, _AUGER),
    Failure(
        "a list that lost the PMU", "5.11", "5.13", "qemu:10.1", "psci02", "kvmarm, 18 September 2021: 236 against 162"
    ),
    Failure(
        *("a VMM that cannot save the vCPU", "6.12+sve", "6.12+sve", "cloud-hypervisor:v52", None),
        "github.com/cloud-hypervisor/cloud-hypervisor, issue 8057",
    ),
)
"""Four failures that people hit: asked of `migrate.check`, as docs/field-log.md asks 53."""


def moves(
    kernels: Sequence[str] = KERNELS, vmms: Sequence[str] = VMMS, *, progress: Progress = silent
) -> dict[str, Table]:
    """Every kernel against every other for each VMM, as `migrate.matrix` has it, and the reported failures.

    Returns:
        The tables moves and failures.

    Raises:
        InputError: an unknown release or VMM.

    Cost: about a second.
    """
    rows: list[tuple[object, ...]] = []
    for done, vmm in enumerate(vmms, 1):
        found = migrate.matrix(kernels, vmm=vmm)
        rows += [
            (
                *(found.vmm.value, found.by, found.features, cell.source, cell.dest),
                *(cell.source_basis.value, cell.dest_basis.value, cell.outlook.value),
                *(cell.n_failing, cell.n_unjudged, ";".join(cell.failing)),
            )
            for cell in found.cells
        ]
        progress("moves", done, len(vmms))
    meaning = "Moves between kernels, as migrate check judges them; a row per VMM, source and destination."
    return {"moves": table(meaning, _MOVES, rows), "failures": _failures()}


def _failures() -> Table:
    rows = []
    for case in FAILURES:
        checked = migrate.check(
            case.source, case.dest, vmm=case.vmm, source_features=case.features, dest_features=case.features
        )
        found = checked.forward
        names = ";".join(fate.name for fate in found.failing)
        remedy = "; ".join(one.text for one in found.remedies)
        rows.append(
            (
                *(case.name, case.source, case.dest, found.by, found.outlook.value, len(found.failing), names),
                *(found.stopped_by, found.error[0] if found.error else "", remedy, case.reported),
            )
        )
    return table("Failures that people reported, asked again; a row per failure.", _FAILURES, rows)


_OUTLOOK: Heading = (
    "outlook",
    "modelled",
    "restores, fails, or unknown: nothing is known to fail, but not all is",
)
_FAILING: Heading = ("n_failing", "modelled", "registers in the way; 0 where the VMM stops before it writes one")
_MOVES: tuple[Heading, ...] = (
    ("vmm", "input", "who saves and restores the registers"),
    ("by", "input", "the VMM with the version whose rules are taken"),
    ("features", "input", "vCPU features on both sides"),
    ("source", "input", "release that the VM leaves"),
    ("dest", "input", "release that it moves to"),
    ("source_basis", "", "recorded: register list and values of a real kernel; inferred: by rules between recordings"),
    ("dest_basis", "", "the same of the destination"),
    _OUTLOOK,
    _FAILING,
    ("n_unjudged", "modelled", "registers whose value or rule is not known"),
    ("failing", "modelled", "names of the registers in the way"),
)
_FAILURES: tuple[Heading, ...] = (
    ("failure", "", "the kind of failure"),
    ("source", "input", "release and features that the VM leaves"),
    ("dest", "input", "where it moves to"),
    ("by", "input", "the VMM with the version whose rules are taken"),
    _OUTLOOK,
    _FAILING,
    ("failing", "modelled", "names of the registers in the way"),
    ("stopped_by", "modelled", "what ends the move"),
    ("error", "modelled", "the first line that the VMM prints"),
    ("remedy", "modelled", "what helps"),
    ("reported", "", "who met it"),
)
