"""Replays payloads: every register of a dump is what the host's register list says."""

from __future__ import annotations

from fastsmc.facts.registers import COUNTERS
from fastsmc.facts.releases import Host
from fastsmc.recordings.folder import Recording, payload_path
from fastsmc.reference.restore import RegisterDump
from fastsmc.reference.state import MASK64
from fastsmc.verification.restore import lists_of, parsed
from fastsmc.verification.tally import Tally


def replay_payloads(recording: Recording, host: Host) -> Tally:
    """Reads every payload-*.bin of a host: whole, and register by register what `reglist` says.

    `host` is not needed; the signature is that of the other replays.
    """
    tally = Tally(recording.name, "payload")
    lists = lists_of(recording)
    for features in recording.payloads():
        dump = parsed(payload_path(recording.folder, features), features)
        if features not in lists:
            tally.cannot_judge(f"payload-{features}, of which this host has no register list")
            continue
        tally.add(_told_apart(dump, lists[features]))
    return tally


def _told_apart(dump: RegisterDump, listed: RegisterDump) -> str | None:
    """The registers in which two readings differ; the counters, which go on counting, are left out."""
    if list(dump.values) != list(listed.values):
        only = [f"{reg:#x}" for reg in dump.values.keys() ^ listed.values.keys()]
        return f"payload-{dump.features}: other registers or another order than reglist; in one of them only: {only}"
    differ = [
        f"{reg:#x} is {value:#x}, in reglist {listed.values[reg]:#x}"
        for reg, value in dump.values.items()
        if reg not in COUNTERS and value & MASK64 != listed.values[reg]
    ]
    return f"payload-{dump.features}: " + "; ".join(differ) if differ else None
