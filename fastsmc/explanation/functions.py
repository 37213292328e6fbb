"""A function id explained: what its bits mean, and what becomes of a call.

Source: Arm DEN0028 (SMCCC) for the bits. What a release does is asked of the tables and the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastsmc.explanation import guests
from fastsmc.explanation.answers import ANSWERS, DIFFERS, NEEDS
from fastsmc.explanation.explanation import Explanation, Line, Near, summary_of_unknown
from fastsmc.explanation.names import linux_name, psci_stem
from fastsmc.facts.call_ranges import DOCUMENTS, OWNERS, SMCCC, TRUSTED_OWNERS, UIDS, owner_and_range
from fastsmc.facts.history import newest, since, span
from fastsmc.facts.other_calls import OTHER_BY_ID, OtherCall, call_name
from fastsmc.facts.registers import BIT_NAMES, BITMAP_REGISTERS, FW_BY_NAME, register
from fastsmc.facts.releases import Doubt, Host, Release
from fastsmc.facts.smccc import (
    FAST_CALL,
    FUNCTION_BY_ID,
    FUNCTIONS,
    PSCI_0_1,
    RESERVED_RANGES,
    SMC64,
    SVE_HINT,
    Conduit,
    Function,
    Gate,
    Service,
    Verdict,
    is_psci_allowed,
    owner_of,
    psci_name,
)
from fastsmc.facts.vcpu import FEATURE_EL1_32BIT, FEATURE_PSCI_0_2
from fastsmc.reference.doubts import NAMELESS, touched
from fastsmc.reference.vm import Vm

BITMAP_NAMES = {row.index: row.name for row in BITMAP_REGISTERS}
"""Names of the bitmap registers by number."""

SERVICES = {
    Service.ARCH: "Arm architecture calls",
    Service.PSCI: "PSCI: power state of CPUs and system",
    Service.TRNG: "TRNG: random numbers",
    Service.PV_TIME: "PV time: stolen time",
    Service.VENDOR_HYP: "KVM's vendor hypervisor calls",
}

_ANSWERED = frozenset({Verdict.HANDLED, Verdict.EXIT, Verdict.FAST_PATH})
_MAX_NEAR = 4
_NOT_SUPPORTED = "KVM answers NOT_SUPPORTED"
_WEAK = ("its neighbour", "with bit")
"""Likenesses of unknown ids that chance gives too: they are listed, and no summary rests on them."""
_KVM = "arch/arm64/kvm/"
_WHOLE_PATHS = ("include/", "arch/", "Documentation/", "Arm ", "TF-A ")


def explain_function(func_id: int, rules: tuple[Release, ...], also: tuple[Near, ...], upper: int = 0) -> Explanation:
    """Everything known about a function id.

    Args:
        rules: releases to give the default verdict of, the newest first.
        also: near misses the caller knows of.
        upper: bits 63:32 of the x0 it came in.
    """
    row, other = FUNCTION_BY_ID.get(func_id), OTHER_BY_ID.get(func_id)
    near = (*also, *(_near_known(row) if row else _near_other(func_id) if other else _near_unknown(func_id)))
    near = near[:_MAX_NEAR]
    lines: list[Line] = [("anatomy", _anatomy(func_id))]
    if row is not None and row.psci_max == PSCI_0_1:
        lines.append(("id", "KVM's own, as PSCI 0.1 fixes none: it is older than SMCCC, and its bits mean nothing"))
    if upper:
        text = f"bits 63:32 of x0, 0x{upper:08X}, are ignored: KVM looks at the low half only; nor is it a register id"
        lines.append(("x0", f"{text} of arm64, which has 0x60 in bits 63:56"))
    lines += _known_lines(row) if row else _other_lines(other) if other else _unnamed_lines(func_id)
    lines += [("gate", _gate(func_id, row)), ("filter", _filter(func_id, row)), ("since", _since(func_id))]
    if row is not None:
        lines += _psci_versions(row)
        needs = _needs(row)
        lines += [("needs", "; ".join(needs))] if needs else []
    for release in rules:
        lines.append((f"default {release.name}", default_verdict(func_id, release)))
        lines += guests.lines(func_id, release)
        lines += kernel_lines(release, doubts_about(func_id, release))
    summary = row.name if row else f"{other.name}: {_NOT_SUPPORTED}" if other else _unknown(func_id, near)
    return Explanation(
        "function",
        func_id,
        call_name(func_id),
        f"{summary} (the upper half of x0, 0x{upper:08X}, is ignored)" if upper else summary,
        tuple(lines),
        near,
        tuple(map(_path, row.source.split("; "))) if row else _other_sources(other),
        guests.rows(func_id, rules),
    )


def _known_lines(row: Function) -> list[Line]:
    """What the tables have of a function that KVM knows."""
    lines = [
        ("Linux name", linux_name(row) or "none"),
        ("service", SERVICES[row.service]),
        ("document", DOCUMENTS[row.service]),
        ("answer", ANSWERS[row.func_id]),
    ]
    if row.func_id in DIFFERS:
        lines.append(("differs", DIFFERS[row.func_id]))
    if row.name == "VENDOR_HYP_CALL_UID":
        lines.append(("UIDs", "; ".join(f"{whose} {uid}" for whose, uid, _ in UIDS)))
    return lines


def _other_lines(row: OtherCall) -> list[Line]:
    """What is known of a function that has a name and that KVM does not answer."""
    family = row.family
    lines = [
        ("service", f"{family.name}: {family.title}"),
        ("document", family.document),
        ("answer", f"nothing: {_NOT_SUPPORTED} (x0 = -1) in every release"),
    ]
    return [*lines, ("note", row.note)] if row.note else lines


def _unnamed_lines(func_id: int) -> list[Line]:
    return [("range", owner_and_range(func_id)), ("answer", f"nothing: {_NOT_SUPPORTED} (x0 = -1) in every release")]


def _other_sources(row: OtherCall | None) -> tuple[str, ...]:
    """Where an id can be read that is none of KVM's; and KVM's list of those that it answers."""
    named = tuple(dict.fromkeys((*row.source.split("; "), row.family.document))) if row else (SMCCC,)
    return (*named, f"{_KVM}hypercalls.c")


def _unknown(func_id: int, near: tuple[Near, ...]) -> str:
    """One line for an id without a name: what it is a slip of, or else whose number it is."""
    if near and not near[0][2].startswith(_WEAK):
        return summary_of_unknown(near, "", _form(func_id))
    return f"no function KVM/arm64 knows; {owner_and_range(func_id)}"


def _path(source: str) -> str:
    """The whole path of a source: the tables name KVM's own files without their folder."""
    return source if source.startswith(_WHOLE_PATHS) else f"{_KVM}{source}"


def _form(func_id: int) -> str:
    return "SMC64" if func_id & SMC64 else "SMC32"


def _anatomy(func_id: int) -> str:
    kind = "fast call" if func_id & FAST_CALL else "yielding call, of which KVM answers none"
    owner = owner_of(func_id)
    text = f"{kind}, {_form(func_id)}, owner {owner} ({OWNERS.get(owner, 'reserved')}), number 0x{func_id & 0xFFFF:04X}"
    high = func_id >> 16 & 0xFF
    if not high or func_id in FUNCTION_BY_ID:
        return text
    hint = "; bit 16 says that no SVE state is live, and KVM does not mask it off" if func_id & SVE_HINT else ""
    return f"{text}, bits 23:16 0x{high:02X} where 0 is required{hint}"


def _gate(func_id: int, row: Function | None) -> str:
    if row is None and is_psci_allowed(func_id):
        return "default: owner 4 and a number up to 0x1F pass the allowed list, but nothing behind it knows this id"
    if row is None or row.gate is Gate.NONE:
        return "none: not on the allowed list, and no bitmap bit allows it"
    if row.gate is Gate.DEFAULT:
        return "default: on the allowed list, no bitmap bit"
    if row.gate is Gate.FAST_PATH:
        return "fast path: answered at EL2, by HVC only, before any filter or bitmap; by SMC not allowed"
    name = BITMAP_NAMES[row.bitmap]
    reset = "set" if newest().bitmap_reset[row.bitmap] >> row.bit & 1 else "clear"
    gated = since(lambda release: release.is_gated)
    bit = BIT_NAMES[name, row.bit]
    return f"KVM_REG_ARM_{name} bit {row.bit} ({bit}), {reset} by default; ungated before {gated}"


def _filter(func_id: int, row: Function | None) -> str:
    if any(first <= func_id <= last for first, last in RESERVED_RANGES):
        return "reserved: a range that covers it is refused (EEXIST)"
    begin = since(lambda release: release.has_filter)
    if row is None or row.gate is Gate.NONE:
        return f"FWD_TO_USER gives it to the VMM, from {begin} on; nothing else gets it answered"
    return f"DENY stops it, FWD_TO_USER gives it to the VMM, from {begin} on"


def _open_vms(release: Release, extra_features: int = 0) -> Iterator[tuple[int, Vm]]:
    """For each PSCI version of a release, a VM that allows all it can."""
    for word in release.psci_versions:
        features = extra_features | (0 if word == PSCI_0_1 else FEATURE_PSCI_0_2)
        vm = Vm(Host(release), features=features)
        vm.set_one_reg(0, register("PSCI_VERSION"), word)
        for index, limit in enumerate(release.bitmap_limit):
            vm.set_one_reg(0, register(BITMAP_NAMES[index]), limit)
        vm.enable_system_suspend()
        yield word, vm


def answering_versions(
    func_id: int, release: Release, conduit: Conduit = Conduit.HVC, extra_features: int = 0
) -> tuple[int, ...]:
    """The PSCI versions at which the reference answers an id on a release, all else allowed."""
    return tuple(
        word
        for word, vm in _open_vms(release, extra_features)
        if vm.call(0, func_id, conduit=conduit).verdict in _ANSWERED
    )


def _since(func_id: int) -> str:
    by_hvc = since(lambda release: bool(answering_versions(func_id, release)))
    by_smc = since(lambda release: bool(answering_versions(func_id, release, Conduit.SMC)))
    if by_hvc is None:
        to_protected = since(lambda release: guests.is_for_protected(func_id, release))
        if to_protected:
            return f"no release from {span()} answers it to an ordinary guest; {to_protected} to protected VMs"
        return f"no release from {span()} answers it"
    if by_smc is None:
        return f"{by_hvc} by HVC, never by SMC"
    return by_hvc if by_hvc == by_smc else f"{by_hvc} by HVC, {by_smc} by SMC"


def _psci_versions(row: Function) -> list[Line]:
    words = answering_versions(row.func_id, newest())
    if row.service is not Service.PSCI or not words:
        return []
    names = [psci_name(word) for word in words]
    return [("PSCI", f"answered at version {names[0]}" + (f" to {names[-1]}" if len(names) > 1 else ""))]


def _needs(row: Function) -> list[str]:
    needs = []
    words = answering_versions(row.func_id, newest())
    if words == (PSCI_0_1,):
        needs.append("a vCPU without the feature KVM_ARM_VCPU_PSCI_0_2")
    if words and not answering_versions(row.func_id, newest(), extra_features=FEATURE_EL1_32BIT):
        needs.append("an AArch64 caller")
    if row.vm_cap:
        needs.append(f"VM capability KVM_CAP_ARM_{row.vm_cap}, off by default")
    return [*needs, NEEDS[row.func_id]] if row.func_id in NEEDS else needs


def default_verdict(func_id: int, release: Release) -> str:
    """What becomes of a call in a VM nobody configured, by HVC and by SMC, in words."""
    vms = {conduit: Vm(Host(release)) for conduit in (Conduit.HVC, Conduit.SMC)}
    fates = [guests.FATES[vm.call(0, func_id, conduit=conduit).verdict] for conduit, vm in vms.items()]
    return fates[0] if fates[0] == fates[1] else f"HVC {fates[0]}, SMC {fates[1]}"


def doubts_about(func_id: int, release: Release) -> list[Doubt]:
    """What is not known of a release and touches a function, for callers in AArch64 or AArch32."""
    name = FUNCTION_BY_ID[func_id].name if func_id in FUNCTION_BY_ID else NAMELESS
    kinds = (FEATURE_PSCI_0_2, FEATURE_PSCI_0_2 | FEATURE_EL1_32BIT, 0)
    found = [one.doubt for features in kinds for one in touched(release, features) if name in one.functions]
    return list(dict.fromkeys(found))


def kernel_lines(release: Release, doubts: Iterable[Doubt]) -> list[Line]:
    """Whose kernel a release is, and what is not certain about an id on it; often no line."""
    told = [("kernel", "; ".join(release.notes)), ("not certain", "; ".join(map(str, doubts)))]
    return [(f"{what} {release.name}", text) for what, text in told if text]


def _near_known(row: Function) -> tuple[Near, ...]:
    """What is near a known function: its other convention, the same call of another PSCI, the register of that name."""
    near: list[Near] = []
    other = FUNCTION_BY_ID.get(row.func_id ^ SMC64)
    if other is not None:
        near.append((other.func_id, other.name, f"the {_form(other.func_id)} form"))
    if row.service is Service.PSCI:
        stem = psci_stem(row.name)
        named = [f for f in FUNCTIONS if f.service is Service.PSCI and psci_stem(f.name) == stem]
        near += [(f.func_id, f.name, "the same call of another PSCI version") for f in named if f not in (row, other)]
    if row.name in FW_BY_NAME:
        near.append((FW_BY_NAME[row.name].reg, f"KVM_REG_ARM_{row.name}", "the firmware register of that name"))
    return tuple(near)


def _near_other(func_id: int) -> tuple[Near, ...]:
    """What is near a named function that KVM does not know: its other convention."""
    other = func_id ^ SMC64
    name = call_name(other)
    return ((other, name, f"the {_form(other)} form"),) if name else ()


def _near_unknown(func_id: int) -> tuple[Near, ...]:
    """Named ids that differ in what is easily got wrong, nearest first; by chance likenesses, those that KVM knows."""
    wrong = "the SVE hint" if func_id >> 16 & 0xFF == 1 else "bits 23:16"
    slips = [
        (func_id & ~0x00FF_0000, f"without {wrong}"),
        (func_id ^ SMC64, f"the {_form(func_id ^ SMC64)} form"),
        (func_id & ~0x00FF_0000 ^ SMC64, f"without {wrong}, the {_form(func_id ^ SMC64)} form"),
    ]
    if owner_of(func_id) not in TRUSTED_OWNERS:  # whose yielding calls are no slip
        slips.append((func_id | FAST_CALL, "as a fast call"))
    chance = [
        (func_id - 1, "its neighbour"),
        (func_id + 1, "its neighbour"),
        *((func_id ^ 1 << bit, f"with bit {bit} {'clear' if func_id >> bit & 1 else 'set'}") for bit in range(32)),
    ]
    found: dict[int, Near] = {}
    for other, why in (*slips, *(row for row in chance if row[0] in FUNCTION_BY_ID)):
        name = call_name(other)
        if name:
            found.setdefault(other, (other, name, why))
    return tuple(found.values())
