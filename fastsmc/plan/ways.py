"""What becomes of a VM that moves from one host to another, by what an inventory tells of them."""

from __future__ import annotations

from typing import NamedTuple

from fastsmc.errors import FastsmcError
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.outlooks import Cause, judged, version
from fastsmc.migrate.compat.result import Outlook


class Place(NamedTuple):
    """What of a host decides which VMs restore on it.

    Attributes:
        mode: its kvm-arm.mode, "" where that is not told.
        probed: the word of its host profile (`migrate.compat.probed`), "" where there is none.
    """

    kernel: str
    cpu: str
    vmm: str
    mode: str = ""
    probed: str = ""


class Guest(NamedTuple):
    """What of a VM decides where it restores: its vCPU features, and its VMM where it is not the host's."""

    features: str
    vmm: str


def way(guest: Guest, source: Place, dest: Place) -> Cause:
    """What becomes of a VM that moves from one place to another.

    A stream is loaded by the destination's VMM; that the source's saves such a vCPU is asked besides.
    """
    mine, theirs = guest.vmm or source.vmm, guest.vmm or dest.vmm
    if not mine or not theirs:
        return Cause(Outlook.UNKNOWN, (), "the VMM is not told")
    families = _family(mine), _family(theirs)
    if None not in families and families[0] != families[1]:
        return Cause(Outlook.FAILS, (), f"{families[1]} restores no VM of {families[0]}")
    ours, its = source.probed or source.kernel, dest.probed or dest.kernel
    found = judged(ours, its, guest.features, theirs)
    if found.outlook is Outlook.FAILS:
        return found
    if refused := _without_el2(guest, dest):
        return refused
    if mine != theirs:
        saved = judged(ours, ours, guest.features, mine)
        if saved.outlook is not Outlook.RESTORES:
            return saved
    if source.cpu != dest.cpu and not (source.probed and dest.probed):
        why = f"CPU {dest.cpu or 'not told'} in place of {source.cpu or 'one not told'}: MIDR_EL1 may differ"
        return Cause(Outlook.UNKNOWN, (), why)
    if found.outlook is Outlook.RESTORES and _has_el2(guest) and not dest.probed and not dest.mode:
        why = "a guest with EL2 needs a host booted with kvm-arm.mode=nested, and the inventory tells no mode"
        return Cause(Outlook.UNKNOWN, (), why)
    return found


def _has_el2(guest: Guest) -> bool:
    return "el2" in guest.features.split("+")


def _without_el2(guest: Guest, dest: Place) -> Cause | None:
    """Why a guest with EL2 has no vCPU on a host whose mode is told and is another than nested."""
    if not _has_el2(guest) or dest.probed or dest.mode in ("", "nested"):
        return None
    return Cause(Outlook.FAILS, (), f"a host booted with kvm-arm.mode={dest.mode} has no vCPUs with EL2")


def _family(vmm: str) -> Vmm | None:
    """Which VMM a text names; None where neither it nor its version is known."""
    try:
        return version(vmm).vmm
    except FastsmcError:
        return None
