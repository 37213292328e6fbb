"""Sides from files: whatever `inspect` reads, and which kernel it probably came from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from fastsmc.checks import cut
from fastsmc.errors import InputError
from fastsmc.facts.history import milestones, series_name
from fastsmc.facts.registers import (
    CLASS_CORE,
    CLASS_SVE,
    FIRMWARE_CLASSES,
    FW_BY_ID,
    PSTATE,
    PTIMER_CNT,
    TIMER_CNT,
    core_register,
    reg_class,
    register,
    sysreg,
)
from fastsmc.facts.releases import Release, release
from fastsmc.facts.smccc import PSCI_0_1, psci_name
from fastsmc.facts.versions import bare
from fastsmc.migrate.compat.lists import APIAKEYLO, UNLISTED, ZCR, inferred_ids, lists_pmu_always
from fastsmc.migrate.compat.named import DEFAULT_FEATURES, normal_features, told_of
from fastsmc.migrate.compat.result import SideBasis
from fastsmc.migrate.compat.side import Side
from fastsmc.migrate.compat.unsure import unsure
from fastsmc.migrate.read.detect import Inspected, inspect
from fastsmc.migrate.read.result import Format, RegisterFile
from fastsmc.recordings.folder import kernel_name

_PC = core_register(256)
"""The core register regs.pc."""
_PMCR = sysreg(3, 3, 9, 12, 0)
"""PMCR_EL0."""
_MODE, _AARCH32_USER = 0x1F, 0x10
"""The mode in PSTATE, and the highest that a vCPU with AArch64 at EL1 can have."""
_LEAST = 100
"""Registers below which a file is no vCPU's list. QEMU's shortest arrays have more than 150."""
_WHOLE_FORMATS = (
    *(Format.QEMU_STREAM, Format.ANALYZE_MIGRATION, Format.CLOUD_HYPERVISOR, Format.SNAPSHOT_EDITOR),
    *(Format.RECORDED_LIST, Format.RECORDED_PAYLOAD),
)
"""Formats that hold all that was saved, or else are refused."""
_RECORDED_FORMATS = (Format.RECORDED_LIST, Format.RECORDED_PAYLOAD)

Values = dict[int, int | None]


def by_file(path: str, features: str | None, kernel: str | None) -> Side:
    """The side that a file tells of: the registers of its vCPU 0.

    Args:
        features: of a recorded reglist, which of its lists; of any other file, what the vCPU has.
        kernel: its release, where the file does not tell it.

    Raises:
        FastsmcError: the file cannot be read, or holds no register.
    """
    wanted = None if features is None else normal_features(features)
    file = _registers_in(inspect(path))
    if file.format is Format.RECORDED_LIST and features is not None:
        file = _registers_in(inspect(path, format=file.format, features=features))
    return from_file(file, wanted, kernel)


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
    if len(file.banks) > 1:
        notes += (f"its vCPUs list different registers: vCPU 0 of {file.n_vcpu} is judged",)
    notes += (note,) if note else ()
    notes += told_of(rules) if rules is not None else ()
    shown = _recorded_features(file) or _features(values, rules)
    wanted = features or shown
    contradicted = _other_features(shown, features, rules)
    notes += (contradicted,) if contradicted else ()
    if file.format is Format.FINGERPRINT:
        values = _completed(values, rules)
    left_out = _left_out(file, values, rules, wanted)
    if left_out:
        notes += (f"of the registers that such a vCPU has {len(left_out)} are not in it: part of a list?",)
    is_stream = file.format in (Format.QEMU_STREAM, Format.ANALYZE_MIGRATION)
    is_told = kernel is not None or bool(file.provenance.told_by.get("kernel_version") or _beside(file))
    side = Side(name, SideBasis.FILE, rules, wanted, values, notes=notes, left_out=left_out, tells_kernel=is_told)
    side = replace(
        side,
        is_whole=file.format in _WHOLE_FORMATS or (is_told and rules is not None),
        is_emulated=is_stream and not any(reg_class(reg) in FIRMWARE_CLASSES for reg in values),
    )
    return side.in_list_order()


def _left_out(file: RegisterFile, values: Values, rules: Release | None, features: str) -> frozenset[int]:
    """Registers that every kernel with these rules lists for such a vCPU, and the file does not.

    QEMU keeps core and SVE registers elsewhere, so its files need not hold them.
    """
    if rules is None or set(features.split("+")) & set(UNLISTED):
        return frozenset()
    listed = inferred_ids(rules, features)
    wanted = set(listed) - unsure(rules, features, listed).keys()
    if file.format in (Format.QEMU_STREAM, Format.ANALYZE_MIGRATION):
        wanted = {reg for reg in wanted if reg_class(reg) not in (CLASS_CORE, CLASS_SVE)}
    return frozenset(wanted - values.keys())


def _values(file: RegisterFile) -> Values:
    values = file.values_of(0) if file.banks else {}
    return values if file.has_values else dict.fromkeys(values)


def _completed(values: Values, rules: Release | None) -> Values:
    """A fingerprint's registers and those that the tool leaves out, PC and the counters, whose values are not known."""
    left_out = [_PC, TIMER_CNT]
    if rules is not None and PTIMER_CNT in inferred_ids(rules, DEFAULT_FEATURES):
        left_out.append(PTIMER_CNT)
    return dict(sorted({**dict.fromkeys(left_out), **values}.items()))


# -- which kernel ----------------------------------------------------------------------------------------------


def _kernel(file: RegisterFile, values: Values, kernel: str | None) -> tuple[Release | None, str]:
    """The release whose rules apply, and how it is known."""
    is_stream = file.format in (Format.QEMU_STREAM, Format.ANALYZE_MIGRATION)
    has_firmware = any(reg_class(reg) in FIRMWARE_CLASSES for reg in values)
    if kernel is not None:
        given = release(kernel)
        if has_firmware or not is_stream:
            return given, _overruled(file, values, given)
        return None, f"a stream of QEMU's TCG, without firmware registers: {given.name} is not its kernel"
    told = file.provenance.told_by.get("kernel_version") or _beside(file)
    if told:
        try:
            return release(told), ""
        except InputError as error:
            return None, f"its kernel is none fastsmc knows: {error}; judged by ids and equal values only"
    if not has_firmware:
        who = "QEMU's TCG" if is_stream else "no KVM of 5.10 or later"
        return None, f"no firmware register: {who}; judged by ids and equal values only"
    rules = _likeliest(values)
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
        meta = json.loads(path.read_text(encoding="utf-8"))
        return kernel_name(meta) if isinstance(meta, dict) else ""
    except (OSError, ValueError, RecursionError):
        return ""


def _likeliest(values: Values) -> Release | None:
    """The newest milestone that has exactly these firmware registers, by its list nearest to this one."""
    named = {FW_BY_ID[reg].name for reg in values if reg in FW_BY_ID}
    psci = values.get(register("PSCI_VERSION"))
    best: tuple[tuple[bool, int, int], Release] | None = None
    for age, milestone in enumerate(reversed(milestones())):
        rules = release(series_name(milestone))
        if set(rules.fw_registers) != named or (psci is not None and psci not in rules.psci_versions):
            continue
        is_default = psci is None or psci == rules.psci_versions[-1]
        listed = set(inferred_ids(rules, _features(values, rules)))
        own = {reg for reg in values if reg_class(reg) not in (CLASS_CORE, CLASS_SVE)}
        key = not is_default, len(own ^ {reg for reg in listed if reg_class(reg) not in (CLASS_CORE, CLASS_SVE)}), age
        if best is None or key < best[0]:
            best = key, rules
    return None if best is None else best[1]


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


def _features(values: Values, rules: Release | None) -> str:
    """vCPU features that the registers show. Where every vCPU lists the PMU's registers, they show no PMU."""
    is_pmu_shown = rules is None or not lists_pmu_always(rules)
    shown = {
        "psci02": values.get(register("PSCI_VERSION")) != PSCI_0_1,
        "pmu": _PMCR in values and is_pmu_shown,
        "sve": ZCR in values or any(reg_class(reg) == CLASS_SVE for reg in values),
        "pauth": APIAKEYLO in values,
        "el1_32bit": (values.get(PSTATE) or 0) & _MODE > _AARCH32_USER,
    }
    listed = [name for name, is_shown in shown.items() if is_shown]
    return normal_features("+".join(listed if shown["psci02"] else ["none", *listed]))
