"""Sides from files: whatever `inspect` reads, and which kernel it probably came from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fastsmc.checks import cut
from fastsmc.errors import InputError
from fastsmc.facts.registers import (
    CLASS_DEMUX,
    FIRMWARE_CLASSES,
    FW_BY_ID,
    PTIMER_CNT,
    TIMER_CNT,
    core_register,
    reg_class,
    register,
)
from fastsmc.facts.releases import Release, release
from fastsmc.facts.smccc import psci_name
from fastsmc.facts.versions import bare
from fastsmc.files import strict_json
from fastsmc.files.limits import META
from fastsmc.files.packed import Refused
from fastsmc.migrate.compat.likely import certain_ids, likeliest, perhaps_lost, shown_features
from fastsmc.migrate.compat.lists import inferred_ids, is_known, lists_pmu_always
from fastsmc.migrate.compat.named import DEFAULT_FEATURES, normal_features, told_of
from fastsmc.migrate.compat.result import SideBasis
from fastsmc.migrate.compat.side import Side
from fastsmc.migrate.compat.vcpus import differing, vcpu_groups
from fastsmc.migrate.read.detect import Inspected, inspect
from fastsmc.migrate.read.result import Format, RegisterFile
from fastsmc.probing.profile import read_profile
from fastsmc.recordings.folder import kernel_name

_PC = core_register(256)
"""The core register regs.pc."""
_LEAST = 100
"""Registers below which a file is no vCPU's list. QEMU's shortest arrays have more than 150."""
STREAMS = (Format.QEMU_STREAM, Format.ANALYZE_MIGRATION)
_RECORDED_FORMATS = (Format.RECORDED_LIST, Format.RECORDED_PAYLOAD)

Values = dict[int, int | None]


def by_file(path: str, features: str | None, kernel: str | None) -> Side:
    """The side that a file tells of: the registers of its vCPUs.

    Args:
        features: of a recorded reglist or a host profile, which of its lists; of any other file, what the vCPU has.
        kernel: its release, where the file does not tell it.

    Raises:
        FastsmcError: the file cannot be read, or holds no register.
    """
    wanted = None if features is None else normal_features(features)
    file = _registers_in(inspect(path))
    if file.format is Format.HOST_PROFILE:
        return _by_profile(file, wanted, kernel)
    if file.format is Format.RECORDED_LIST and features is not None:
        file = _registers_in(inspect(path, format=file.format, features=features))
    return from_file(file, wanted, kernel)


def _by_profile(file: RegisterFile, features: str | None, kernel: str | None) -> Side:
    """The vCPU with these features of a probed host, or why it has none.

    Raises:
        FastsmcError: the probe did not ask for these features.
    """
    path, refused = file.provenance.path, ""
    if features is not None and features != file.provenance.told_by["features"]:
        try:
            file = _registers_in(inspect(path, format=file.format, features=features))
        except InputError:
            refused = read_profile(path).refuses(features)
            if not refused:
                raise
    if not refused:
        return replace(from_file(file, features, kernel), is_host=True)
    side = from_file(file, None, kernel)
    return replace(side, is_host=True, features=features or side.features, values={}, refused=f"{path}: {refused}")


def _registers_in(file: Inspected) -> RegisterFile:
    """The file, which has a vCPU's whole list.

    Raises:
        InputError: it is a template, a log, a fragment.
    """
    if isinstance(file, RegisterFile) and not file.no_host:
        return file
    name = file.provenance.path if isinstance(file, RegisterFile) else file.path
    msg = f"{name}: {file.no_host}"
    raise InputError(msg)


def from_file(file: RegisterFile, features: str | None, kernel: str | None) -> Side:
    """The side that a file tells of, where the file was read already."""
    name = _registers_in(file).provenance.path
    values = _values(file)
    if not values:
        msg = f"{name}: holds no register, so nothing can be compared"
        raise InputError(msg)
    rules, note = _kernel(file, values, kernel)
    if len(values) < _LEAST and (rules is None or not file.provenance.told_by.get("kernel_version")):
        n = f"{len(values)} register{'s' * (len(values) > 1)}"
        msg = f"{name}: a fragment, {n} where a vCPU has some 250: it is not judged; give a whole list or dump"
        raise InputError(msg)
    notes: tuple[str, ...] = ("it tells ids only, no values",) if not file.has_values else ()
    notes += (note,) if note else ()
    notes += told_of(rules) if rules is not None else ()
    shown = _recorded_features(file) or shown_features(values, rules)
    contradicted = _other_features(shown, features, rules)
    notes += (contradicted,) if contradicted else ()
    is_told = kernel is not None or bool(file.provenance.told_by.get("kernel_version") or _beside(file))
    first = Side(name, SideBasis.FILE, rules, features or shown, values, tells_kernel=is_told)
    groups, is_stream = vcpu_groups(file), file.format in STREAMS
    has_gicv3 = any(part.name == "arm_gicv3" for part in file.parts)
    first = replace(first, vcpus=groups[0], is_stream=is_stream, has_gicv3=has_gicv3)
    first = replace(first, is_emulated=is_emulated(file, values))
    first = _completed(file, first)
    others = []
    for group in groups[1:]:
        own = _values(file, group[0])
        had = features or _recorded_features(file) or shown_features(own, rules)
        others.append(_completed(file, replace(first, values=own, features=had, vcpus=group)))
    if others:
        notes += (differing(first, others),)
    n_left_out = sum(not first.is_apart(reg) for reg in first.left_out)
    if n_left_out:
        notes += (f"of the registers that such a vCPU has {n_left_out} are not in it: part of a list?",)
    return replace(first, notes=notes, others=tuple(others))


def _completed(file: RegisterFile, side: Side) -> Side:
    """The side of one vCPU in the order of lists, and whether its list is known to be whole."""
    rules, values = side.release, dict(side.values)
    if file.format is Format.FINGERPRINT:
        values = _with_unsaved(values, rules)
    left_out = frozenset() if rules is None else certain_ids(rules, side.features) - values.keys()
    lost = {} if rules is None or side.tells_kernel else perhaps_lost(values, side.features, rules)
    lost = {reg: why for reg, why in lost.items() if reg not in left_out}
    is_listed = rules is not None and is_known(rules, side.features)
    side = replace(side, values=values, left_out=left_out, perhaps_lost=lost, is_whole=is_listed or side.is_emulated)
    return side.in_list_order()


def _values(file: RegisterFile, vcpu: int = 0) -> Values:
    values = file.values_of(vcpu) if file.banks else {}
    return values if file.has_values else dict.fromkeys(values)


def is_emulated(file: RegisterFile, values: Values) -> bool:
    """Whether it is a stream of QEMU's TCG, which has neither firmware nor cache registers; every KVM lists both."""
    kinds = {reg_class(reg) for reg in values}
    return file.format in STREAMS and not kinds & {*FIRMWARE_CLASSES, CLASS_DEMUX}


def _with_unsaved(values: Values, rules: Release | None) -> Values:
    """A fingerprint's registers and those that the tool leaves out, PC and the counters, whose values are not known."""
    left_out = [_PC, TIMER_CNT]
    if rules is not None and PTIMER_CNT in inferred_ids(rules, DEFAULT_FEATURES):
        left_out.append(PTIMER_CNT)
    return dict(sorted({**dict.fromkeys(left_out), **values}.items()))


# -- which kernel ----------------------------------------------------------------------------------------------


def _kernel(file: RegisterFile, values: Values, kernel: str | None) -> tuple[Release | None, str]:
    """The release whose rules apply, and how it is known."""
    is_tcg = is_emulated(file, values)
    if kernel is not None:
        given = release(kernel)
        if not is_tcg:
            return given, _overruled(file, values, given)
        return None, f"a stream of QEMU's TCG, without firmware registers: {given.name} is not its kernel"
    if file.rules is not None:
        return file.rules, ""
    told = file.provenance.told_by.get("kernel_version") or _beside(file)
    if told:
        try:
            return release(told), ""
        except InputError as error:
            return None, f"its kernel is none fastsmc knows: {error}; judged by ids and equal values only"
    if not any(reg_class(reg) in FIRMWARE_CLASSES for reg in values):
        who = "QEMU's TCG" if is_tcg else "every KVM of 5.10 or later lists some, so this is a part of a list"
        return None, f"no firmware register: {who}; judged by ids and equal values only"
    rules = likeliest(values)
    if rules is None:
        return None, "its firmware registers fit no release fastsmc knows: judged by ids and equal values only"
    return rules, f"its kernel is not told; {rules.name} is inferred from its registers (a release option says better)"


def _overruled(file: RegisterFile, values: Values, given: Release) -> str:
    """What the file says of its kernel where it is judged as another; "" where nothing contradicts."""
    told = file.provenance.told_by.get("kernel_version") or _beside(file)
    if told and bare(told) != bare(given.name):
        return f"the file says {cut(told)}: judged as {given.name}, as was asked"
    if told or given.may_be_later:
        return ""
    others = [FW_BY_ID[reg].name for reg in values if reg in FW_BY_ID and FW_BY_ID[reg].name not in given.fw_registers]
    psci = values.get(register("PSCI_VERSION"))
    if psci is not None and psci not in given.psci_versions:
        others.append(f"PSCI {psci_name(psci)}")
    if not others:
        return ""
    return f"judged as {given.name}, as was asked, and {given.name} has no {', '.join(others)}, which the file has"


def _other_features(shown: str, asked: str | None, rules: Release | None) -> str:
    """What the file shows of its vCPU's features where it is judged with others; "" where nothing contradicts."""
    hidden = {"pmu"} if rules is not None and lists_pmu_always(rules) else set()
    if asked is None or not (set(asked.split("+")) ^ set(shown.split("+"))) - hidden:
        return ""
    return f"the file shows vCPU features {shown}: judged with {asked}, as was asked"


def _beside(file: RegisterFile) -> str:
    """The kernel of a recorded list or payload, from the meta.json beside it."""
    path = Path(file.provenance.path).parent / "meta.json"
    if file.format not in _RECORDED_FORMATS or not path.is_file():
        return ""
    try:
        meta = strict_json.read(path, META)
        return kernel_name(meta) if isinstance(meta, dict) else ""
    except Refused:
        return ""


# -- which features --------------------------------------------------------------------------------------------


def _recorded_features(file: RegisterFile) -> str:
    """What a recording says of itself: the feature set in the list's line or the payload's name."""
    name = Path(file.provenance.path).name
    told = file.provenance.told_by.get("features", "")
    if file.format is Format.RECORDED_PAYLOAD and name.startswith("payload-"):
        told = name.removeprefix("payload-").partition(".")[0]
    try:
        return normal_features(told) if told else ""
    except InputError:
        return ""
