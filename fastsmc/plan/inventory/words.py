"""What a text of an inventory says of a kernel, a VMM or vCPU features: nothing wrong, something wrong, or unknown."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from fastsmc.checks import cut
from fastsmc.errors import InputError
from fastsmc.facts.vcpu import feature_bits, has_el2, not_served
from fastsmc.facts.vendors import feature_parts, kernel
from fastsmc.facts.versions import NEWEST, OLDEST, check_existence, check_known, near_release, split_version
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.facts.vmm_words import vmm_said
from fastsmc.facts.vmms import Vmm

Severity = Literal["wrong", "unknown"]
_UNAME = "write what `uname -r` prints on that host"
_PAGES = re.compile(r"(4|16|64)kb?", re.IGNORECASE)


class Verdict(NamedTuple):
    """What is not right about a value.

    Attributes:
        severity: wrong; or unknown: it may be right, and nothing can be said about it.
        remedy: what would be right.
    """

    severity: Severity
    what: str
    remedy: str


def of_kernel(text: str) -> Verdict | None:
    """What is not right about the name of a kernel; None for one whose rules are known, and for "".

    >>> of_kernel("6.12.48+deb13-arm64")
    >>> of_kernel("6.99").what
    'never existed: 6.19 was the last 6.x; did you mean 6.19?'
    >>> of_kernel("5.4.0-150-generic").severity
    'unknown'
    """
    if not text:
        return None
    try:
        split_version(text)
    except InputError:
        near = near_release(text)
        return Verdict("wrong", f"no Linux version{f'; did you mean {cut(near)}?' if near else ''}", _UNAME)
    try:
        found = kernel(text)
    except InputError as error:  # for another CPU
        what = str(error).partition(" is ")[2].partition(":")[0]
        return Verdict("unknown", what, "only KVM of arm64 is modelled: leave this host out")
    if features := feature_parts(text.strip()):
        return Verdict("wrong", f"names vCPU features ({features}), which a VM has and no host", _UNAME)
    try:
        check_existence(text, found.version)
        check_known(text, found.version, is_plain=found.is_plain)
    except InputError as error:
        told = str(error)
        if "never existed" in told:
            return Verdict("wrong", f"never existed: {told.partition('never existed: ')[2]}", _UNAME)
        if "nor did it exist: " in told:
            return Verdict("wrong", f"never existed: {told.partition('nor did it exist: ')[2]}", _UNAME)
        first, last = (".".join(map(str, series)) for series in (OLDEST, NEWEST))
        what = f"outside {first} to {last}, the releases that are known"
        return Verdict("unknown", what, "what its KVM does stays unknown; or leave this host out")
    return None


def of_vmm(text: str) -> Verdict | None:
    """What is not right about the name and version of a VMM; None for a known one, and for "".

    >>> of_vmm("qemu:10.1")
    >>> of_vmm("qemu:99").severity, of_vmm("quemu").severity, of_vmm("qemu:new").severity
    ('unknown', 'unknown', 'wrong')
    """
    if not text:
        return None
    try:
        VmmVersion.of(text, tuple(Vmm))
    except InputError as error:
        said = vmm_said(text)
        near = "".join(re.findall(r"did you mean (.*)\?", str(error)))
        if said is None:
            names = near or "qemu, cloud-hypervisor, firecracker or crosvm"
            remedy = f"write {names}, with its version, such as qemu:10.1"
            return Verdict("unknown", "no VMM that is known", remedy)
        if said.number[0] is None:
            return Verdict("wrong", "no version", "write name:version, such as qemu:10.1")
        known = f"the nearest that is known is {near}" if near else f"write {said.name} alone"
        return Verdict("unknown", "a version that is not known", f"what it does stays unknown; {known}")
    return None


def of_features(text: str) -> Verdict | None:
    """What is not right about vCPU features; None for known ones, and for "".

    >>> of_features("psci02+pmu")
    >>> of_features("psci02+64k").what
    '64k is the page size at the end of a kernel, and no vCPU feature'
    """
    if not text:
        return None
    if pages := [part for part in text.split("+") if _PAGES.fullmatch(part.strip())]:
        what = f"{pages[0].strip()} is the page size at the end of a kernel, and no vCPU feature"
        return Verdict("wrong", what, "write it with the kernel of the host, or leave it out")
    try:
        bits = feature_bits(text)
    except InputError as error:
        told = str(error)
        return Verdict("wrong", told, "join names of features by +, such as psci02+pmu")
    why = not_served(bits)
    if why is not None:
        return Verdict("wrong", why, "leave out one of the two" if has_el2(bits) else "give both or neither")
    if has_el2(bits):
        what = "a guest with EL2, which needs hosts booted with kvm-arm.mode=nested: no inventory tells that"
        return Verdict("unknown", what, "ask fastsmc migrate check KERNEL+el2 KERNEL+el2 of hosts in that mode")
    return None
