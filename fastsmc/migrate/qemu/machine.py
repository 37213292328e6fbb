"""The QEMU guest that a prediction is for: machine virt, its version, interrupt controller and accelerator."""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal, get_args

from fastsmc.checks import shown, whole, word_of
from fastsmc.errors import InputError
from fastsmc.facts.costs import QEMU_VIRT_MAX_CPUS

GICV2_MAX_CPUS = 8
"""Measured: QEMU 7.2.22 refuses a ninth, and so does 10.0.2."""
MAX_VCPU = 1 << 16
"""A sanity bound: beyond 512 nothing runs, and every vCPU is a row of the answer."""

VERSIONS = ("7.2", "10.0")
MACHINES = ("virt", *(f"virt-{version}" for version in VERSIONS))

Accel = Literal["tcg", "kvm"]


@dataclass(frozen=True, slots=True)
class QemuMachine:
    """Machine virt of a version of QEMU, with 64-bit vCPUs, stopped before its first instruction.

    Attributes:
        gic: version of the interrupt controller, 2 or 3. QEMU's own default is 2, which serves 8 vCPUs.
        its: whether there is an ITS, as QEMU has by default; only with GICv3.
        acpi: whether the guest gets ACPI tables, as by default.
        virtualization, secure: EL2 and EL3 for the guest; off by default.
        nodefaults: without QEMU's default network card, as after -nodefaults or -nic none.
        accel: tcg is checked against real QEMU. kvm is derived and was never compared with a real stream.
        za: every vCPU has SME's ZA switched on, which no guest has before its first instruction. TCG only.
        version: of QEMU, whose newest machine it is: virt-7.2 or virt-10.0.
        cpu_max: the vCPUs are TCG's "max", as they are with za. It has NMI and WFxT in 10.0 and sends them.
    """

    gic: int = 3
    its: bool = True
    acpi: bool = True
    virtualization: bool = False
    secure: bool = False
    nodefaults: bool = True
    accel: Accel = "tcg"
    za: bool = False
    version: str = "7.2"
    cpu_max: bool = False

    def __post_init__(self) -> None:
        if self.gic not in (2, 3) or isinstance(self.gic, bool):
            msg = f"gic is {shown(self.gic)}: it must be 2 or 3, whose sizes are known"
            raise InputError(msg)
        word_of("accel", self.accel, get_args(Accel))
        word_of("version", self.version, VERSIONS)
        if self.accel == "kvm" and self.cpu_max:
            msg = "cpu_max: with accel kvm, -cpu max is the host's own CPU and sends nothing more; leave it out"
            raise InputError(msg)
        tcg_only = [name for name in ("virtualization", "secure", "za") if getattr(self, name)]
        if self.accel == "kvm" and tcg_only:
            msg = f"{tcg_only[0]}: QEMU {self.version} has it under TCG only, not with accel kvm"
            raise InputError(msg)

    @classmethod
    def of(cls, text: str, *, gic: int | None = None, version: str | None = None, **more: Any) -> QemuMachine:
        """The machine that an argument of QEMU's -M names.

        Args:
            text: "virt,gic-version=3,its=off"; "virt-10.0" names the version too.
            gic, version: where the text does not say it; they may say the same once more.
            more: the other attributes.

        Raises:
            InputError: as `parse_machine`, or what is given contradicts the text.

        >>> QemuMachine.of("virt-10.0,its=off", gic=3).command_line(n_vcpu=4, sve=False)
        '-accel tcg -M virt-10.0,gic-version=3,its=off -cpu <without SVE> -smp 4 -display none -S -nodefaults'
        """
        found: dict[str, Any] = parse_machine(text)
        for name, value, words in (("gic", gic, "GIC"), ("version", version, "QEMU")):
            if value is not None and found.setdefault(name, value) != value:
                msg = f"{words} {value} contradicts machine {text!r}"
                raise InputError(msg)
        return cls(**found, **more)

    def __repr__(self) -> str:
        said = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]
        return f"QemuMachine({', '.join(said)})"

    def __str__(self) -> str:
        return self.command_line(n_vcpu="<vCPUs>", sve=False).replace("<without SVE>", "<any>")

    @property
    def is_max(self) -> bool:
        """Whether the vCPUs are "max", which alone has SME."""
        return self.cpu_max or self.za

    def has(self, *, sve: bool) -> frozenset[str]:
        """The words that layouts use for optional pieces."""
        words = {name for name in ("acpi", "virtualization", "secure", "za") if getattr(self, name)}
        words |= {f"gic{self.gic}", self.accel}
        words |= {"its"} if self.its and self.gic == 3 else set()
        words |= set() if self.nodefaults else {"nic"}
        words |= {"max"} if self.is_max else set()
        return frozenset(words | ({"sve"} if sve else set()))

    def is_hypothetical(self, *, n_vcpu: int) -> bool:
        """Whether QEMU refuses so many vCPUs."""
        return n_vcpu > QEMU_VIRT_MAX_CPUS.value

    def checked_vcpus(self, *, n_vcpu: int) -> int:
        """The number of vCPUs, checked, as an int.

        Raises:
            InputError: no number of vCPUs, or more than a GICv2 serves.
        """
        n_vcpu = whole("n_vcpu", n_vcpu, first=1, last=MAX_VCPU, remark="QEMU's virt runs up to 512")
        if self.gic == 2 and n_vcpu > GICV2_MAX_CPUS:
            msg = f"n_vcpu {n_vcpu}: a GICv2 serves {GICV2_MAX_CPUS} vCPUs at most; more need a GICv3"
            raise InputError(msg)
        return n_vcpu

    def command_line(self, *, n_vcpu: int | str, sve: bool) -> str:
        """Options of qemu-system-aarch64 that give this machine; which CPU model it has is left open."""
        machine = f"virt-{self.version},gic-version={self.gic}"
        for name, default in (("its", True), ("acpi", True), ("virtualization", False), ("secure", False)):
            if getattr(self, name) != default:
                machine += f",{name}={'on' if getattr(self, name) else 'off'}"
        cpu = "max, " * self.is_max + ("with SVE" if sve else "without SVE")
        bare = " -nodefaults" if self.nodefaults else ""
        return f"-accel {self.accel} -M {machine} -cpu <{cpu}> -smp {n_vcpu} -display none -S{bare}"


def parse_machine(text: str) -> dict[str, object]:
    """What an argument of QEMU's -M says: "virt,gic-version=3,its=off" -> keyword arguments of `QemuMachine`.

    Raises:
        InputError: another machine, or an option whose effect on a stream is not known.

    >>> parse_machine("virt,gic-version=3,its=off")
    {'gic': 3, 'its': False}
    """
    name, *options = text.split(",")
    if name not in MACHINES:
        close = get_close_matches(name.lower()[:40], MACHINES, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        known = f"{', '.join(MACHINES)}, as QEMU {' and '.join(VERSIONS)} have them"
        msg = f"machine {shown(name)} is not known; known: {known}{meant}"
        raise InputError(msg)
    switches = [f.name for f in fields(QemuMachine) if f.name in ("its", "acpi", "virtualization", "secure")]
    found: dict[str, object] = {} if name == "virt" else {"version": name.removeprefix("virt-")}
    for option in options:
        key, _, value = option.partition("=")
        if key == "gic-version" and value in ("2", "3"):
            found["gic"] = int(value)
        elif key in switches and value in ("on", "off"):
            found[key] = value == "on"
        else:
            msg = f"machine option {option!r} is not known; known: gic-version=2|3, {'|'.join(switches)}=on|off"
            raise InputError(msg)
    return found
