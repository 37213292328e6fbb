"""The main job and its page in one call: what `fastsmc report` does."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastsmc import reporting as pages
from fastsmc import scaling
from fastsmc.calls.trace import Trace
from fastsmc.errors import FastsmcError, ResultFileError, UnsavedError
from fastsmc.facts.packaged import GUEST_BOOT_TRACE
from fastsmc.progress import Progress, silent
from fastsmc.results.files import load, save, to_json
from fastsmc.results.runs import Run
from fastsmc.traces.text import traced_calls as read_trace


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Report:
    """A page that was written.

    Attributes:
        page: its path; further pages, the figures, the data and report.md lie beside it.
        run: what the page is drawn from.
        verdict: its first three sentences, with their numbers.
    """

    page: Path
    run: Run
    verdict: tuple[pages.Sentence, ...]

    def as_dict(self) -> dict[str, Any]:
        """The verdict with its numbers, whether the run was noisy, and where the page is."""
        return {
            "verdict": [sentence.as_dict() for sentence in self.verdict],
            "noise": pages.noise_told(self.run),
            "seed": self.run.provenance.seed,
            "date_utc": self.run.provenance.date_utc,
            "page": str(self.page),
        }

    def to_markdown(self) -> str:
        """The report as Markdown, for a mail: what report.md has."""
        return pages.markdown(self.run)

    def __repr__(self) -> str:
        return f"<Report of {len(self.run.tables)} tables>"

    def __str__(self) -> str:
        """The verdict, a sentence a line."""
        return "\n".join(map(str, self.verdict))


def report(
    trace: Trace | str | os.PathLike[str] = GUEST_BOOT_TRACE,
    *,
    out: str | os.PathLike[str] = "build/report",
    data: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Report:
    """Runs the main job and writes the scaling report.

    Args:
        trace: a real guest's calls, or the path of a tracer's text.
        out: folder of the page, its figures and data.
        data: a saved run, which is drawn again instead of measuring.
        progress: told (step, done, total) as cells are finished.

    Raises:
        FastsmcError: a file that cannot be read, or a folder that cannot be written; what was measured is then kept
            among temporary files, and the message says where. `UnsavedError` has it where that failed too.

    Cost: about a minute, most of it timing; some ten seconds where `data` is given.
    """
    if data is not None:
        run = load(data)
        return _written(run, Path(out))
    calls = trace if isinstance(trace, Trace) else read_trace(trace)
    _require_writable(Path(out))
    run = scaling.run(calls, progress=progress)
    try:
        return _written(run, Path(out))
    except Exception as error:
        where = _kept(run)
        why = str(error) if isinstance(error, FastsmcError) else f"the page cannot be drawn ({error!r})"
        if where is None:
            msg = f"{why}; nor is there room for what was measured elsewhere"
            raise UnsavedError(msg, to_json(run)) from error
        msg = f"{why}; what was measured is kept in {where}: `fastsmc report --data` draws it"
        raise ResultFileError(msg) from error


def _written(run: Run, folder: Path) -> Report:
    return Report(pages.write(run, folder), run, tuple(pages.verdict(run)))


def _require_writable(folder: Path) -> None:
    """Refuses, before a minute of work, a folder that cannot be written."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        msg = f"{folder}: results need a folder that can be written"
        raise ResultFileError(msg)


def _kept(run: Run) -> Path | None:
    """Where a run that could not be written to where it should be is saved; None where that fails too."""
    try:
        path = Path(tempfile.mkdtemp(prefix="fastsmc-report-")) / "data.json"
        save(run, path)
    except (OSError, ResultFileError):
        return None
    return path
