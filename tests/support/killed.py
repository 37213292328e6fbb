"""Jobs that write files, killed at random moments: `python -m tests.support.killed JOB N FOLDER`.

One process makes all ready and forks each job, so that a job takes as long as its own work: whoever starts Python anew
hardly ever hits the moment of writing. Prints how many were killed, and how many of these had begun to write.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.command import fastsmc
from tests.support.places import ROOT
from tests.support.small_recording import small_recording

SCENARIO = """seed = 1
calls = 20
[[vms]]
count = 4
vcpus = 4
workload = "w"
[workloads.w]
kind = "open"
arrivals = { law = "poisson", rate_hz = 1000 }
mix = { TRNG_RND64 = 0.5, PTP = 0.5 }
"""
Job = Callable[[Path, int], None]
"""Writes into a folder; what it writes depends on the number."""


def simulate(folder: Path) -> Job:
    (folder / "s.toml").write_text(SCENARIO)

    def job(out: Path, number: int) -> None:
        out.mkdir(exist_ok=True)
        done = fastsmc("simulate", folder / "s.toml", "--seed", str(number), "--threads", "1", "--out", out / "a.json")
        assert done.returncode == 0, done.stderr

    return job


def compact(folder: Path) -> Job:
    hosts = [small_recording(folder / str(number)) for number in (1, 2)]
    (hosts[1] / "danger.jsonl.xz").unlink()

    def job(out: Path, number: int) -> None:
        done = fastsmc("verify", hosts[number - 1], "--compact", out)
        assert done.returncode == 0, done.stderr

    return job


def report(folder: Path) -> Job:
    """The figures of a run are made once, so that a larger part of the job is writing: more kills fall into that."""
    from fastsmc.reporting import forms, page
    from fastsmc.reporting.sections import Section
    from fastsmc.results.runs import Run

    made: dict[tuple[str, int, bool], list[Section]] = {}

    def kept(name: str, stands: Callable[[Run], list[Section]]) -> Callable[[Run], list[Section]]:
        def parts(run: Run) -> list[Section]:
            key = (name, run.provenance.seed, forms.is_small())
            if key not in made:
                made[key] = stands(run)
            return made[key]

        return parts

    page.to_svg = lambda figure, name: '<svg viewBox="0 0 1 1"></svg>'  # type: ignore[attr-defined]
    page.to_png = lambda figure: b"PNG"  # type: ignore[attr-defined]
    page.PAGES = {name: (template, kept(name, stands)) for name, (template, stands) in page.PAGES.items()}
    text = (ROOT / "reports" / "scaling" / "data.json").read_text()
    for number in (1, 2):
        (folder / f"{number}.json").write_text(re.sub('"seed": [0-9]+', f'"seed": {number}', text))

    def job(out: Path, number: int) -> None:
        done = fastsmc("report", "--data", folder / f"{number}.json", "--out", out)
        assert done.returncode == 0, done.stderr

    return job


JOBS = {"simulate": simulate, "compact": compact, "report": report}


def seen(folder: Path) -> dict[str, bytes]:
    """What a reader of the folder finds; when it was made does not count, nor what is left over."""
    return {
        str(path.relative_to(folder)): re.sub(rb'"date_utc": "[^"]*"|<td>20[^<]*Z</td>', b"", path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and ".fastsmc-" not in str(path)
    }


def seconds(job: Job, out: Path) -> float:
    """How long the job takes."""
    begun = time.monotonic()
    job(out, 2)
    return time.monotonic() - begun


def main(name: str, n: int, folder: Path) -> dict[str, int]:
    job, draw = JOBS[name](folder), random.Random(name)
    whole = []
    (folder / "w").mkdir()
    for number in (1, 2):
        job(folder / "w" / "out", number)
        whole.append(seen(folder / "w" / "out"))
    assert whole[0] != whole[1]
    took = statistics.median(seconds(job, folder / "w" / "out") for _ in range(3))  # once all is ready
    found = {"killed": 0, "old": 0, "new": 0}
    for _ in range(n):
        place = folder / "w" / "out"
        is_new = draw.random() < 0.3
        if is_new:
            shutil.rmtree(place, ignore_errors=True)
        else:
            job(place, 1)
        child = os.fork()
        if child == 0:
            job(place, 2)
            os._exit(0)
        time.sleep(draw.uniform(0.3, 1.6) * took)
        os.kill(child, signal.SIGKILL)
        found["killed"] += os.waitpid(child, 0)[1] == signal.SIGKILL
        left = seen(place) if place.exists() else {}
        assert left in ({} if is_new else whole[0], whole[1]), sorted(left)
        found["new" if left == whole[1] else "old"] += 1
        job(place, 2)
        assert seen(place) == whole[1]
        assert not [path for path in place.parent.rglob("*") if ".fastsmc-" in path.name]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
