"""Files of ours, damaged: what is read all the same agrees with itself, everything else is one sentence."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastsmc as smc
from bench import compare
from fastsmc.errors import InputError, RecordingError, ResultFileError
from fastsmc.plan.result import Plan
from fastsmc.plan.saving import to_json as plan_json
from fastsmc.recordings.compact import compact
from fastsmc.reporting import agree, needs
from fastsmc.results.files import load, to_json
from fastsmc.scenario.profiles import load_profile
from fastsmc.verification import verify
from tests.migrate.test_read_fuzz import mutated
from tests.support.json_mutants import tree_mutant
from tests.support.memory import forget_peak, peak_mib
from tests.support.places import ROOT
from tests.support.plans import a_plan
from tests.support.scenarios import CLOSED
from tests.support.small_recording import pack, records, small_recording

N_SOAK = {
    "saved": 30_000,
    "plan": 10_000,
    "report": 300,
    "bench": 34_000,
    "profile": 25_500,
    "description": 185,
    "records": 15,
}
"""Mutants of each kind of file: 100,000; replays take the longest."""
N_QUICK = {"saved": 300, "plan": 300, "report": 60, "bench": 300, "profile": 200, "description": 40, "records": 6}
MOST_MIB = 256

Check = Callable[[Path], bool]
"""Reads a file, and says whether it could; what is wrong with a reading that it took fails."""


def is_sentence(error: Exception, most: int = 1000) -> bool:
    told = str(error)
    told.encode()
    assert 10 < len(told) < most, told
    assert told.isprintable() or "problems in" in told, told
    return False


@cache
def simulated() -> str:
    row = {"name": "g", "count": 1, "vcpus": 1, "workload": "w", "filter": [{"base": "TRNG_RND64", "action": "DENY"}]}
    mix = [{"call": "TRNG_RND64", "share": 0.4}, {"call": "PSCI_VERSION", "share": 0.6}]
    table = {"seed": 1, "calls": 6, "vms": [row | {"filter": [row["filter"][0] | {"action": "FWD_TO_USER"}]}]}  # type: ignore[index]
    done = smc.simulate(smc.Scenario.of(table | {"workloads": {"w": CLOSED | {"mix": mix}}})).run()
    few = {"text": "t", "profile": "p", "scenario": "s"}
    return to_json(replace(done, provenance=replace(done.provenance, inputs=few)))


_WHOLE = (
    *("payload", "set_cost", "limits", "trace", "verdicts", "sets", "study", "study_share"),
    *("moves", "upgrade", "upgrade_waves"),
)
"""Tables that others are compared with, row by row."""


@cache
def report_data() -> str:
    """A saved main job, the tables whose rows may be left out without most of them."""
    content = json.loads((ROOT / "reports" / "scaling" / "data.json").read_text())
    for name, table in content["tables"].items():
        for column in table["columns"].values():
            if name not in _WHOLE:
                del column["values"][3:]
    for name in ("payload", "set_cost"):
        columns = content["tables"][name]["columns"]
        keep = [n <= 4 for n in columns["n_vcpu"]["values"]]
        for column in columns.values():
            column["values"] = [v for v, is_kept in zip(column["values"], keep, strict=True) if is_kept]
    return json.dumps(content)


def check_saved(path: Path) -> bool:
    try:
        run = load(path)
        times = smc.saved_times(run)
    except (ResultFileError, InputError) as error:
        return is_sentence(error)
    for name in ("waiting", "service", "response"):
        histogram = getattr(times, name)
        assert histogram.n == times.n_call == int(run["calls"]["calls"].sum())
        assert 0 <= histogram.quantile(0.5) <= histogram.quantile(0.99) <= histogram.max_ns
        assert histogram.mean_ns <= histogram.max_ns * (1 + 1e-6)
    assert times.response.mean_ns == pytest.approx(times.waiting.mean_ns + times.service.mean_ns, rel=1e-5, abs=1e-6)
    to_json(run).encode()
    return True


def check_report(path: Path) -> bool:
    try:
        run = load(path)
        needs.check(run)
        agree.check(run)
    except (ResultFileError, InputError) as error:
        return is_sentence(error)
    replay = run["replay"]
    assert (replay["batch_p50_ns"] <= replay["batch_p99_ns"]).all()
    assert (replay["batch_p99_9_ns"] <= replay["batch_max_ns"]).all()
    assert (replay["n_vm"] * replay["n_vcpu_per_vm"] == replay["n_vcpu"]).all()
    called = sum(run["trace"]["calls"].tolist())
    assert sum(run["verdicts"]["calls"].tolist()) == called * sum(replay["n_vcpu"].tolist()) < 2**53
    for study in ("study_vcpus", "study_share", "study_lock", "study_boot"):
        assert (run[study]["utilisation"] <= 2).all()
    to_json(run).encode()
    return True


def check_plan(path: Path) -> bool:
    """What is read is saved again, and read again, as the same."""
    try:
        plan = Plan.load(path)
    except ResultFileError as error:
        return is_sentence(error)
    str(plan).encode()
    plan._repr_html_().encode()
    assert plan.compare(plan).is_same
    copy = path.with_name("copy.json")
    plan.save(copy)
    assert Plan.load(copy).as_dict() == plan.as_dict()
    return True


def check_bench(path: Path) -> bool:
    try:
        content = compare.load(path)
    except ValueError as error:
        return is_sentence(error)
    rows = compare.changes(content, content, by_ns=False, same_machine=True)
    assert all(row.slower == 1 for row in rows)
    compare.report(content, content, rows, 10.0).encode()
    return True


def check_profile(path: Path) -> bool:
    try:
        profile = load_profile(path)
    except InputError as error:
        return is_sentence(error, 10_000)
    str(profile).encode()
    assert all(0 <= figure.value < np.inf for figure in profile.figures().values())
    return True


def check_description(path: Path) -> bool:
    """Of a compact copy's meta.json: which files belong to it, and no path that leads out of it."""
    before = sorted(path.parent.parent.rglob("*"))
    try:
        result = verify(path.parent, kinds=["misc"])
    except RecordingError as error:
        return is_sentence(error)
    str(result).encode()
    assert sorted(path.parent.parent.rglob("*")) == before
    return True


def check_records(path: Path) -> bool:
    """Both the replay and the copy of a host whose records are changed; a copy that was made verifies alike."""
    host = path.parent
    copy = host.parent.parent / "copy"
    try:
        result = verify(host)
        str(result).encode()
        compact([host], copy)
    except RecordingError as error:
        return is_sentence(error)
    finally:
        assert sorted(p.name for p in host.parent.parent.iterdir() if p != copy) == ["source"]
        shutil.rmtree(copy, ignore_errors=True)
    return True


def mutants(kind: str, folder: Path, draw: random.Random) -> tuple[Path, Callable[[], bytes], Check]:
    """Where the file lies, how one more mutant of it is made, and how it is read."""
    path = folder / "file.json"
    if kind == "profile":
        profile = (ROOT / "fastsmc" / "data" / "profiles" / "neoverse-n1.toml").read_bytes()
        source = re.sub(rb'"[^"\n]{20,}"', b'"a source"', re.sub(rb"(?m)^#.*\n", b"", profile))
        return folder / "p.toml", lambda: mutated(source, draw), check_profile
    if kind == "records":
        host = small_recording(folder / "source")
        kinds = ("calls", "setreg", "filter", "danger", "misc", "reglist", "restore")
        every = {one: json.dumps(records(one, 12, host)) for one in kinds}

        def changed() -> bytes:
            one = draw.choice(kinds)
            for other in kinds:
                (host / f"{other}.jsonl.xz").write_bytes(pack(json.loads(every[other])))
            try:
                lines = json.loads(tree_mutant(every[one], draw).decode("utf-8", "surrogatepass"))
            except RecursionError:
                lines = 7
            (host / f"{one}.jsonl.xz").write_bytes(pack(lines if isinstance(lines, list) else [lines]))
            return b""

        return host / "mutant.txt", changed, check_records
    text, check = {
        "saved": (simulated, check_saved),
        "plan": (lambda: plan_json(a_plan()), check_plan),
        "report": (report_data, check_report),
        "bench": (lambda: json.dumps(measured_result()), check_bench),
        "description": (lambda: description(folder), check_description),
    }[kind]
    source = text().encode()
    if kind == "description":
        path = next(folder.glob("copy/*/meta.json"))
    return path, lambda: tree_mutant(source.decode(), draw) if draw.random() < 0.8 else mutated(source, draw), check


def measured_result() -> Any:
    content = json.loads((ROOT / "reports" / "bench" / "latest.json").read_text())
    content["cases"] = {name: dict(list(case.items())[:8]) for name, case in list(content["cases"].items())[:2]}
    return content


def description(folder: Path) -> str:
    if not (folder / "copy").exists():
        compact([small_recording(folder / "source")], folder / "copy")
        shutil.rmtree(folder / "source")
    return next(folder.glob("copy/linux-6.12*/meta.json")).read_text()


def run(kind: str, n: int, folder: Path) -> None:
    draw = random.Random(kind)
    path, mutant, check = mutants(kind, folder, draw)
    n_read = 0
    start = forget_peak()
    for number in range(n):
        path.write_bytes(mutant())
        try:
            n_read += check(path)
        except BaseException as error:
            error.add_note(f"mutant {number} of {kind}")
            raise
    assert n_read < n
    assert peak_mib() - start < MOST_MIB


@pytest.mark.parametrize("kind", N_QUICK)
def test_some_damaged_files(kind: str, memory_folder: Path) -> None:
    run(kind, N_QUICK[kind], memory_folder)


@pytest.mark.soak(f"{sum(N_SOAK.values()):,} damaged files of seven kinds; make test tries {sum(N_QUICK.values())}")
@pytest.mark.parametrize("kind", N_SOAK)
def test_damaged_files(kind: str, memory_folder: Path) -> None:
    run(kind, N_SOAK[kind], memory_folder)
