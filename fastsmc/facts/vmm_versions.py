"""Versions of VMMs: which there are, and what each can do when registers are saved and loaded.

A version has an ability from the row of `CHANGES` on that gives it. Without a version, a VMM's name means the newest
that is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from fastsmc.checks import shown, word_of
from fastsmc.errors import InputError
from fastsmc.facts.vmms import Vmm

Number = tuple[int, int, int]
"""(major, minor, patch); Cloud Hypervisor's v53 is (53, 0, 0)."""


class Ability(StrEnum):
    """What a version of a VMM does that an older one does not."""

    HAS_PMU = "gives vCPUs a PMU where the host has one"
    HAS_SVE = "gives vCPUs SVE"
    SAVES_SVE = "saves and restores vCPUs with SVE"
    SAVES_WHOLE_VECTORS = "saves all 128 bits of a vector register"
    HAS_TEMPLATES = "takes custom CPU templates"
    EDITS_SNAPSHOTS = "comes with snapshot-editor"
    REFUSES_PMU = "refuses a vCPU with a PMU"
    NAMES_CORE = "has an error text of its own for core registers"
    NAMES_REFUSED = "names a register that KVM refuses"
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
    VmmChange(Vmm.CLOUD_HYPERVISOR, (22, 0, 0), Ability.HAS_PMU, f"{_CH}, commit 53060874a"),
    VmmChange(Vmm.CLOUD_HYPERVISOR, (42, 0, 0), Ability.HAS_SVE, f"{_CH}, commit d2a364c5c"),
    VmmChange(Vmm.CLOUD_HYPERVISOR, (42, 0, 0), Ability.NAMES_CORE, f"{_CH}, hypervisor/src/cpu.rs of v42.0"),
    VmmChange(Vmm.CLOUD_HYPERVISOR, (53, 0, 0), Ability.SAVES_SVE, f"{_CH}, commits 5c25d82f5, 69637dde6; issue 8057"),
    VmmChange(Vmm.FIRECRACKER, (1, 1, 4), Ability.SAVES_WHOLE_VECTORS, f"{_FC}, CHANGELOG of 1.2.0, commit 822009ce3"),
    VmmChange(Vmm.FIRECRACKER, (1, 4, 0), Ability.HAS_TEMPLATES, f"{_FC}, CHANGELOG of 1.4.0"),
    VmmChange(Vmm.FIRECRACKER, (1, 5, 0), Ability.EDITS_SNAPSHOTS, f"{_FC}, CHANGELOG of 1.5.0"),
    VmmChange(Vmm.FIRECRACKER, (1, 5, 0), Ability.HAS_SVE, f"{_FC}, CHANGELOG of 1.5.0: vcpu_features in templates"),
    VmmChange(Vmm.FIRECRACKER, (1, 7, 0), Ability.SAVES_SVE, f"{_FC}, commit 41db488e0"),
    VmmChange(Vmm.FIRECRACKER, (1, 15, 0), Ability.REFUSES_PMU, f"{_FC}, commit d95612f16"),
)

_SERIES: dict[Vmm, tuple[tuple[int, int], ...]] = {
    Vmm.QEMU: ((7, 2), *((major, minor) for major in (8, 9, 10) for minor in (0, 1, 2)), (11, 0), (11, 1)),
    Vmm.CLOUD_HYPERVISOR: tuple((major, 0) for major in range(20, 54)),
    Vmm.FIRECRACKER: tuple((1, minor) for minor in range(17)),
}
"""The series whose rules are known, oldest first. Sources: release tags; QEMU's numbers go x.0, x.1, x.2, each year."""

_VERSION = re.compile(r"v?(\d{1,4})(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?")


@dataclass(frozen=True, slots=True)
class VmmVersion:
    """A VMM in one version; number None where its versions are not told apart (crosvm, kvm)."""

    vmm: Vmm
    number: Number | None = None

    @classmethod
    def of(cls, text: object, allowed: tuple[Vmm, ...]) -> VmmVersion:
        """The version that a word such as "qemu:10.1", "cloud-hypervisor:v42" or "firecracker" names.

        A name alone is the newest version that is known.

        Raises:
            InputError: no VMM of that name among the allowed ones, or no version of it that is known.

        >>> print(VmmVersion.of("qemu:10.1", (Vmm.QEMU,)), VmmVersion.of("qemu", (Vmm.QEMU,)), sep=", ")
        qemu 10.1, qemu 11.1
        """
        name, colon, version = str(text).partition(":") if isinstance(text, str) else (text, "", "")
        vmm = Vmm(word_of("vmm", name.strip().lower() if isinstance(name, str) else name, allowed))
        known = _SERIES.get(vmm)
        if not colon:
            return cls(vmm, (*known[-1], _LAST_PATCH) if known else None)
        if known is None:
            msg = f"vmm {shown(text)}: versions of {vmm} are not told apart; write {vmm}"
            raise InputError(msg)
        match = _VERSION.fullmatch(version.strip())
        major, minor, patch = (int(part) if part else None for part in match.groups()) if match else (None, None, None)
        if major is None or (major, minor or 0) not in known:
            raise _unknown(vmm, version, known)
        return cls(vmm, (major, minor or 0, _LAST_PATCH if patch is None else patch))

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
        return "" if self.number is None else _written(self.vmm, self.number)

    def __str__(self) -> str:
        return f"{self.vmm} {self.version}".rstrip()


_LAST_PATCH = 9999
"""Stands for the last update of a series, where none is named."""


def first_with(vmm: Vmm, ability: Ability) -> str:
    """The first version that is known to have an ability: "11.1"; "" if none has it.

    >>> first_with(Vmm.QEMU, Ability.TOLERATES)
    '11.1'
    """
    found = [change.by for change in CHANGES if change.vmm is vmm and change.ability is ability]
    return _written(vmm, found[0]) if found else ""


def _written(vmm: Vmm, number: Number) -> str:
    major, minor, patch = number
    if vmm is Vmm.CLOUD_HYPERVISOR:
        return f"v{major}"
    return f"{major}.{minor}.{patch}" if 0 < patch < _LAST_PATCH else f"{major}.{minor}"


def _unknown(vmm: Vmm, version: str, known: tuple[tuple[int, int], ...]) -> InputError:
    names = [_written(vmm, (*each, 0)) for each in known]
    match = _VERSION.fullmatch(version.strip())
    meant = ""
    if match:
        asked = int(match[1]), int(match[2] or 0)
        near = min(known, key=lambda each: (abs(each[0] - asked[0]), abs(each[1] - asked[1])))
        meant = f"; did you mean {vmm}:{_written(vmm, (*near, 0))}?"
    return InputError(f"{vmm} {shown(version)} is no version that is known, {names[0]} to {names[-1]} are{meant}")
