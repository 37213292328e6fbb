"""Recordings of real kernels replayed: is every answer of ours the one KVM gave?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from pathlib import Path

from fastsmc.checks import word_of
from fastsmc.facts.packaged import RECORDINGS, shared
from fastsmc.facts.releases import Host
from fastsmc.jit.first import take_kernels_at_once
from fastsmc.progress import Progress, silent
from fastsmc.recordings.belongs import is_known_whole
from fastsmc.recordings.folder import CALL_KINDS, PROBE, Recording, find_recordings
from fastsmc.recordings.levels import workaround_levels
from fastsmc.recordings.mode import NAME_ALONE, kvm_arm_mode
from fastsmc.verification.calls import replay_calls
from fastsmc.verification.danger import replay_danger
from fastsmc.verification.firmware import replay_setreg
from fastsmc.verification.misc import replay_misc
from fastsmc.verification.nested import replay_nested
from fastsmc.verification.payloads import replay_payloads
from fastsmc.verification.probe import replay_probe
from fastsmc.verification.protected import replay_protected
from fastsmc.verification.reglist import replay_reglist
from fastsmc.verification.restore import replay_restore
from fastsmc.verification.sequences import replay_fuzz_filter, replay_fuzz_regs
from fastsmc.verification.tally import Tally, Verification

__all__ = ["Tally", "Verification", "host_of", "verify"]

REGISTER_KINDS: dict[str, Callable[[Recording, Host], Tally]] = {
    "setreg": replay_setreg,
    "fuzz_regs": replay_fuzz_regs,
    "fuzz_filter": replay_fuzz_filter,
    "danger": replay_danger,
    "misc": replay_misc,
    "reglist": replay_reglist,
    "nested": replay_nested,
    "protected": replay_protected,
}
KINDS = (*CALL_KINDS, *REGISTER_KINDS, "restore", "payload", "trace_probe")
"""Kinds that are replayed: *.jsonl.xz by name, payload-*.bin.xz and trace_probe_hvc_only.txt.xz."""


def host_of(recording: Recording) -> Host:
    """The host a recording describes: its release and its kvm-arm.mode, and its workaround levels as an input."""
    return Host(
        recording.release,
        workaround=workaround_levels(recording),
        name=recording.name,
        kvm_arm_mode=kvm_arm_mode(recording.meta),
    )


def replays(
    recording: Recording, given: Mapping[str, Path] | None = None, *, kinds: Container[str] = KINDS
) -> Iterator[Tally]:
    """Replays the records of one host, one tally per kind there is.

    Args:
        given: folders of other hosts by name, from which this one's restores came.
    """
    host = host_of(recording)
    for kind in CALL_KINDS:
        if kind in kinds and recording.has(kind):
            yield replay_calls(recording, kind, host)
    for kind, replay in REGISTER_KINDS.items():
        if kind in kinds and recording.has(kind):
            yield replay(recording, host)
    if "restore" in kinds and recording.has("restore"):
        yield replay_restore(recording, host, given)
    if "payload" in kinds and recording.payloads():
        yield replay_payloads(recording, host)
    if "trace_probe" in kinds and (recording.folder / PROBE).exists():
        yield replay_probe(recording, host)


def verify(
    paths: Path | str | Iterable[Path | str] | None = None,
    *,
    kinds: Collection[str] | None = None,
    progress: Progress = silent,
) -> Verification:
    """Replays recordings through the reference (answers, errnos) and the vectorized path (verdicts, errnos).

    The vectorized path is that of large batches, the kernels, for the first record already.

    Args:
        paths: a host's folder, a folder of such folders, or several of either; the recordings that the package brings
            by default.
        kinds: replay these only, and report the others as not looked at; all by default.
        progress: told the host about to be replayed, how many are done, and of how many.

    Raises:
        RecordingError: a path without recordings, a damaged file, or a compact copy that lacks one.
        InputError: a kind there is none of.
    """
    kinds = KINDS if kinds is None else [word_of("a kind of record", kind, KINDS) for kind in sorted(set(kinds))]
    take_kernels_at_once()
    result = Verification()
    if paths is None:
        paths = shared(*RECORDINGS)
    folders = [paths] if isinstance(paths, str | Path) else paths
    recordings = list({r.folder.resolve(): r for path in folders for r in find_recordings(path)}.values())
    given = {recording.name: recording.folder for recording in recordings}
    for done, recording in enumerate(recordings):
        progress(recording.name, done, len(recordings))
        if recording.is_compact and not is_known_whole(recording, kinds):
            result.not_known_whole.append(recording.name)
        found = list(replays(recording, given, kinds=kinds))
        if found and recording.meta.get("named") is True:
            found[0].notes[NAME_ALONE] += 1
        result.tallies.extend(found)
        result.not_looked_at.update(k for k in recording.kinds() if k not in kinds)
        result.not_looked_at.update(
            name for name in recording.other_files() if name != PROBE or "trace_probe" not in kinds
        )
    return result
