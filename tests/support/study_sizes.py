"""A study of calls under load small enough for tests of the report, and the figures that are drawn of it."""

from __future__ import annotations

from fastsmc.scaling import StudySizes

LOAD = ("7-load-vcpus", "8-load-share", "9-load-knee", "10-load-lock", "11-load-filter", "12-load-boot")
STUDY = StudySizes(
    n_vm=2,
    n_forwarded=2000,
    most_call=4000,
    vcpus=(1, 16, 64, 512, 1024),
    shares=(0.0, 0.02, 0.5, 1.0),
    share_vcpus=(1, 16, 512),
    lock_workers=(1, 4, 16),
    lock_vcpus=(64, 1024),
    ranges=(0, 1, 100),
    range_vcpus=(16, 64),
    boot_vcpus=(1, 16, 512, 1024),
)
