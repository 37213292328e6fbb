"""`check`: will a VM restore, in both directions, and if not, which registers are in the way?"""

from __future__ import annotations

from pathlib import Path

from fastsmc.errors import InputError
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.filed import by_file, from_file
from fastsmc.migrate.compat.judge import fates
from fastsmc.migrate.compat.named import by_folder, by_host, by_release, looks_like_release, normal_features, unknown
from fastsmc.migrate.compat.remedies import remedies
from fastsmc.migrate.compat.result import Direction, MigrationCheck
from fastsmc.migrate.compat.side import Side, paired
from fastsmc.migrate.compat.visible import cautions
from fastsmc.migrate.compat.vmms import RULES, carried, stop
from fastsmc.migrate.read.result import RegisterFile


def check(
    source: str | Path | RegisterFile,
    dest: str | Path | RegisterFile,
    *,
    vmm: Vmm | str = Vmm.QEMU,
    source_features: str | None = None,
    dest_features: str | None = None,
    source_release: str | None = None,
    dest_release: str | None = None,
) -> MigrationCheck:
    """Whether a VM restores on another kernel or host, forward and backward, and every register that fails. Modelled.

    Args:
        source, dest: a release and vCPU features ("6.12", "6.12+pmu"), a file that `inspect` reads, a recorded
            host ("linux-6.12.107-max+sve"), or the folder of a recorded host.
        vmm: qemu, firecracker, cloud-hypervisor, crosvm, or kvm for the ioctls alone, as recordings made them.
        source_features, dest_features: vCPU features where the side's text does not hold them.
        source_release, dest_release: the kernel of a file that does not tell it.

    Raises:
        FastsmcError: nothing by that name, unknown features or VMM, or a file that cannot be read.

    >>> found = check("6.18", "6.12")
    >>> found.forward.ok, [fate.name for fate in found.forward.failing][:2]
    (False, ['PSCI_VERSION', 'VENDOR_HYP_BMAP_2'])
    """
    restored_by = Vmm.among(vmm, tuple(RULES))
    one, other = paired(
        find_side(source, features=source_features, kernel=source_release),
        find_side(dest, features=dest_features, kernel=dest_release),
    )
    return compare(one, other, restored_by)


def compare(one: Side, other: Side, vmm: Vmm) -> MigrationCheck:
    """Both directions between two sides that `paired` has made."""
    return MigrationCheck(one.info, other.info, vmm, direction(one, other, vmm), direction(other, one, vmm))


def direction(source: Side, dest: Side, vmm: Vmm) -> Direction:
    """What becomes of a VM that moves from `source` to `dest`."""
    found = fates(source, dest, carried(source, vmm), is_vls_early=RULES[vmm].has_early_vls)
    failing = tuple(fate for fate in found if fate.errno)
    stopped = stop(source, dest, vmm, failing)
    return Direction(
        source.name,
        dest.name,
        vmm,
        ok=not failing and not stopped.where,
        failing=failing,
        unjudged=tuple(fate for fate in found if fate.errno is None),
        stopped_by=stopped.where,
        error=stopped.error,
        cautions=cautions(source, dest, vmm, failing),
        remedies=remedies(source, dest, vmm, failing),
        lengths=stopped.lengths,
    )


def find_side(what: str | Path | RegisterFile, *, features: str | None = None, kernel: str | None = None) -> Side:
    """The side that a user's word names.

    A file or folder of that name comes first, then a release, then a recorded host.

    Raises:
        FastsmcError: nothing by that name, or it cannot be read.
    """
    if isinstance(what, RegisterFile):
        return from_file(what, None if features is None else normal_features(features), kernel)
    text = str(what)
    path = Path(text)
    if text == "-" or path.is_file():
        return by_file(text, features, kernel)
    _no_kernel(text, kernel)
    if text and path.is_dir():  # "" would be the current one
        return by_folder(path, features)
    if looks_like_release(text):
        return by_release(text, features)
    if text.startswith("linux-"):
        return by_host(text, features)
    raise unknown(text)


def _no_kernel(text: str, kernel: str | None) -> None:
    if kernel is not None:
        msg = f"{text!r} is no file: release {kernel!r} is for a file that does not tell its kernel"
        raise InputError(msg)
