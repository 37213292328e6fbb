"""What the study's figures need of its tables. A run may lack the study, but not parts of it."""

from __future__ import annotations

TEXT, FLAG, COUNT, ABOVE_0, FROM_0 = "text", "true or false", "counts from 1 up", "above 0", "0 or more"
"""What a column may hold."""

_WHO = {"n_vcpu": COUNT, "is_hypothetical": FLAG}
_TIMES = {"p50_ns": ABOVE_0, "p99_ns": ABOVE_0, "p99_9_ns": ABOVE_0}
_LOCKS = {
    **_WHO,
    "lock": TEXT,
    "n_thread": COUNT,
    "share": ABOVE_0,
    "alone_ns": ABOVE_0,
    **_TIMES,
    "utilisation": FROM_0,
    "throughput_hz": ABOVE_0,
    "knee_vcpus": ABOVE_0,
}

STUDY_NEEDS: dict[str, dict[str, str]] = {
    "study": {
        "profile": TEXT,
        "title": TEXT,
        "figure": TEXT,
        "value": FROM_0,
        "obtained": TEXT,
        "source": TEXT,
        "is_weakest": FLAG,
    },
    "study_vcpus": {**_LOCKS, "n_forwarded": COUNT, "waiting_ns": FROM_0, "most_forwarded_hz": ABOVE_0},
    "study_share": {
        **_WHO,
        "share": FROM_0,
        "n_forwarded": FROM_0,
        "p50_ns": FROM_0,
        "p99_ns": FROM_0,
        "utilisation": FROM_0,
        "forwarded_hz": FROM_0,
        "most_forwarded_hz": ABOVE_0,
        "knee_share": FROM_0,
    },
    "study_knees": {
        "share": ABOVE_0,
        "knee_vcpus": ABOVE_0,
        "simulated_vcpus": FROM_0,
        "vcpu_forwarded_hz": ABOVE_0,
    },
    "study_lock": {**_LOCKS, "bound_hz": ABOVE_0},
    "study_filter": {
        **_WHO,
        "n_range": FROM_0,
        "filter_levels": FROM_0,
        "n_forwarded": FROM_0,
        "in_kernel_ns": ABOVE_0,
        "alone_ns": FROM_0,
        "waiting_ns": FROM_0,
    },
    "study_boot": {
        "shape": TEXT,
        "forwarded": TEXT,
        **_WHO,
        "n_call": COUNT,
        "n_forwarded": FROM_0,
        "whole_ns": ABOVE_0,
        "added_ns": FROM_0,
        "most_response_ns": ABOVE_0,
        "most_waiting_ns": FROM_0,
    },
}
"""The columns of each table that are drawn or told, and what they hold."""

STUDY_KEYS = {
    "study": ("figure",),
    "study_vcpus": ("n_vcpu", "lock"),
    "study_share": ("n_vcpu", "share"),
    "study_knees": ("share",),
    "study_lock": ("n_vcpu", "lock", "n_thread"),
    "study_filter": ("n_vcpu", "n_range"),
    "study_boot": ("shape", "forwarded", "n_vcpu"),
}
"""The columns that no two rows of a table have alike."""
