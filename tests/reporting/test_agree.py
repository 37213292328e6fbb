"""Saved reports that contradict themselves: what contradicts what is said, and nothing is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import fastsmc as smc
from fastsmc.errors import ResultFileError
from fastsmc.reporting import agree, needs
from fastsmc.reporting import page as pages
from fastsmc.results.files import load
from fastsmc.results.runs import Run
from fastsmc.results.tables import Column, Table
from tests.support.places import ROOT
from tests.support.small_report import changed

SAVED = ROOT / "reports" / "scaling" / "data.json"
Change = Callable[[dict[str, Any]], None]


def values(tables: dict[str, Any], table: str, column: str) -> list[Any]:
    found: list[Any] = tables[table]["columns"][column]["values"]
    return found


def put(table: str, column: str, value: Any, row: int = -1) -> Change:
    return lambda tables: values(tables, table, column).__setitem__(row, value)


def times(table: str, column: str, by: float, row: int = -1) -> Change:
    def change(tables: dict[str, Any]) -> None:
        column_ = values(tables, table, column)
        column_[row] = type(column_[row])(column_[row] * by)

    return change


def all_of(*changes: Change) -> Change:
    def change(tables: dict[str, Any]) -> None:
        for one in changes:
            one(tables)

    return change


def without(table: str, row: int) -> Change:
    def change(tables: dict[str, Any]) -> None:
        for column in tables[table]["columns"].values():
            del column["values"][row]

    return change


WRONG: dict[str, tuple[Change, str]] = {
    "calls of the trace": (
        put("trace", "calls", 2**62, 0),
        "table trace, row 1: calls 4611686018427387904 is more than",
    ),
    "one call more in the trace": (put("trace", "calls", 42, 0), "add up to 92, input n_trace_call is 91"),
    "a function twice": (put("trace", "function", "TRNG_RND64", 0), "table trace: two rows have the same function"),
    "calls of a replay": (times("replay", "n_call", 2), "table replay, row 2: n_call is 186368, by n_vcpu and the 91"),
    "calls a second": (times("replay", "calls_per_s", 1.01), "row 2: calls_per_s is .*, by dispatch_ns it is"),
    "a shape's name": (
        put("replay", "shape", "2 x 512"),
        "shape is '2 x 512', by n_vm and n_vcpu_per_vm it is '1 x 1024'",
    ),
    "verdicts of a service": (put("verdicts", "calls", 1, 0), "has 1 calls, by tables replay and trace it has 45056"),
    "verdicts of no service": (put("verdicts", "service", "LUNCH", 0), "table verdicts: .* by tables replay and trace"),
    "verdicts of no shape": (put("verdicts", "shape", "9 x 9", 0), "table verdicts: .* by tables replay and trace"),
    "real and hypothetical": (put("verdicts", "is_hypothetical", True, 0), "another is_hypothetical than table replay"),
    "too many vCPUs": (put("payload", "is_hypothetical", False), "is_hypothetical is False, by its vCPUs"),
    "few vCPUs": (put("study_boot", "is_hypothetical", True, 0), "is_hypothetical is True, by its vCPUs"),
    "quartiles": (
        put("dispatch_by_vcpu", "dispatch_p75_ns", 0.5),
        "row 40: dispatch_ns .* is above dispatch_p75_ns 0.5",
    ),
    "more policies than VMs": (put("dispatch_by_vm", "n_policy", 9, 0), "row 1: n_policy 9 is above n_vm 1"),
    "a longest batch": (
        put("replay", "batch_max_ns", 1.0),
        r"batch_p99_9_ns [0-9.e+]+ is above batch_max_ns 1\.0: damaged",
    ),
    "a batch of another size": (times("dispatch_by_vm", "n_call", 2), "table dispatch_by_vm, row 55: n_call is 524288"),
    "another fleet": (times("dispatch_by_vm", "n_vcpu", 2), "table dispatch_by_vm, row 55: n_vcpu is 2048, by row 1"),
    "half a vCPU": (put("dispatch_by_vcpu", "n_vcpu", 65535), "n_vcpu is 65535, by n_vm, each with whole vCPUs"),
    "bytes of a payload": (times("payload", "payload_bytes", 2), "payload_bytes"),
    "bytes that were written": (times("payload", "encoded_bytes", 2), "encoded_bytes is .*, by payload_bytes it is"),
    "both, and still wrong": (
        all_of(times("payload", "payload_bytes", 2), times("payload", "encoded_bytes", 2)),
        "payload_bytes is 32768, by codec, registers and vCPUs it is 16384",
    ),
    "bytes of the origin": (
        all_of(times("origin", "payload_bytes", 2, 0), times("origin", "encoded_bytes", 2, 0)),
        "table origin, row 1: payload_bytes is 16777216, by codec",
    ),
    "the fewest ioctls": (put("payload", "least_save_ioctls", 7), "least_save_ioctls is 7, by n_reg and n_vcpu"),
    "ioctls at the source": (
        times("payload", "save_ioctls", 2),
        "save_ioctls is 161792, by the other rows it is 80896",
    ),
    "ioctls at the destination": (times("origin", "load_ioctls", 0.5), "load_ioctls is .*, by the other rows"),
    "registers of firmware": (put("sets", "n_firmware", 200, 3), "row 4: n_firmware 200 is above n_cpreg 182"),
    "bytes of a set": (put("sets", "payload_bytes", 2913, 3), "by 16 bytes for each of n_cpreg it is 2912"),
    "a set's cost in bytes": (times("set_cost", "payload_bytes", 2), "table set_cost, row 352: payload_bytes is"),
    "a set's ioctls": (
        all_of(*(times("set_cost", f"save_{what}", 2) for what in ("ioctls", "low_ms", "mid_ms", "high_ms"))),
        "table set_cost, row 352: save_ioctls is .*, by the other rows",
    ),
    "a set's time": (
        put("set_cost", "load_mid_ms", 0.4, 0),
        "load_mid_ms is 0.4, by load_ioctls and what table limits",
    ),
    "times in order": (put("set_cost", "save_low_ms", 99.0, 0), "save_low_ms 99.0 is above save_mid_ms"),
    "a set of its own": (put("sets", "register_set", "Linux 2.6", 0), "'Linux 5.10', which table sets lacks"),
    "a utilisation": (
        put("study_vcpus", "utilisation", 7.5),
        "utilisation is 7.5, by forwarded_hz and most_forwarded_hz",
    ),
    "a utilisation by share": (put("study_share", "utilisation", 7.5), "table study_share, row 50: utilisation is 7.5"),
    "a utilisation by locks": (put("study_lock", "utilisation", 7.5), "table study_lock, row 20: utilisation is 7.5"),
    "a utilisation by filters": (put("study_filter", "utilisation", 7.5), "table study_filter, row 27: utilisation is"),
    "a utilisation at boot": (put("study_boot", "utilisation", 7.5), "table study_boot, row 55: .* is a share above 1"),
    "a share": (put("study_vcpus", "share", 1.5), "table study_vcpus, row 33: share 1.5 is a share above 1"),
    "another share": (put("study_lock", "share", 0.9, 0), "n_forwarded 131001 is far from share 0.9"),
    "more forwarded than called": (put("study_boot", "n_forwarded", 10**6), "n_forwarded 1000000 is above n_call"),
    "forwarded by nothing": (put("study_share", "n_forwarded", 5, 0), "row 1: share 0.0 is 0, with n_forwarded 5"),
    "times of nothing": (put("study_share", "p99_ns", 5.0, 0), "row 1: p99_ns 5.0 is not 0, with n_forwarded 0"),
    "threads of one lock": (put("study_vcpus", "n_thread", 3, 0), "row 1: n_thread is 3, by lock 'vm' it is 1"),
    "threads of no lock": (
        put("study_vcpus", "n_thread", 3, 2),
        "row 3: n_thread is 3, by lock 'none' and n_vcpu it is 1",
    ),
    "levels of no filter": (put("study_filter", "filter_levels", 3, 0), "filter_levels 3 does not fit n_range 0"),
    "levels that fall": (
        put("study_filter", "filter_levels", 99, 1),
        "column filter_levels: it falls where n_range rises",
    ),
    "quantiles": (put("study_vcpus", "p50_ns", 1e9), "p50_ns 1000000000.0 is above p99_ns"),
    "a median": (
        all_of(*(put("study_vcpus", f"{name}_ns", 1e9, 0) for name in ("p50", "p99", "p99_9"))),
        "row 1: p50_ns 1000000000.0 is too long for mean_ns 6619.0",
    ),
    "a short median": (put("study_vcpus", "p50_ns", 3.0, 0), "row 1: p50_ns 3.0 is below alone_ns 6619.0"),
    "a mean": (put("study_vcpus", "mean_ns", 1e7), "mean_ns is 10000000.0, by alone_ns and waiting_ns it is"),
    "more waiting than response": (put("study_vcpus", "waiting_ns", 1e9), "waiting_ns 1000000000.0 is above mean_ns"),
    "a rate": (times("study_vcpus", "forwarded_hz", 0.5), "utilisation is .*, by forwarded_hz and most_forwarded_hz"),
    "more forwarded a second than called": (times("study_vcpus", "throughput_hz", 0.4), "forwarded_hz .* is above"),
    "calls a second of a study": (
        times("study_lock", "throughput_hz", 7.5),
        "throughput_hz .* does not fit n_forwarded",
    ),
    "a saturated rate": (times("study_lock", "most_forwarded_hz", 2), "by n_thread and vmm_service_ns it is"),
    "a knee": (times("study_vcpus", "knee_vcpus", 2), "table study_vcpus, row 33: knee_vcpus is"),
    "a knee by share": (times("study_share", "knee_share", 2), "table study_share, row 50: knee_share is"),
    "a bound": (times("study_lock", "bound_hz", 2), "table study_lock, row 20: bound_hz is"),
    "a knee of the list": (times("study_knees", "knee_vcpus", 2), "by vcpu_forwarded_hz and vmm_service_ns it is"),
    "a simulated knee": (
        times("study_knees", "simulated_vcpus", 2),
        "simulated_vcpus is .*, by table study_share it is",
    ),
    "a call that stays": (
        times("study_filter", "in_kernel_ns", 0.5, 2),
        "knee_vcpus is .*, by the closed form|alone_ns less in_kernel_ns",
    ),
    "what a filter adds": (
        put("study_boot", "added_ns", 12345.0, 0),
        "added_ns is 12345.0, by whole_ns and that of the",
    ),
    "more added than there is": (put("study_boot", "added_ns", 1e15), "added_ns 1000000000000000.0 is above whole_ns"),
    "calls of a boot": (put("study_boot", "n_call", 23, 0), "'boot-storm' of 1 vCPUs makes 23 calls or 22"),
    "waiting at boot": (
        put("study_boot", "most_waiting_ns", 1e10),
        "most_waiting_ns 10000000000.0 is above most_response",
    ),
    "a lock that nobody took": (put("study_boot", "utilisation", 0.5, 0), "n_forwarded is 0, but something held"),
    "a time before the start": (put("study_lock", "waiting_error_ns", -1.0), "waiting_error_ns -1.0 is negative"),
    "longer than anybody waits": (put("payload", "encode_ms", 1e300), "encode_ms 1e.300 is more than any run has"),
    "an outlook of no kind": (put("moves", "outlook", "perhaps", 0), "row 1: outlook 'perhaps' is none of"),
    "a move that restores, with registers in the way": (
        all_of(put("moves", "outlook", "restores"), put("moves", "n_failing", 3)),
        "row 196: n_failing is 3, and the outlook is 'restores'",
    ),
    "registers in the way": (put("failures", "n_failing", 9, 0), "n_failing is 9, column failing has 2 names"),
    "registers without names": (
        all_of(put("failures", "n_failing", 9), put("failures", "failing", "")),
        "n_failing is 9, column failing has 0 names",
    ),
    "a step's time": (times("downtime", "mid_ms", 1.5, 1), "table downtime, row 2: mid_ms is .*, by ioctls and what"),
    "registers that are read again": (
        all_of(
            times("downtime", "ioctls", 2, 3), *(times("downtime", f"{e}_ms", 2, 3) for e in ("low", "mid", "high"))
        ),
        "table downtime, row 4: ioctls is 186368, by n_reg and n_vcpu it is 93184",
    ),
    "steps of another VM": (put("downtime", "n_vcpu", 7), "table downtime, row 12: n_vcpu is 7, by row 1 it is 512"),
    "registers of another VM": (put("downtime", "n_reg", 7), "table downtime, row 12: n_reg is 7, by row 1 it is 182"),
    "steps in order": (put("downtime", "low_ms", 99.0, 0), "low_ms 99.0 is above mid_ms"),
    "VMs that stop": (times("upgrade", "stopped", 0.5, 0), "row 1: stopped is 6246, in table upgrade_waves it adds up"),
    "VMs of a wave": (times("upgrade_waves", "moved", 2), "table upgrade, row 2: moved is .*, in table upgrade_waves"),
    "waves": (put("upgrade", "waves", 7, 0), "table upgrade, row 1: waves is 7, table upgrade_waves has 50"),
    "a fleet of more VMs": (times("upgrade", "n_vm", 2), "table upgrade, row 2: n_vm is 39654, by row 1 it is 19827"),
    "fewer VMs than stop": (
        all_of(put("upgrade", "n_vm", 5, 0), put("upgrade", "n_vm", 5)),
        "table upgrade, row 1: stopped 12492 is above n_vm 5",
    ),
    "a VMM of no fleet": (put("upgrade", "is_as_before", False, 0), "0 rows have the VMM that the fleet has, 1 must"),
    "a wave of no upgrade": (
        put("upgrade_waves", "vmm", "bhyve"),
        "row 2: hosts is 1000, in table upgrade_waves it adds up to 980",
    ),
    "a row less of verdicts": (without("verdicts", 0), "has 0 calls, by tables replay and trace it has 45056"),
}


@cache
def measured() -> Run:
    return load(SAVED)


def changed_by(change: Change) -> Run:
    run = measured()
    tables: dict[str, Any] = {
        name: {"columns": {key: {"values": table[key].tolist()} for key in table.columns}}
        for name, table in run.tables.items()
    }
    change(tables)
    made = {
        name: Table(
            table.meaning,
            {key: Column.of(values(tables, name, key), table.columns[key].kind) for key in tables[name]["columns"]},
        )
        for name, table in run.tables.items()
    }
    return replace(run, tables=made)


@pytest.mark.parametrize("what", WRONG)
def test_what_contradicts_itself_is_not_drawn(what: str, tmp_path: Path) -> None:
    change, says = WRONG[what]
    run = changed_by(change)
    with pytest.raises(ResultFileError, match=says) as error:
        pages.write(run, tmp_path / "page")
    assert error.value.exit_code == 3
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("table ")
    assert not (tmp_path / "page").exists()


def test_a_file_that_contradicts_itself_is_not_drawn(tmp_path: Path) -> None:
    content = json.loads(SAVED.read_text())
    put("trace", "calls", 2**62, 0)(content["tables"])
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(ResultFileError, match="table trace, row 1: calls 4611686018427387904 is more than any run has"):
        smc.report(data=tmp_path / "run.json", out=tmp_path / "page")


def test_what_was_measured_agrees_with_itself() -> None:
    needs.check(measured())
    agree.check(measured())


def test_a_run_of_before_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Runs saved before the report asked what breaks."""
    run = measured()
    less = replace(run, tables={name: table for name, table in run.tables.items() if name != "moves"})
    with pytest.raises(ResultFileError, match="no table 'moves': an earlier fastsmc saved it, for another page"):
        pages.write(less, tmp_path / "page")


def test_a_run_has_columns_fewer_and_agrees() -> None:
    """What is compared but not drawn may be missing."""

    def less(tables: dict[str, Any]) -> None:
        for name, table in tables.items():
            for column in set(table["columns"]) - set(needs.NEEDS[name]):
                del table["columns"][column]

    run = changed_by(less)
    run = replace(run, provenance=replace(run.provenance, inputs={}))
    needs.check(run)
    agree.check(run)


def test_most_numbers_of_a_report_are_held_by_others() -> None:
    """Of all whole numbers and rates but those of clocks, nearly each, made seven times as large, is noticed."""
    run, free = measured(), []
    for name, table in run.tables.items():
        for column in table.columns:
            if table.kinds[column] in ("measured", "input") or table[column].dtype.kind not in "if":
                continue
            with_more = changed(run, name, column, -1, table[column][-1] * 7 + 1)
            try:
                agree.check(with_more)
            except ResultFileError:
                continue
            free.append(f"{name}.{column}")
    assert set(free) <= {
        *(f"sets.{name}" for name in ("n_reg", "n_firmware", "value_bytes")),
        "moves.n_unjudged",
        *(f"downtime.{name}" for name in ("ioctls", "bytes", "low_ms", "mid_ms", "high_ms")),  # of the last step
        "upgrade_waves.wave",
        "dispatch_by_vcpu.n_policy",  # up to its VMs
        *(f"study_{name}.waiting_error_ns" for name in ("vcpus", "share", "lock", "filter")),
        *(f"study_{name}.p99_9_ns" for name in ("vcpus", "lock", "filter")),
        *(f"study_{name}.filter_levels" for name in ("vcpus", "share", "lock", "filter")),
        "study_share.p99_ns",
        "study_boot.most_response_ns",
        "study_boot.most_waiting_ns",
    }
