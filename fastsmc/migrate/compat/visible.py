"""What a guest sees change when it wakes up elsewhere: which calls are answered there, and which answers differ.

Computed by the reference: every known function is called once in a VM as it was, and in the VM that the restore makes.
Filters and VM capabilities are no registers: the VMM sets them up again, and here both VMs have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from fastsmc.facts.registers import CLASS_SVE, FIRMWARE_CLASSES, FW_BY_ID, SVE_VLS, reg_class
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import FUNCTION_BY_ID, FUNCTIONS, Conduit, Verdict
from fastsmc.facts.vcpu import feature_bits, has_el2
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.result import Caution, RegisterFate, shown_name
from fastsmc.migrate.compat.side import Side, kernel_host
from fastsmc.migrate.compat.vmms import carried, dropped
from fastsmc.reference.restore import as_ordinary
from fastsmc.reference.state import OK
from fastsmc.reference.vm import Vm

_ANSWERED = (Verdict.HANDLED, Verdict.EXIT, Verdict.FAST_PATH)
_QUESTIONS = (
    (0x8400_0000, 0),  # PSCI_VERSION
    (0x8000_0001, 0x8000_8000),  # ARCH_FEATURES of the three workarounds
    (0x8000_0001, 0x8000_7FFF),
    (0x8000_0001, 0x8000_3FFF),
    (0x8000_0001, 0xC500_0020),  # and of PV_TIME_FEATURES
    (0x8600_0000, 0),  # VENDOR_HYP_FEATURES
)
_SHOWN = 12

Told = tuple[frozenset[str], tuple[tuple[int, ...] | None, ...], bool]
"""What a guest is told: (functions answered, answer to each of _QUESTIONS, whether an SMC is served)."""


def cautions(source: Side, dest: Side, vmm: Vmm, fates: Sequence[RegisterFate]) -> tuple[Caution, ...]:
    """What restores and yet changes something for the guest.

    Args:
        fates: of all registers; those that the destination refuses are taken as left out.
    """
    lost = {fate.reg for fate in fates if fate.errno}
    missing = source.values.keys() - dest.values.keys()
    skipped = [fate.reg for fate in fates if fate.errno == OK and fate.reg in missing]
    written = carried(source, vmm) - lost - set(skipped)
    found = [*_not_carried(source, dest, vmm), *_tolerated(skipped, vmm), *_kept(source, dest, vmm)]
    found += _vector_lengths(source, dest, vmm)
    is_other_guest = has_el2(feature_bits(source.features)) != has_el2(feature_bits(dest.features))
    before, after = _before(source), _after(source, dest, written)
    changes = _changes(before, after) if before and after and not is_other_guest else ()
    return (*changes, *found)


# -- the guest's view ------------------------------------------------------------------------------------------


def _before(source: Side) -> Told | None:
    return _told_of(source, source, frozenset(source.values))


def _after(source: Side, dest: Side, written: frozenset[int]) -> Told | None:
    return _told_of(dest, source, written)


def _told_of(place: Side, source: Side, written: frozenset[int]) -> Told | None:
    """What a guest is told on a host, after the source's firmware registers were written there."""
    host = kernel_host(place)
    if host is None:
        return None
    sets = [
        (reg, value)
        for reg, value in source.values.items()
        if reg in written and reg in FW_BY_ID and reg_class(reg) in FIRMWARE_CLASSES and value is not None
    ]
    conduit = Conduit.SMC if has_el2(feature_bits(place.features)) else Conduit.HVC
    return _asked(host, as_ordinary(place.features), tuple(sets), conduit)


@cache
def _asked(host: Host, features: int, sets: tuple[tuple[int, int], ...], conduit: Conduit) -> Told:
    """What an ordinary guest is told by one conduit: a guest with EL2 is told the same by SMC (recorded)."""

    def vm() -> Vm:
        made = Vm(host, features=features)
        for reg, value in sets:
            made.set_one_reg(0, reg, value)
        return made

    answered = [row.name for row in FUNCTIONS if vm().call(0, row.func_id, conduit=conduit).verdict in _ANSWERED]
    answers = []
    for func_id, x1 in _QUESTIONS:
        outcome = vm().call(0, func_id, x1, conduit=conduit)
        answers.append(outcome.x if outcome.verdict is Verdict.HANDLED else None)
    smc = vm().call(0, 0x8000_0000, conduit=Conduit.SMC).verdict is Verdict.HANDLED
    return frozenset(answered), tuple(answers), smc


def _changes(before: Told, after: Told) -> Iterator[Caution]:
    """Differences between what a guest was told and will be told."""
    gained, lost = _in_order(after[0] - before[0]), _in_order(before[0] - after[0])
    if gained:
        yield Caution("gains", f"the guest gains {_calls(gained)} answered there: {_some(gained)}", gained)
    if lost:
        yield Caution("loses", f"the guest loses {_calls(lost)} answered until then: {_some(lost)}", lost)
    for (func_id, x1), old, new in zip(_QUESTIONS, before[1], after[1], strict=True):
        if old != new and old is not None and new is not None:
            name = FUNCTION_BY_ID[func_id].name + (f"({FUNCTION_BY_ID[x1].name})" if x1 else "")
            yield Caution("answers", f"{name} answers {_words(new)} there; it was {_words(old)}", (name,))
    if before[2] != after[2]:
        yield Caution("smc", "calls by SMC are answered there" if after[2] else "calls by SMC are refused there")


def _in_order(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(row.name for row in FUNCTIONS if row.name in names)


def _calls(names: tuple[str, ...]) -> str:
    return f"{len(names)} calls" if len(names) > 1 else "1 call"


def _words(x: tuple[int, ...]) -> str:
    last = max((i for i, word in enumerate(x) if word), default=0)
    return ", ".join(str(word - (1 << 64)) if word >> 63 else hex(word) for word in x[: last + 1])


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


# -- registers that do not travel ------------------------------------------------------------------------------


def _not_carried(source: Side, dest: Side, vmm: Vmm) -> Iterator[Caution]:
    """Cautions about registers that the VMM does not save: SVE's, and bitmaps."""
    lost = dropped(source, vmm)
    sve = [reg for reg in lost if reg_class(reg) == CLASS_SVE]
    others = [reg for reg in lost if reg_class(reg) != CLASS_SVE]
    if sve:
        yield Caution("not carried", f"{vmm} does not save {len(sve)} SVE registers: the guest's vectors are lost")
    if others:
        names = tuple(shown_name(reg) or f"{reg:#x}" for reg in others)
        changed = [
            shown_name(reg)
            for reg in others
            if source.values[reg] is not None and source.values[reg] != _reset(dest, reg)
        ]
        effect = f"; different from the reset value there: {', '.join(changed)}" if changed else ""
        yield Caution("not carried", f"{vmm} does not save {', '.join(names)}: they are reset there{effect}", names)


def _tolerated(skipped: Sequence[int], vmm: Vmm) -> Iterator[Caution]:
    """The caution about registers of the stream that the destination lacks, and the VMM leaves out."""
    if skipped:
        names = tuple(map(shown_name, skipped))
        text = f"{vmm} leaves out {', '.join(names)}, which the destination lacks: their values are lost"
        yield Caution("not carried", text, names)


def _vector_lengths(source: Side, dest: Side, vmm: Vmm) -> Iterator[Caution]:
    """The caution about SVE vector lengths where the VMM does not carry them: both ends must be started with the same.

    Source: QEMU docs/system/arm/cpu-features.rst, "SVE CPU Properties".
    """
    one, other = source.values.get(SVE_VLS, 0), dest.values.get(SVE_VLS, 0)
    if vmm is not Vmm.QEMU or 0 in (one, other) or (one is not None and one == other):
        return
    if one is None or other is None:
        yield Caution(
            "vector lengths", f"{vmm} does not carry SVE vector lengths, and they are not known on both sides"
        )
        return
    different = [f"sve{128 * (bit + 1)}=off" for bit in range(max(one, other).bit_length()) if (one ^ other) >> bit & 1]
    text = (
        f"SVE vector lengths differ ({_lengths(one)} here, {_lengths(other)} there, in bits) and {vmm} does not carry "
        f"them: start both ends with -cpu host,{','.join(different)}"
    )
    yield Caution("vector lengths", text)


def _lengths(value: int) -> str:
    return ", ".join(str(128 * (bit + 1)) for bit in range(value.bit_length()) if value >> bit & 1)


def _reset(dest: Side, reg: int) -> int | None:
    host = kernel_host(dest)
    if host is None:
        return dest.values.get(reg)
    errno, value = Vm(host, features=as_ordinary(dest.features)).get_one_reg(0, reg)
    return value if errno == OK else None


def _kept(source: Side, dest: Side, vmm: Vmm) -> Iterator[Caution]:
    """Cautions about registers that the destination lists and the payload lacks."""
    mine, theirs = carried(dest, vmm), carried(source, vmm)
    kinds = {reg_class(reg) for reg in theirs}
    kept = tuple(sorted(reg for reg in mine - theirs if reg_class(reg) in kinds or reg_class(reg) in FIRMWARE_CLASSES))
    if kept:
        names = tuple(shown_name(reg) or f"{reg:#018x}" for reg in kept)
        count = f"{len(kept)} registers there are" if len(kept) > 1 else "1 register there is"
        text = f"{count} not in the payload, to keep the reset value: {_some(names)}"
        yield Caution("keeps reset value", text, names)
