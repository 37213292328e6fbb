"""What becomes of a VM that moves from one host to another, by what an inventory tells of them."""

from __future__ import annotations

from typing import NamedTuple

from fastsmc.errors import FastsmcError
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.outlooks import Cause, judged, version
from fastsmc.migrate.compat.result import Outlook


class Place(NamedTuple):
    """What of a host decides which VMs restore on it."""

    kernel: str
    cpu: str
    vmm: str


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
    found = judged(source.kernel, dest.kernel, guest.features, theirs)
    if found.outlook is Outlook.FAILS:
        return found
    if mine != theirs:
        saved = judged(source.kernel, source.kernel, guest.features, mine)
        if saved.outlook is not Outlook.RESTORES:
            return saved
    if source.cpu != dest.cpu:
        why = f"CPU {dest.cpu or 'not told'} in place of {source.cpu or 'one not told'}: MIDR_EL1 may differ"
        return Cause(Outlook.UNKNOWN, (), why)
    if found.outlook is Outlook.RESTORES and "el2" in guest.features.split("+"):
        why = "a guest with EL2 needs a host booted with kvm-arm.mode=nested, and no inventory tells which are"
        return Cause(Outlook.UNKNOWN, (), why)
    return found


def _family(vmm: str) -> Vmm | None:
    """Which VMM a text names; None where neither it nor its version is known."""
    try:
        return version(vmm).vmm
    except FastsmcError:
        return None
