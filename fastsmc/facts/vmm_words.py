"""What people and programs write for a VMM in one version: options of ours, packages, what it prints, libvirt's words.

A vendor's build has the number of the version it was made from, and nothing tells what else is in it. So it is read as
that version, with a note.

Sources of the spellings: `qemu-system-aarch64 --version` of builds from git, Debian and Enterprise Linux, package names
of both, and `virsh version`; all but Debian's from memory.
"""

from __future__ import annotations

import re
from typing import NamedTuple

NAMES = {
    "qemu emulator version": "qemu",
    "qemu-system-aarch64": "qemu",
    "qemu-system-arm": "qemu",
    "qemu-kvm": "qemu",
    "qemu": "qemu",
    "firecracker": "firecracker",
    "cloud-hypervisor": "cloud-hypervisor",
    "cloud hypervisor": "cloud-hypervisor",
    "crosvm": "crosvm",
    "kvm": "kvm",
}
"""Our word for each name a VMM has, longer names before those that they begin with."""
_VENDORS_NAME = "qemu-kvm"
"""What only vendors call QEMU: Enterprise Linux' package."""
BUILDERS = (
    (r"ubuntu", "Ubuntu"),
    (r"\+ds|\+dfsg|debian|\bdeb\d|~bpo", "Debian or Ubuntu"),
    (r"\.el(\d+)", "RHEL {}"),
    (r"\.fc\d+", "Fedora"),
)
"""Who built it, by what follows the version; the first that fits. A group stands for the {}."""
_RHEL_10 = "RHEL 10's qemu-kvm has QEMU 11.1's tolerances as a backport: qemu:11.1 is judged so"

_PREFIX = r"(?:(?:running|using) (?:hypervisor|api|library): )?"
_WORD = re.compile(rf"{_PREFIX}({'|'.join(NAMES)})(?:(\s*[:=]\s*|[\s_-]+)(.*))?", re.IGNORECASE | re.DOTALL)
_VERSION = re.compile(
    r"(?:(\d{1,2}):)?v?(\d{1,4})(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?((?=[-+~\s(]|$).*)",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_CPU = re.compile(r"[._-](aarch64|arm64)$", re.IGNORECASE)
_DEVELOPMENT = 50
"""QEMU counts its development versions and candidates from x.y.50 on."""


class Said(NamedTuple):
    """A VMM as it was named.

    Attributes:
        word: the name as it was written, in small letters.
        version: what follows the name; None if nothing does.
        number: major, minor and patch; None for those that were not written, three times for what is no version.
        rest: what follows the number, "+ds-2".
        is_libvirts: it was written as libvirt does, "QEMU 8.2.2", which never tells a vendor's build.
    """

    name: str
    version: str | None
    word: str = ""
    number: tuple[int | None, int | None, int | None] = (None, None, None)
    epoch: str = ""
    rest: str = ""
    is_libvirts: bool = False

    @property
    def is_vendors(self) -> bool:
        """Whether its name is one that vendors alone have."""
        return self.word == _VENDORS_NAME


def vmm_said(text: str) -> Said | None:
    """What a text says of a VMM and its version; None if it begins with no VMM's name.

    >>> vmm_said("qemu:1:10.0.2+ds-2")[3:6], vmm_said("QEMU emulator version 9.2.0 (v9.2.0)").number
    (((10, 0, 2), '1', '+ds-2'), (9, 2, 0))
    """
    found = _WORD.fullmatch(text.strip())
    if found is None:
        return None
    word, between, version = found[1].lower(), found[2], found[3]
    said = Said(NAMES[word], version, word)
    parts = _VERSION.fullmatch(_CPU.sub("", version.strip())) if version else None
    if parts is None:
        return said
    major, minor, patch = (int(part) if part else None for part in parts.groups()[1:4])
    is_libvirts = word == "qemu" and between.isspace()
    return said._replace(
        number=(major, minor, patch), epoch=parts[1] or "", rest=parts[5].strip(), is_libvirts=is_libvirts
    )


def notes_on(said: Said, text: str, judged: str) -> tuple[str, ...]:
    """What must be said of a build that is not its makers' own; nothing of one that is.

    Args:
        text: the words as they were written, for the message.
        judged: the version whose rules are taken.
    """
    rest, (major, minor, patch) = said.rest, said.number
    own = f"v{major}.{minor}.{patch}"
    if rest in (f"({own})", f"({own[1:]})"):
        rest = ""
    if said.name == "qemu" and patch is not None and patch >= _DEVELOPMENT:
        return (f"{text} is a version under development: judged as {judged}, which came before it",)
    if re.match(r"[-~]?rc\d|-dev", rest):
        return (f"{text} is no release: judged as {judged}",)
    if not rest and not said.epoch and not said.is_vendors:
        told = "libvirt tells no vendor's build, which may carry backports"
        return (f"{text} is read as libvirt writes it, and {told}: judged as {judged}",) if said.is_libvirts else ()
    hits = ((who, re.search(shape, rest, re.IGNORECASE)) for shape, who in BUILDERS)
    who = next((who.format(*hit.groups()) for who, hit in hits if hit), "")
    built = f"a build of {who}" if who else "a vendor's build"
    note = f"{text} is {built}, which may carry backports: judged as {judged}"
    return (note, _RHEL_10) if who == "RHEL 10" else (note,)
