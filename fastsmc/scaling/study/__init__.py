"""The 1024-vCPU study: what a guest waits for forwarded calls, by vCPUs, share of calls, lock design and filter size.

Everything here is modelled by `latency.simulate` from a cost profile, and nearly all of it from figures that are
assumed. Verdicts come from the dispatch path: every VM has the filter that forwards what is forwarded.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastsmc.progress import Progress, silent
from fastsmc.results.histogram import RELATIVE_ERROR
from fastsmc.results.tables import Table
from fastsmc.scaling._rows import Heading, table
from fastsmc.scaling.study.boot import CASES, boot_table
from fastsmc.scaling.study.knees import knees_table
from fastsmc.scaling.study.points import FORWARDED, KEPT, Point, columns_of, profile_of, row_of
from fastsmc.scaling.study.sizes import StudySizes
from fastsmc.scenario.profiles import FIGURES

__all__ = ["StudySizes", "study"]


def study(*, sizes: StudySizes | None = None, seed: int = 1, progress: Progress = silent) -> dict[str, Table]:
    """The tables of the study: study, study_vcpus, study_share, study_knees, study_lock, study_filter, study_boot.

    Args:
        sizes: default: those of the report.
        seed: of every point's random streams; the same seed gives the same tables.
        progress: told (step, done, total) as points are finished.

    Cost: about ten seconds on one core, 100 to 200 ns a simulated call.
    """
    sizes = sizes or StudySizes()
    by_vcpu, by_share, by_lock, by_filter = (list(points(sizes)) for points in (_vcpus, _shares, _locks, _ranges))
    total = len(by_vcpu) + len(by_share) + len(by_lock) + len(by_filter) + len(CASES) * len(sizes.boot_vcpus)
    done = 0

    def told() -> None:
        nonlocal done
        done += 1
        progress("calls under load", done, total)

    def simulated(meaning: str, points: list[Point], without: tuple[str, ...] = ()) -> Table:
        rows = []
        for point in points:
            rows.append(row_of(point, sizes, seed))
            told()
        headings = [heading for heading in columns_of(sizes) if heading[0] not in without]
        return table(meaning, headings, [[row[name] for name, _, _ in headings] for row in rows])

    tables = {"study": _figures(sizes)}
    tables["study_vcpus"] = simulated("A VM's calls under load against vCPUs; a row per vCPUs and lock.", by_vcpu)
    # The rarest calls are too few for a 99.9th percentile.
    meaning = "A VM's calls under load, one lock, against the share that is forwarded; a row per vCPUs and share."
    tables["study_share"] = simulated(meaning, by_share, without=("p99_9_ns",))
    tables["study_knees"] = knees_table(tables["study_share"], sizes)
    meaning = "A VM's calls under load against threads that take forwarded calls; a row per vCPUs and lock."
    tables["study_lock"] = simulated(meaning, by_lock)
    meaning = "A VM's calls under load against ranges of its filter; a row per vCPUs and ranges."
    tables["study_filter"] = simulated(meaning, by_filter)
    tables["study_boot"] = boot_table(sizes, seed, told)
    return tables


def _vcpus(sizes: StudySizes) -> Iterator[Point]:
    for n_vcpu in sizes.vcpus:
        yield Point(n_vcpu, share=sizes.share)
        yield Point(n_vcpu, "workers", sizes.workers, share=sizes.share)
        yield Point(n_vcpu, "none", share=sizes.share)


def _shares(sizes: StudySizes) -> Iterator[Point]:
    for n_vcpu in sizes.share_vcpus:
        for share in sizes.shares:
            yield Point(n_vcpu, share=share)


def _locks(sizes: StudySizes) -> Iterator[Point]:
    for n_vcpu in sizes.lock_vcpus:
        for workers in sizes.lock_workers:
            yield Point(n_vcpu, "workers", workers, share=sizes.share)
        yield Point(n_vcpu, "none", share=sizes.share)


def _ranges(sizes: StudySizes) -> Iterator[Point]:
    for n_vcpu in sizes.range_vcpus:
        for n_range in sizes.ranges:
            yield Point(n_vcpu, share=sizes.share, n_range=n_range)


def _figures(sizes: StudySizes) -> Table:
    """What goes into the study, each figure with how it was obtained."""
    profile = profile_of()
    used = [name for name in FIGURES if name not in ("denied_ns", "fast_path_ns", "nested_hvc_ns")]
    weakest = profile.weakest_of(used)[0]
    head = (profile.name, profile.title)
    rows: list[tuple[object, ...]] = []
    for name in used:
        figure = getattr(profile, name)
        rows.append((*head, name, float(figure.value), "ns", figure.kind, figure.source, name == weakest))
    think = "a scenario: how long a vCPU runs between calls on average, drawn as exponential"
    share = (
        f"a scenario: share of {FORWARDED}, which the filter forwards; the rest, "
        f"{' and '.join(KEPT)}, stays in the kernel"
    )
    rows.append((*head, "think_ns", sizes.think_us * 1e3, "ns", "chosen", think, False))
    rows.append((*head, "share", sizes.share, "of all calls", "chosen", share, False))
    buckets = "a quantile is the middle of a bucket of fastsmc.results.histogram"
    rows.append((*head, "quantile_error", RELATIVE_ERROR, "of the quantile, at most", "derived", buckets, False))
    headings: tuple[Heading, ...] = (
        ("profile", "", "cost profile of the study"),
        ("title", "", "the machine it stands for"),
        ("figure", "", "what it is; the first ones are the profile's"),
        ("value", "input", "in the unit beside it"),
        ("unit", "", ""),
        ("obtained", "", "how it was obtained, by whoever did; chosen: for this run"),
        ("source", "", ""),
        ("is_weakest", "", "the profile's figure that limits trust in the study"),
    )
    return table("What the study of calls under load is computed from; a row per figure.", headings, rows)
