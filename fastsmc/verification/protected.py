"""Replays `protected`: which VMs a host creates, what protected ones have, and their calls beside ordinary ones'."""

from __future__ import annotations

from fastsmc.facts.releases import Host
from fastsmc.recordings.folder import Recording
from fastsmc.verification.tally import Tally


def replay_protected(recording: Recording, host: Host) -> Tally:
    return Tally(recording.name, "protected")
