"""Host profiles: the probe, one stand-alone file that asks an arm64 host's KVM, and the reader of what it found."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fastsmc.errors import InputError, MachineError
from fastsmc.probing import recorder, standalone
from fastsmc.probing.profile import HostProfile, read_profile

__all__ = ["HostProfile", "probe"]

T = TypeVar("T")
SECTIONS = standalone.RECORDED
"""Sections of records, in their order."""


def probe(file: str | os.PathLike[str] | None = None, *, measure: bool = False) -> HostProfile:
    """What KVM of an arm64 host has: asked on this machine, or read from a host profile.

    Args:
        file: a host profile that `fastsmc_probe.py -o FILE` wrote on some host; "-" is standard input. Without one
            this machine's KVM is asked, by virtual machines that have no memory and never run.
        measure: time calls and ioctls of this machine too, by virtual machines that run; a minute at most.

    Raises:
        InputError: the file is missing, damaged, of another schema, or not as a probe writes it; or a file beside
            `measure`.
        MachineError: this machine cannot be asked: not arm64, no KVM, or not allowed.

    >>> import fastsmc as smc
    >>> from fastsmc.facts.packaged import SAMPLES
    >>> smc.probe(SAMPLES["host.json.xz"]).host.workaround
    (2, 0, 0)
    """
    if file is not None:
        if measure:
            msg = "a host profile cannot be measured: run the probe with --measure on that host, or give no file"
            raise InputError(msg)
        return read_profile(file)

    def ask() -> dict[str, Any]:
        begin = time.monotonic()
        content = standalone.probe()
        left = 60 - (time.monotonic() - begin)
        return {**content, "costs": standalone.measure(content, left=left)} if measure else content

    options = "--measure -o host.json" if measure else "-o host.json"
    return HostProfile("this host", _asked(ask, options, "give host.json here (fastsmc probe host.json)"))


def record(
    folder: str | os.PathLike[str],
    *,
    only: Sequence[str] = (),
    others: Sequence[str | os.PathLike[str]] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Records what KVM of this arm64 host answers to small guests, in the format that `fastsmc verify` reads.

    Args:
        folder: a new or empty one; its meta.json is written last, so one without it is unfinished.
        only: some sections, by the names in `SECTIONS`.
        others: folders of other recorded hosts, whose registers are written here.
        progress: is told each section's name and seconds.

    Raises:
        MachineError: this machine cannot be asked, or the folder cannot be written or has files already.
    """
    paths = [os.fspath(one) for one in others]
    _asked(
        lambda: recorder.record(os.fspath(folder), only=only, others=paths, progress=progress),
        "--record FOLDER",
        "read the folder here (fastsmc verify FOLDER)",
        _BOTH,
    )


_ONE = "the probe (fastsmc new probe), copy that one file"
_BOTH = "the probe and the recorder (fastsmc new probe, fastsmc new recorder), copy both files"


def _asked(ask: Callable[[], T], options: str, then: str, files: str = _ONE) -> T:
    """What this machine's KVM answers; the texts say how another machine is asked."""
    try:
        return ask()
    except standalone.OtherMachineError as error:
        what = str(error).partition(":")[0]
        msg = f"{what}: write {files} to an arm64 host, run python3 fastsmc_probe.py {options} there, and {then}"
        raise MachineError(msg) from error
    except standalone.ProbeError as error:
        raise MachineError(str(error)) from error
