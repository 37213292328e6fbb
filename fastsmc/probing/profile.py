"""A host profile: what the probe found on one host, read and checked, and the host that it makes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from errno import errorcode
from typing import Any

from fastsmc.checks import cut, escaped, shown
from fastsmc.errors import FastsmcError, InputError
from fastsmc.facts.registers import FW_BY_ID, IMPLEMENTATION, reg_size, sysreg
from fastsmc.facts.releases import Host, Release, release
from fastsmc.facts.vcpu import CAPS_OF_FEATURE, FEATURE_EL2, FEATURE_EL2_E2H0, feature_bits
from fastsmc.files import strict_json
from fastsmc.files.limits import HOST_PROFILE
from fastsmc.files.packed import Refused
from fastsmc.probing import standalone
from fastsmc.probing.found import differences, levels, rules_found, settled, strangers
from fastsmc.probing.shape import SHAPE, check_shape
from fastsmc.recordings.folder import kernel_name
from fastsmc.results.tables import Column, Table

_OF_THE_CPU = tuple(sysreg(*encoding) for encoding in IMPLEMENTATION)
"""Registers that KVM takes from the CPU it runs on; other ID registers are those of the whole system. Source: Linux
arch/arm64/kvm/sys_regs.c, its invariant registers, and arch/arm64/kernel/cpufeature.c."""
_ARM_COUNTER = "arch_sys_counter"
"""What Linux calls the clock source that PTP needs. Source: drivers/clocksource/arm_arch_timer.c."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class HostProfile:
    """What the probe found on one host.

    Attributes:
        path: the file, as given; "this host" where it was asked itself.
        content: all of it as plain values, as the file has it.
    """

    path: str
    content: Mapping[str, Any]

    @property
    def kernel(self) -> str:
        """Its Linux version, down to the stable update where the kernel tells it."""
        return kernel_name(dict(self.content["kernel"]))

    @property
    def emulated(self) -> str:
        """By what it shows that the host is emulated or a virtual machine, "" where it does not."""
        return "; ".join(self.content["emulated_by"])

    @property
    def known(self) -> Release:
        """The rules of its kernel as fastsmc knows them.

        Raises:
            InputError: a kernel of which nothing is known.
        """
        try:
            return release(self.kernel)
        except FastsmcError as error:
            msg = f"{self.path}: {error}"
            raise InputError(msg) from error

    @property
    def host(self) -> Host:
        """The host, with the rules that were found on it in place of those known of its release.

        Raises:
            InputError: a kernel of which nothing is known, or levels of workarounds that do not exist.
        """
        clock = self.content["cpu"]["clocksource"]
        rules = settled(self.known, rules_found(self.content))
        try:
            return Host(
                rules,
                workaround=levels(self.content),
                is_arch_counter_clocksource=clock in (None, _ARM_COUNTER),
                name=self.path,
                kvm_arm_mode=self.content["kvm"]["mode"],
            )
        except InputError as error:
            msg = f"{self.path}: {error}"
            raise InputError(msg) from error

    @property
    def differences(self) -> tuple[str, ...]:
        """Where the host is otherwise than is known of its release, a sentence each.

        Raises:
            InputError: a kernel of which nothing is known.
        """
        told = [f"firmware register {reg} is none that fastsmc knows" for reg in strangers(self.content)]
        return (*told, *differences(self.known, rules_found(self.content)))

    @property
    def features(self) -> tuple[str, ...]:
        """Feature sets whose registers it has, by name: "psci02+pmu"."""
        return tuple(one["features"] for one in self.content["register_sets"])

    def refuses(self, features: str) -> str:
        """Why the host has no vCPU with these features, in words; "" where it has one or the profile does not tell."""
        for one in self.content["refused"]:
            if one["features"] == features:
                return f"KVM_ARM_VCPU_INIT refused a vCPU with {features} ({errorcode.get(one['errno'], one['errno'])})"
        bits = feature_bits(features)
        lacks = [
            cap
            for bit, caps in CAPS_OF_FEATURE.items()
            for cap in caps
            if bits & bit and max(self.content["kvm"]["capabilities"].get(str(cap), (0,))) <= 0
            if bit != FEATURE_EL2_E2H0 or bits & FEATURE_EL2
        ]
        return f"its KVM lacks capability {lacks[0]}, so it has no vCPU with {features}" if lacks else ""

    def registers(self, features: str) -> dict[int, int | None]:
        """The registers of a vCPU with these features after its reset, in list order; None where KVM told no value.

        On a host with several kinds of CPU nobody knows on which one a VM's vCPUs run, so what differs by kind is None.

        Raises:
            InputError: the probe has no such feature set.
        """
        for one in self.content["register_sets"]:
            if one["features"] == features:
                values: dict[int, int | None] = {int(reg, 16): int(text, 16) for reg, text in one["registers"].items()}
                untold = [int(reg, 16) for reg in one["unread"]]
                if len(self.content["cpu"]["kinds"]) > 1:
                    untold += [reg for reg in _OF_THE_CPU if reg in values]
                return values | dict.fromkeys(untold)
        msg = f"{self.path}: features {shown(features)} have no registers here; there are {', '.join(self.features)}"
        raise InputError(msg)

    def cost_profile(self) -> str:
        """What was measured on the host, as the TOML of a cost profile.

        Raises:
            InputError: nothing was measured.
        """
        if "costs" not in self.content:
            msg = f"{_name(self.path)}: nothing was measured on this host: probe it with --measure"
            raise InputError(msg)
        return standalone.cost_profile(dict(self.content))

    @property
    def answer(self) -> str:
        """The host in one sentence, and whether it is as its release is known to be."""
        told = f"{_name(self.path)}: Linux {cut(self.kernel)}, kvm-arm.mode {self.content['kvm']['mode']}"
        told += ", emulated" if self.emulated else ""
        try:
            n = len(self.differences)
        except InputError:
            return f"{told}; a kernel that fastsmc does not know"
        return f"{told}; " + (f"{n} differences from what is known of it" if n else "as is known of it")

    def table(self) -> Table:
        """A row per firmware register: register, reset, accepts, known."""
        try:
            rules: Release | None = self.known
        except InputError:
            rules = None
        rows = self.content["firmware"]
        ids = [int(one["id"], 16) for one in rows]
        names = [FW_BY_ID[reg].name if reg in FW_BY_ID else f"{reg:#x}" for reg in ids]
        columns = {
            "register": Column.of(names),
            "reset": Column.of([one["reset"] for one in rows]),
            "accepts": Column.of([_accepts(one) for one in rows]),
            "known": Column.of([rules is not None and name in rules.fw_registers for name in names]),
        }
        return Table(
            "A row per firmware register: what it accepts, and whether its release is known to have it.", columns
        )

    def numbers(self) -> dict[str, list[float | None]]:
        """Counts for thresholds."""
        largest = self.content["kvm"]["largest_vm"]
        try:
            n_different: int | None = len(self.differences)
        except InputError:
            n_different = None
        return {
            "firmware_registers": [len(self.content["firmware"])],
            "capabilities": [len(self.content["kvm"]["capabilities"])],
            "feature_sets": [len(self.features)],
            "largest_vm": [largest["limit"]],
            "differences": [n_different],
        }

    def as_dict(self) -> dict[str, Any]:
        """The profile itself, as the probe writes it."""
        return dict(self.content)

    def __str__(self) -> str:
        lines = [self.answer, *escaped(standalone.told(dict(self.content))).splitlines()]
        try:
            lines += [f"differs: {text}" for text in self.differences]
            lines += [f"not certain: {doubt}" for doubt in self.host.release.doubts]
        except InputError as error:
            lines.append(f"no host: {error}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"HostProfile({shown(self.path)}, Linux {shown(cut(self.kernel))})"


def _name(path: str) -> str:
    return escaped(path)


def _accepts(row: Mapping[str, Any]) -> str:
    return f"bits {row['accepted_bits']}" if "accepted_bits" in row else ", ".join(row["accepted"]) or "nothing"


def is_profile(value: object) -> bool:
    """Whether a JSON value says that it is a host profile."""
    return isinstance(value, dict) and value.get("schema") == standalone.SCHEMA


def profile_of(value: object, path: str) -> HostProfile:
    """The profile that a JSON value is.

    Raises:
        InputError: of another schema or version, or with something else than a probe writes; without the path.
    """
    if not is_profile(value) or not isinstance(value, dict):
        found = f"its schema is {shown(value.get('schema'))}" if isinstance(value, dict) else f"it is {shown(value)}"
        msg = f"is no host profile: {found}, not {standalone.SCHEMA!r}; fastsmc_probe.py -o FILE writes one"
        raise InputError(msg)
    if value.get("version") != standalone.VERSION or isinstance(value.get("version"), bool):
        msg = (
            f"is a host profile of version {shown(value.get('version'))}, and this fastsmc reads version "
            f"{standalone.VERSION}: probe the host with the fastsmc_probe.py of this fastsmc (fastsmc new probe)"
        )
        raise InputError(msg)
    check_shape(value, SHAPE, "the profile")
    _check_meaning(value)
    return HostProfile(path, value)


def _check_meaning(value: Mapping[str, Any]) -> None:
    """Checks what the pattern cannot say."""
    ids = [int(one["id"], 16) for one in value["firmware"]]
    names = [one["features"] for one in value["register_sets"]]
    for what, told in (("firmware registers", ids), ("feature sets", names)):
        if len(told) != len(set(told)):
            msg = f"one of its {what} is there twice"
            raise InputError(msg)
    for one in value["firmware"]:
        if ("accepted" in one) == ("accepted_bits" in one):
            msg = f"firmware register {one['id']} must have either accepted or accepted_bits"
            raise InputError(msg)
        known = FW_BY_ID.get(int(one["id"], 16))
        if known is not None and ("accepted_bits" in one) != (known.reg >> 16 & 0xFFF == 0x16):
            msg = f"{known.name} must tell {'accepted' if 'accepted_bits' in one else 'accepted_bits'}"
            raise InputError(msg)
    for number, told in value["kvm"]["capabilities"].items():
        if len(told) != 2:
            msg = f"capability {number} has {len(told)} values: those of /dev/kvm and of a VM are two"
            raise InputError(msg)
    for one in value["register_sets"]:
        for reg, text in one["registers"].items():
            size = reg_size(int(reg, 16))
            if int(text, 16) >> 8 * size:
                msg = f"register {reg} of {shown(one['features'])} has {size} bytes, and {cut(text)} does not fit"
                raise InputError(msg)
        if twice := one["registers"].keys() & one["unread"].keys():
            msg = f"register {min(twice)} of {shown(one['features'])} is both read and unread"
            raise InputError(msg)


def read_profile(file: str | os.PathLike[str]) -> HostProfile:
    """A host profile from a file; "-" is standard input, and it may be packed.

    Raises:
        InputError: missing, damaged, of another schema or version, or not as a probe writes it; the message names it.
    """
    path = os.fspath(file)
    try:
        return profile_of(strict_json.read(path, HOST_PROFILE, is_named=False), path)
    except (Refused, InputError) as error:
        msg = f"{escaped(path)}: {error}"
        raise InputError(msg) from error
