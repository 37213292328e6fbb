"""A downtime in which a user's own measurements have replaced modelled steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fastsmc.errors import InputError
from fastsmc.migrate.span import Span, total
from fastsmc.migrate.switchover import names
from fastsmc.migrate.switchover.query_migrate import QueryMigrate
from fastsmc.migrate.switchover.steps import DowntimeStep, Stage, Waterfall
from fastsmc.migrate.switchover.trace_log import DowntimeLog, merged
from fastsmc.migrate.switchover.trace_order import (
    ITERABLE,
    ITERABLE_SAVED,
    LOADED,
    NON_ITERABLE,
    SAVED,
    SLACK,
    START,
    STARTED,
    STOPPED,
)
from fastsmc.results.units import number_of, significant

Sections = Mapping[tuple[str, int], int]

_SOURCE_SIDE = (names.PAUSE, names.GETS, names.GIC_GETS, names.GETS_AGAIN, names.SAVE, names.WIRE, names.DESCRIPTION)
_SAVING = (names.GIC_GETS, names.GETS_AGAIN, names.SAVE)
_LOADING = (names.LOAD, names.GIC_SETS, names.SETS)
_CLOSING = {"save": SAVED, "load": LOADED}
_SHOWN = 3
_ROUNDED_MS = 1
"""QEMU takes a downtime as the difference of two times in whole milliseconds."""


def with_logs(waterfall: Waterfall, logs: Sequence[DowntimeLog]) -> Waterfall:
    """The waterfall with what trace logs tell of either end; what they do not tell stays as it is.

    Raises:
        InputError: the logs are of a VM with another number of vCPUs, or their times contradict each other.
        TraceError: the logs are of two migrations.
    """
    if not logs:
        return waterfall
    log = merged(logs)
    notes = [f"{log.path}: {log.n_event} events, {log.n_skipped} other lines skipped"]
    if log.n_earlier:
        notes.append(f"{log.path}: the last of {log.n_earlier + 1} migrations")
    if not log.checkpoints and (log.save or log.load):
        notes.append(f"{log.path}: no checkpoint with a time (-msg timestamp=on): sections only")
    instead: dict[str, DowntimeStep | None] = {}
    extra = []
    memory = _memory(log)
    if memory is not None:
        extra.append(memory)
    pause, resume = log.between(START, STOPPED), log.between(LOADED, STARTED)
    if pause is not None:
        instead[names.PAUSE] = _measured(names.PAUSE, Stage.BEFORE, pause, f"{START} to {STOPPED}")
    if resume is not None:
        instead[names.RESUME] = _measured(names.RESUME, Stage.AFTER, resume, f"{LOADED} to {STARTED}")
    gaps = [_gap(log, STOPPED, ITERABLE_SAVED, ITERABLE), _gap(log, ITERABLE_SAVED, SAVED, NON_ITERABLE)]
    if None not in gaps and any(name == "cpu" for name, _ in log.sections("save", NON_ITERABLE)):
        what = f"{STOPPED} to {SAVED}, less all sections; the description's last bytes and disks are in it"
        instead[names.GETS] = _measured(names.GETS, Stage.BEFORE, sum(gap or 0 for gap in gaps), what)
    for side, stage, replaced in (("save", Stage.SAVE, _SAVING), ("load", Stage.LOAD, _LOADING)):
        sections = log.sections(side, NON_ITERABLE)
        if sections:
            _sections(waterfall, log, side, stage, replaced, sections, instead, notes)
    end = log.checkpoints.get(LOADED)
    if end is not None and log.last_load_us is not None and end >= log.last_load_us:
        what = f"last section loaded to {LOADED}; skipping the description is in it"
        instead[names.SETS_AGAIN] = _measured(names.SETS_AGAIN, Stage.AFTER, end - log.last_load_us, what)
    if not extra and not any(instead.values()):
        notes.append(_nothing(log))
    return waterfall.having(instead=instead, first=extra, notes=notes)


def _nothing(log: DowntimeLog) -> str:
    """The sentence on a log of which no step is known: what it has, and what a step would take."""
    timed, sections = len(log.checkpoints), len(log.save) + len(log.load)
    untimed = len(log.lines) - timed
    found = [f"{number_of(sections, 'section')}, none of them of vCPUs"] if sections else ["no section"]
    found += [f"{number_of(timed, 'checkpoint')} with a time, none of which ends a step that another begins"] * bool(
        timed
    )
    found += [f"{number_of(untimed, 'checkpoint')} without a time (-msg timestamp=on gives it)"] * bool(untimed)
    return f"{log.path}: nothing was measured, every step is modelled or assumed: the log has {'; '.join(found)}"


def _measured(name: str, stage: Stage, us: float, what: str, *, is_budgeted: bool = False) -> DowntimeStep:
    return DowntimeStep(name, stage, Span.exactly(us / 1e3), "measured", f"trace log: {what}", is_budgeted=is_budgeted)


def _gap(log: DowntimeLog, first: str, last: str, kind: str) -> int | None:
    """Microseconds between two checkpoints that no section of that kind took; None if the log lacks one of them.

    QEMU reads the state of all vCPUs in such a gap: before the iterable sections, from 10.0 on after them.
    """
    whole, sections = log.between(first, last), sum(log.sections("save", kind).values())
    if whole is None:
        return None
    if sections > whole + whole * SLACK:
        lines = f"{first} (line {log.lines.get(first, 0)}) to {last} (line {log.lines.get(last, 0)})"
        msg = f"{log.path}: {kind} sections took {sections} us, but {lines} lasted {whole} us"
        raise InputError(msg)
    return max(0, whole - sections)


def _memory(log: DowntimeLog) -> DowntimeStep | None:
    """Guest memory and other iterable state: per section the longer of save and load, as loading waits for saving."""
    saved, loaded = log.sections("save", ITERABLE), log.sections("load", ITERABLE)
    longer = {key: max(saved.get(key, 0), loaded.get(key, 0)) for key in (*saved, *loaded)}
    if not longer:
        return None
    what = f"iterable sections ({_largest(longer)}), of each the longer of save and load"
    return _measured(names.MEMORY, Stage.BEFORE, sum(longer.values()), what, is_budgeted=True)


def _sections(
    waterfall: Waterfall,
    log: DowntimeLog,
    side: str,
    stage: Stage,
    replaced: Iterable[str],
    sections: Sections,
    instead: dict[str, DowntimeStep | None],
    notes: list[str],
) -> None:
    """Puts the sections of one side in place of modelled steps, if the vCPUs are among them."""
    n_cpu = sum(name == "cpu" for name, _ in sections)
    if n_cpu not in (0, waterfall.n_vcpu):
        msg = f"{log.path}: {side} of {n_cpu} sections 'cpu', but the VM has {waterfall.n_vcpu} vCPUs; is it this VM's?"
        raise InputError(msg)
    if not n_cpu:
        notes.append(
            f"{log.path}: {side} of {len(sections)} sections, none of them 'cpu': not used, vCPUs stay modelled"
        )
        return
    if _CLOSING[side] not in log.lines:
        notes.append(f"{log.path}: no {_CLOSING[side]}: whether all sections of the {side} are in it is not known")
    what = f"{len(sections)} non-iterable sections ({_largest(sections)})"
    first, *rest = replaced
    instead[first] = _measured(f"{side} of sections", stage, sum(sections.values()), what)
    instead |= dict.fromkeys(rest)


def _largest(sections: Sections) -> str:
    """The sections that take most, by name, all instances of a name together."""
    by_name: dict[str, int] = {}
    for (name, _), us in sections.items():
        by_name[name] = by_name.get(name, 0) + us
    order = sorted(by_name, key=lambda name: -by_name[name])
    more = f", {len(order) - _SHOWN} more" if order[_SHOWN:] else ""
    return ", ".join(f"{name} {by_name[name]} us" for name in order[:_SHOWN]) + more


def with_query(waterfall: Waterfall, query: QueryMigrate) -> Waterfall:
    """The waterfall with the source's whole downtime in place of its modelled steps.

    Beside a log, which tells more, the downtime is only compared with the sum of the steps.

    Memory sent while the guest was stopped is taken at line rate, where it is told, and the rest of the downtime is
    what QEMU's estimate did not have in its sum.
    """
    source = [step for step in waterfall.steps if step.stage in (Stage.BEFORE, Stage.SAVE, Stage.WIRE)]
    told = f"{query.path}: downtime {query.downtime_ms:g} ms"
    said = [f"{query.path}: {note}" for note in query.notes]
    if any(step.kind == "measured" for step in source):
        mid = total(step.ms for step in source).mid
        both = f"{told}; the source's steps add up to {significant(mid)} ms"
        measured = total(step.ms for step in source if step.kind == "measured").mid
        if measured > query.downtime_ms * (1 + SLACK) + _ROUNDED_MS:
            both += f", {significant(measured)} ms of it measured, which contradicts it: give those of one migration"
        return waterfall.having(instead={}, notes=[both, *said])
    memory_bytes = query.stopped_ram_bytes or 0
    wire_ms = memory_bytes * 8 / (waterfall.link.gbit_per_s * 1e6)
    memory_ms = min(query.downtime_ms, wire_ms)
    whole = f"{query.told_by}: downtime {query.downtime_ms:g} ms"
    memory = DowntimeStep(
        names.MEMORY,
        Stage.BEFORE,
        Span.exactly(memory_ms),
        "modelled",
        f"{query.told_by}: ram.downtime-bytes (measured) at {waterfall.link.gbit_per_s:g} Gbit/s",
        0,
        memory_bytes,
        is_budgeted=True,
    )
    rest = DowntimeStep(
        names.SOURCE,
        Stage.SAVE,
        Span.exactly(query.downtime_ms - memory_ms),
        "measured",
        f"{whole}, less the memory" if memory_bytes else f"{whole}, memory in it unknown",
    )
    instead: dict[str, DowntimeStep | None] = dict.fromkeys(_SOURCE_SIDE)
    notes = [told, *said]
    if wire_ms > query.downtime_ms:
        notes.append(
            f"{query.path}: its memory takes {significant(wire_ms)} ms at this line rate, "
            "longer than the whole downtime"
        )
    is_told = query.stopped_ram_bytes is not None
    return waterfall.having(instead=instead, first=[memory, rest] if is_told else [rest], notes=notes)
