"""`check`: will a VM restore, in both directions, and if not, which registers are in the way?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fastsmc.errors import InputError
from fastsmc.facts.registers import CLASS_CORE
from fastsmc.facts.vcpu import FEATURE_EL1_32BIT, feature_bits, has_el2
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.added import split_added, with_added
from fastsmc.migrate.compat.filed import by_file, from_file
from fastsmc.migrate.compat.judge import fates
from fastsmc.migrate.compat.named import (
    DEFAULT_FEATURES,
    by_folder,
    by_host,
    by_release,
    looks_like_release,
    names_features,
    normal_features,
    split_features,
    unknown,
)
from fastsmc.migrate.compat.needed import to_know
from fastsmc.migrate.compat.remedies import remedies
from fastsmc.migrate.compat.result import Direction, MigrationCheck, Remedy, SideBasis
from fastsmc.migrate.compat.side import Side, paired
from fastsmc.migrate.compat.stops import TCG, stop
from fastsmc.migrate.compat.templates import (
    not_initialised,
    refusal,
    started,
    template_of,
    with_features,
    with_own_features,
)
from fastsmc.migrate.compat.vcpus import joined, of_vcpus, pairs, with_count
from fastsmc.migrate.compat.visible import cautions
from fastsmc.migrate.compat.vmms import RULES, assumed, has_choice, scope, with_tolerance
from fastsmc.migrate.read.cpu_template import CpuTemplate
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
    source_template: str | Path | None = None,
    dest_template: str | Path | None = None,
    accept_unknown: bool = False,
) -> MigrationCheck:
    """Whether a VM restores on another kernel or host, forward and backward, and every register that fails. Modelled.

    Args:
        source, dest: a release and vCPU features ("6.12", "6.12+pmu"), a file that `inspect` reads, a recorded
            host ("linux-6.12.107-max+sve"), or the folder of a recorded host. "7.3+2fw" is a kernel with two firmware
            registers more than 7.3 has, "6.18+el2" a guest with EL2 on a host in the mode nested.
        vmm: qemu, firecracker, cloud-hypervisor, crosvm, or kvm for the ioctls alone, as recordings made them; with a
            version "qemu:10.1", "cloud-hypervisor:v42". Without one it is the newest that is known.
        source_features, dest_features: vCPU features where the side's text does not hold them.
        source_release, dest_release: the kernel of a file that does not tell it.
        source_template, dest_template: Firecracker's CPU template with which the VM starts on that side.
        accept_unknown: take a direction of which it cannot be known whether the VM restores for one that does. Its
            outlook stays unknown; `ok` is True.

    Where neither side names vCPU features, psci02+pmu is assumed for QEMU, Cloud Hypervisor and crosvm, which give a
    PMU where the host has one, psci02 for others; beside a file, a release takes the features that the file shows. The
    notes of a side say so.

    Raises:
        FastsmcError: nothing by that name, unknown features or VMM, or a file that cannot be read.

    >>> found = check("6.18", "6.12")
    >>> found.forward.outlook.value, [fate.name for fate in found.forward.failing]
    ('fails', ['PSCI_VERSION'])
    """
    by = VmmVersion.of(vmm, tuple(RULES))
    (source, n_new), (dest, n_new_there) = split_added(source), split_added(dest)
    asked = (source, source_features, source_release), (dest, dest_features, dest_release)
    templates = template_of(source_template, by), template_of(dest_template, by)
    one, other = paired(*_sides(asked, by, templates))
    one, other = with_added(one, n_new), with_added(other, n_new_there)
    return compare(one, other, by, templates, accept_unknown=accept_unknown)


Templates = tuple[CpuTemplate | None, CpuTemplate | None]


def compare(
    one: Side, other: Side, by: VmmVersion, templates: Templates = (None, None), *, accept_unknown: bool = False
) -> MigrationCheck:
    """Both directions between two sides that `paired` has made.

    A template is applied when a VM starts and never when it is restored, so only the side it leaves has its values.
    """
    ways = []
    for template, source, dest in ((templates[0], one, other), (templates[1], other, one)):
        if template is None or source.refused:
            ways.append(direction(source, dest, by, accept_unknown=accept_unknown))
            continue
        vcpus = (source, *source.others)
        begun = [started(template, each) for each in vcpus]
        first = replace(begun[0][0], others=tuple(each for each, _ in begun[1:]))
        way = direction(first, dest, by, accept_unknown=accept_unknown)
        refused = of_vcpus(vcpus, [found for _, found in begun])
        why = next(filter(None, (not_initialised(template, each) for each in vcpus)), "") or refusal(template, refused)
        if why:
            remedy = Remedy("start the VM without the CPU template, or with one that its kernel takes", ())
            way = replace(way, reason=why, stopped_by="", error=(), cautions=(), remedies=(remedy,), failing=())
        told = {fate.reg for fate in (*way.failing, *way.unjudged)}
        unsure = tuple(fate for fate in refused if fate.errno is None and fate.reg not in told)
        ways.append(replace(way, unjudged=(*unsure, *way.unjudged)))
    return MigrationCheck(one.info, other.info, by.vmm, by.version, ways[0], ways[1], by.notes)


def direction(source: Side, dest: Side, by: VmmVersion, *, accept_unknown: bool = False) -> Direction:
    """What becomes of a VM that moves from `source` to `dest`: of all its vCPUs."""
    ways = [(group, _of_vcpu(one, other, by)) for group, one, other in pairs(source, dest)]
    return replace(with_count(joined(ways), source, dest), is_unknown_accepted=accept_unknown)


def _of_vcpu(source: Side, dest: Side, by: VmmVersion) -> Direction:
    """What becomes of one vCPU."""
    vmm = by.vmm
    if refused := not_there(source, dest):
        return Direction(source.name, dest.name, vmm, by.version, (), reason=refused)
    rules = RULES[vmm]
    found = fates(source, dest, rules.apart, is_vls_early=rules.has_early_vls, are_ids_first=rules.writes_ids_first)
    found = with_tolerance(found, dest, by)
    failing = tuple(fate for fate in found if fate.errno)
    tcg = _of_tcg(source, dest, by)
    unjudged = tuple(fate for fate in found if fate.errno is None and not tcg)
    stopped = stop(source, dest, by, failing)
    return Direction(
        source.name,
        dest.name,
        vmm,
        by.version,
        failing=failing,
        unjudged=unjudged,
        to_know=to_know(source, dest, unjudged) if not failing else (),
        open_question=_open_question(source, dest),
        stopped_by="" if tcg else stopped.where,
        reason=tcg or other_guest(source, dest),
        error=() if tcg else stopped.error,
        cautions=() if tcg else cautions(source, dest, vmm, found),
        remedies=() if tcg and tcg != TCG else remedies(source, dest, by, failing),
        lengths=stopped.lengths,
        scope=scope(source, vmm),
    )


def _of_tcg(source: Side, dest: Side, by: VmmVersion) -> str:
    """Why a VM of QEMU's TCG moves to no KVM, and not by another VMM; "" for a VM of KVM, and for TCG under QEMU."""
    if source.is_emulated != dest.is_emulated:
        return TCG
    if source.is_emulated and by.vmm is not Vmm.QEMU:
        return f"both sides are QEMU's TCG, whose VMs QEMU alone restores, and not {by}"
    return ""


def _open_question(source: Side, dest: Side) -> str:
    """What keeps a direction from a yes although no register does; "" for nothing."""
    if source.is_whole or source.is_same_machine(dest):
        return ""
    if source.release is not None:
        return f"whether {source.name} holds all registers is not known: no list with {source.features} was recorded"
    return f"{source.name} does not tell its kernel, so whether it holds all registers is not known (--source-release)"


def not_there(source: Side, dest: Side) -> str:
    """Why no VM moves from a kernel that has no such vCPUs, nor to one; "" where both have them."""
    return source.refused or dest.refused


def other_guest(source: Side, dest: Side) -> str:
    """Why a guest of this kind goes to no vCPU of that kind; "" where both are of one kind."""
    return _other_el2(source, dest) or other_width(source, dest)


def _other_el2(source: Side, dest: Side) -> str:
    """Why a guest with EL2 goes to no vCPU without, nor back.

    KVM lacks the registers of EL2 there (ENOENT) and refuses PSTATE at EL2 (EINVAL). In a vCPU with EL2,
    ID_AA64MMFR4_EL1 or ID_AA64MMFR1_EL1.VH tell the guest whether there is E2H0, and take no other value (EINVAL).
    """
    if source.is_emulated or dest.is_emulated:
        return ""
    ours, theirs = (has_el2(feature_bits(side.features)) for side in (source, dest))
    if ours == theirs:
        return ""
    if ours:
        return (
            "the guest has EL2 and DEST's vCPU has none: DEST must be Linux 6.16 or later, booted with "
            "kvm-arm.mode=nested, and its vCPU have el2; without that mode KVM_ARM_VCPU_INIT refuses el2 (EINVAL)"
        )
    return "DEST's vCPU has EL2 and the guest has none: start DEST's vCPU without el2"


def other_width(source: Side, dest: Side) -> str:
    """Why a guest whose EL1 is AArch32 goes to no vCPU with AArch64, nor back; "" where both have the same.

    A VMM that carries PSTATE apart writes it to KVM all the same. Source: Linux arch/arm64/kvm/guest.c, set_core_reg.
    """
    widths = [feature_bits(side.features) & FEATURE_EL1_32BIT for side in (source, dest)]
    is_known = all(side.basis is not SideBasis.FILE or side.has_class(CLASS_CORE) for side in (source, dest))
    if not is_known or widths[0] == widths[1]:
        return ""
    return "EL1 is AArch32 on one side only, and KVM refuses the other's PSTATE (EINVAL)"


_Asked = tuple[str | Path | RegisterFile, str | None, str | None]
"""What the user named as a side, its vCPU features, and the kernel of a file."""


def _sides(asked: tuple[_Asked, _Asked], by: VmmVersion, templates: Templates) -> tuple[Side, Side]:
    """Both sides; one that names no vCPU features takes those of a file beside it, or else both the usual ones."""
    filed = _with_guests([from_word(*each) if is_file(each[0]) else None for each in asked], asked)
    is_open = [side is None and not names_features(each[0], each[1]) for side, each in zip(filed, asked, strict=True)]
    beside = next((side for side in filed if side is not None), None)
    if beside is not None:
        taken, note = beside.features, f"vCPU features {beside.features} assumed: {beside.name} shows them"
    elif all(is_open) or not has_choice(by):
        taken, why = assumed(by)
        note = f"vCPU features {taken} assumed: {why}"
    else:
        taken, note = DEFAULT_FEATURES, f"vCPU features {DEFAULT_FEATURES} assumed, as none are named"
    found = []
    for side, each, is_unnamed, template in zip(filed, asked, is_open, templates, strict=True):
        if side is not None:
            if template is not None:
                side = with_own_features(template, side)
            found.append(side)
        elif template is not None:
            found.append(_templated(each, taken if is_unnamed else each[1], template))
        else:
            found.append(from_word(each[0], taken, each[2]).noted(note) if is_unnamed else from_word(*each))
    for k, other in ((0, 1), (1, 0)):
        if is_open[k] and templates[k] is None and templates[other] is not None:
            features = found[other].features  # a snapshot has them, and the vCPU that it is restored to gets them
            note = f"vCPU features {features} assumed: the snapshot has them"
            found[k] = from_word(asked[k][0], features, asked[k][2]).noted(note)
    return found[0], found[1]


def _with_guests(filed: list[Side | None], asked: tuple[_Asked, _Asked]) -> list[Side | None]:
    """Sides of files; a host profile has the features that are named for the VM of the other side, or that it shows."""
    found = list(filed)
    for k, other in ((0, 1), (1, 0)):
        (what, features, kernel), side, beside = asked[k], filed[k], filed[other]
        if side is None or not side.is_host or features is not None or str(what) == "-":
            continue
        if beside is None and names_features(*asked[other][:2]):
            wanted = split_features(str(asked[other][0]), asked[other][1])[1]
        elif beside is not None and (not beside.is_host or asked[other][1] is not None):
            wanted = beside.features
        else:
            continue
        note = f"vCPU features {wanted} assumed: the other side has them"
        found[k] = side if wanted == side.features else from_word(what, wanted, kernel).noted(note)
    return found


def _templated(asked: _Asked, features: str | None, template: CpuTemplate) -> Side:
    """A side named by release or host, with the vCPU features that a template gives it."""
    name, own = split_features(str(asked[0]), features)
    made = with_features(template, own)
    return from_word(name, made, asked[2]).noted(f"vCPU features {made}, as the CPU template has them")


def is_file(what: str | Path | RegisterFile) -> bool:
    """Whether a user's word for a side names a file: one of that name comes before a release or host.

    So does a pipe, as a shell has for <(zcat …).
    """
    if isinstance(what, RegisterFile) or str(what) == "-":
        return True
    path = Path(str(what))
    return path.is_file() or path.is_fifo() or path.is_char_device()


def from_word(what: str | Path | RegisterFile, features: str | None, kernel: str | None) -> Side:
    """The side that a user's word names.

    A file or folder of that name comes first, then a release, then a recorded host.

    Raises:
        FastsmcError: nothing by that name, or it cannot be read.
    """
    if isinstance(what, RegisterFile):
        return from_file(what, None if features is None else normal_features(features), kernel)
    text = str(what)
    path = Path(text)
    if is_file(what):
        return by_file(text, features, kernel)
    _no_kernel(text, kernel)
    if text and path.is_dir():  # "" would be the current one
        return by_folder(path, features)
    text = text.strip()
    if looks_like_release(text):
        return by_release(text, features)
    if text.lower().startswith("linux-"):
        return by_host(text.lower(), features)
    raise unknown(text)


def _no_kernel(text: str, kernel: str | None) -> None:
    if kernel is not None:
        msg = f"{text!r} is no file: release {kernel!r} is for a file that does not tell its kernel"
        raise InputError(msg)
