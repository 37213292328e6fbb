"""The most memory that this process has held, from a point on.

`getrusage` cannot say it: a process that another one started begins with the peak of that one (Linux keeps it over
`exec`), so a test in a big process would see that process's size, or could not fail. `/proc` counts per address space,
and its peak can be set back; see "clear_refs" and "VmHWM" in proc(5).
"""

from __future__ import annotations

from pathlib import Path


def forget_peak() -> float:
    """Set the peak back to what the process holds now; that, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mib()


def peak_mib() -> float:
    """The most that the process has held since `forget_peak`, or since it began, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
