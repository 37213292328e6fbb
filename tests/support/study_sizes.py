"""A study of calls under load small enough for tests of the report, and what is drawn and told of it."""

from __future__ import annotations

from fastsmc.scaling import StudySizes

LOAD, MORE = ("load-vcpus", "load-share"), ("load-lock", "load-boot")
NOTES = ("load-knee", "load-filter")
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
