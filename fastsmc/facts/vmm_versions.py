"""Versions of VMMs: which there are, and what each can do when registers are saved and loaded.

A version has an ability from the row of `CHANGES` on that gives it. Without a version, a VMM's name means the newest
that is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.facts.vmm_words import Said, notes_on, vmm_said
from fastsmc.facts.vmms import Vmm

Number = tuple[int, int, int]
"""(major, minor, patch); Cloud Hypervisor's v53 is (53, 0, 0)."""


class Ability(StrEnum):
    """What a version of a VMM does that an older one does not."""

    SAVES_SVE = "saves and restores vCPUs with SVE"
    SAVES_WHOLE_VECTORS = "saves all 128 bits of a vector register"
    HAS_TEMPLATES = "takes custom CPU templates"
    EDITS_SNAPSHOTS = "comes with snapshot-editor"
    REFUSES_PMU = "refuses a vCPU with a PMU"
    NAMES_CORE = "has an error text of its own for core registers"
    NAMES_REFUSED = "names a register that KVM refuses"
    SHOWS_VALUE = "tells the value that KVM refuses beside the register"
    TOLERATES = "loads a list that differs from its own in certain registers"
    PINS_PSCI = "has the property kvm-psci-version"


@dataclass(frozen=True, slots=True)
class VmmChange:
    """One ability that a version brought, and on whose word."""

    vmm: Vmm
    by: Number
    ability: Ability
    source: str


_CH, _FC = "github.com/cloud-hypervisor/cloud-hypervisor", "github.com/firecracker-microvm/firecracker"
CHANGES = (
    VmmChange(
        Vmm.QEMU,
        (10, 2, 0),
        Ability.NAMES_REFUSED,
        "target/arm/kvm.c of QEMU 10.2.2, read; 10.0.13 lacks it",
    ),
    VmmChange(
        Vmm.QEMU,
        (11, 1, 0),
        Ability.TOLERATES,
        "commits bb36be6fd799 to 202126dcb9d6, merged in April 2026; RHEL 10's qemu-kvm has them as a backport",
    ),
    VmmChange(
        Vmm.QEMU,
        (11, 1, 0),
        Ability.PINS_PSCI,
        "a property of QEMU 11.1.3; 10.2.2 lacks it, and whether 11.0 has it was not read",
    ),
    VmmChange(Vmm.CLOUD_HYPERVISOR, (42, 0, 0), Ability.NAMES_CORE, f"{_CH}, hypervisor/src/cpu.rs of v42.0"),
    VmmChange(Vmm.CLOUD_HYPERVISOR, (53, 0, 0), Ability.SAVES_SVE, f"{_CH}, commits 5c25d82f5, 69637dde6; issue 8057"),
    VmmChange(Vmm.FIRECRACKER, (1, 1, 4), Ability.SAVES_WHOLE_VECTORS, f"{_FC}, CHANGELOG of 1.2.0, commit 822009ce3"),
    VmmChange(Vmm.FIRECRACKER, (1, 4, 0), Ability.HAS_TEMPLATES, f"{_FC}, CHANGELOG of 1.4.0"),
    VmmChange(Vmm.FIRECRACKER, (1, 4, 0), Ability.NAMES_REFUSED, f"{_FC}, vcpu.rs of 1.3.0 and 1.4.0, read"),
    VmmChange(Vmm.FIRECRACKER, (1, 13, 0), Ability.SHOWS_VALUE, f"{_FC}, commit e34ba7a5d"),
    VmmChange(Vmm.FIRECRACKER, (1, 5, 0), Ability.EDITS_SNAPSHOTS, f"{_FC}, CHANGELOG of 1.5.0"),
    VmmChange(Vmm.FIRECRACKER, (1, 7, 0), Ability.SAVES_SVE, f"{_FC}, commit 41db488e0"),
    VmmChange(Vmm.FIRECRACKER, (1, 15, 0), Ability.REFUSES_PMU, f"{_FC}, commit d95612f16"),
)

_SERIES: dict[Vmm, tuple[tuple[int, int], ...]] = {
    Vmm.QEMU: ((7, 2), *((major, minor) for major in (8, 9, 10) for minor in (0, 1, 2)), (11, 0), (11, 1)),
    Vmm.CLOUD_HYPERVISOR: tuple((major, 0) for major in range(20, 54)),
    Vmm.FIRECRACKER: tuple((1, minor) for minor in range(17)),
}
"""The series whose rules are known, oldest first. Sources: release tags; QEMU's numbers go x.0, x.1, x.2, each year."""


@dataclass(frozen=True, slots=True)
class VmmVersion:
    """A VMM in one version; number None where its versions are not told apart (crosvm, kvm).

    Attributes:
        notes: what a reader must know of a build that is not its makers' own, one sentence each.
    """

    vmm: Vmm
    number: Number | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: object, allowed: tuple[Vmm, ...]) -> VmmVersion:
        """The version that a word such as "qemu:10.1", "cloud-hypervisor:v42" or "firecracker" names.

        A name alone is the newest version that is known. What a VMM prints of itself, a package's name and version and
        libvirt's words are read too; a vendor's build is judged as the version in it, and has a note that says so.

        Raises:
            InputError: no VMM of that name among the allowed ones, or no version of it that is known.

        >>> print(VmmVersion.of("qemu:10.1", (Vmm.QEMU,)), VmmVersion.of("qemu", (Vmm.QEMU,)), sep=", ")
        qemu 10.1, qemu 11.1
        >>> VmmVersion.of("qemu-kvm-9.1.0-15.el9", (Vmm.QEMU,)).notes
        ("'qemu-kvm-9.1.0-15.el9' is a build of RHEL 9, which may carry backports: judged as QEMU 9.1",)
        """
        said = vmm_said(text) if isinstance(text, str) else None
        if said is None:
            name = re.split(r"[:\s]", text.strip().lower())[0] if isinstance(text, str) else text
            said = Said(Vmm.among(name, allowed), None)
        vmm = Vmm.among(said.name, allowed)
        known = _SERIES.get(vmm)
        if said.version is None:
            if said.is_vendors:
                msg = f"vmm {shown(text)} is a vendor's build: say which version, such as {said.word}:9.1.0"
                raise InputError(msg)
            return cls(vmm, (*known[-1], _LAST_PATCH) if known else None)
        if known is None:
            msg = f"vmm {shown(text)}: versions of {vmm} are not told apart; write {vmm}"
            raise InputError(msg)
        major, minor, patch = said.number
        if vmm is Vmm.CLOUD_HYPERVISOR:
            major, minor, patch = _of_cloud_hypervisor(said.number)
        if major is None or (major, minor or 0) not in known:
            raise _unknown(vmm, said.version, known)
        found = cls(vmm, (major, minor or 0, _LAST_PATCH if patch is None else patch))
        return replace(found, notes=notes_on(said, shown(text), f"{vmm.full_name} {found.version}"))

    def can(self, ability: Ability) -> bool:
        """Whether this version has an ability."""
        return any(
            change.vmm is self.vmm
            and change.ability is ability
            and self.number is not None
            and self.number >= change.by
            for change in CHANGES
        )

    @property
    def version(self) -> str:
        """The version as its makers write it: "10.1", "v42"; "" where none are told apart."""
        return "" if self.number is None else written(self.vmm, self.number)

    def __str__(self) -> str:
        return f"{self.vmm} {self.version}".rstrip()


def _of_cloud_hypervisor(said: tuple[int | None, int | None, int | None]) -> tuple[int | None, int, int | None]:
    """A number of Cloud Hypervisor's, whose second part counts updates: 51.2; major None for one not released."""
    major, update, more = said
    if major is None or more or (update or 0) > _UPDATES.get(major, 0):
        return None, 0, None
    return major, 0, update


_UPDATES = {
    **{20: 2, 21: 1, 22: 1, 23: 1, 28: 4, 30: 1, 31: 2, 32: 1, 35: 1, 36: 1, 37: 1},
    **{50: 2, 51: 2},
}
"""Cloud Hypervisor's newest stable update of each version that has any. Source: its tags, August 2026."""
_LAST_PATCH = 9999
"""Stands for the last update of a series, where none is named."""


def first_with(vmm: Vmm, ability: Ability) -> str:
    """The first version that is known to have an ability: "11.1"; "" if none has it.

    >>> first_with(Vmm.QEMU, Ability.TOLERATES)
    '11.1'
    """
    found = [change.by for change in CHANGES if change.vmm is vmm and change.ability is ability]
    return written(vmm, found[0]) if found else ""


def known_versions(vmm: Vmm) -> tuple[str, ...]:
    """The series of a VMM whose rules are known, oldest first; () where versions are not told apart.

    >>> known_versions(Vmm.QEMU)[:2], known_versions(Vmm.CROSVM)
    (('7.2', '8.0'), ())
    """
    return tuple(written(vmm, (*series, 0)) for series in _SERIES.get(vmm, ()))


def written(vmm: Vmm, number: Number) -> str:
    """A version as its makers write it: "10.1", "v42"."""
    major, minor, patch = number
    if vmm is Vmm.CLOUD_HYPERVISOR:
        return f"v{major}.{patch}" if 0 < patch < _LAST_PATCH else f"v{major}"
    return f"{major}.{minor}.{patch}" if 0 < patch < _LAST_PATCH else f"{major}.{minor}"


def _unknown(vmm: Vmm, version: str, known: tuple[tuple[int, int], ...]) -> InputError:
    names = [written(vmm, (*each, 0)) for each in known]
    numbers = [int(part) for part in re.findall(r"[0-9]{1,4}", re.sub(r"^\d{1,2}:", "", version.strip()))[:2]]
    meant = ""
    if numbers:
        asked = numbers[0], numbers[1] if len(numbers) > 1 else 0
        below = [each for each in known if each <= asked]
        above = [each for each in known if each > asked]
        near = min([*below[-1:], *above[:1]], key=lambda each: abs(each[0] - asked[0]))
        meant = f"; did you mean {vmm}:{written(vmm, (*near, 0))}?"
    return InputError(f"{vmm} {shown(version)} is no version that is known, {names[0]} to {names[-1]} are{meant}")
