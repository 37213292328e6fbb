"""Host profiles: the probe, one stand-alone file that asks an arm64 host's KVM, and the reader of what it found."""

from __future__ import annotations

import os

from fastsmc.errors import InputError, MachineError
from fastsmc.probing import standalone
from fastsmc.probing.profile import HostProfile, read_profile

__all__ = ["HostProfile", "probe"]


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
    try:
        content = standalone.probe()
        if measure:
            content["costs"] = standalone.measure(content)
        return HostProfile("this host", content)
    except standalone.OtherMachineError as error:
        what = str(error).partition(":")[0]
        msg = (
            f"{what}: write the probe (fastsmc new probe), copy that one file to an arm64 host, run python3 "
            "fastsmc_probe.py -o host.json there, and give host.json here (fastsmc probe host.json)"
        )
        raise MachineError(msg) from error
    except standalone.ProbeError as error:
        raise MachineError(str(error)) from error
