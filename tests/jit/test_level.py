"""Which back end is chosen: by the CPU, and by what Numba is told to compile for."""

from __future__ import annotations

import pytest

from fastsmc.jit.level import AVX2, AVX512, FEATURES, NEON, SCALAR, WIDE, back_end

ALL = dict.fromkeys(FEATURES[WIDE] + FEATURES[AVX2], True)
ZEN3 = {"avx2": True, "avx512f": False}
SKYLAKE = dict.fromkeys((*FEATURES[AVX512], "avx2"), True)


@pytest.mark.parametrize(
    ("own", "expected"),
    [(ALL, WIDE), (SKYLAKE, AVX512), (ZEN3, AVX2), ({"avx2": False, "sse4.2": True}, SCALAR), ({}, SCALAR)],
)
def test_a_cpu_by_itself(own: dict[str, bool], expected: str) -> None:
    assert back_end("x86_64", own, "this") == expected
    assert back_end("x86_64", own, "this", name="this") == expected


@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [
        ("icelake-server", None, WIDE),
        ("znver4", "", WIDE),
        ("skylake-avx512", "", AVX512),
        ("haswell", "", AVX2),
        ("haswell", None, AVX2),
        ("x86-64-v3", "", AVX2),
        ("haswell", "-avx2", SCALAR),
        ("haswell", "+avx2,+bmi2", AVX2),
        ("generic", "", SCALAR),
        ("generic", None, SCALAR),
        ("x86-64-v2", "", SCALAR),
        ("a name nobody knows", "", SCALAR),
        ("a name nobody knows", "+avx2", AVX2),
        ("generic", ",".join(f"+{feature}" for feature in FEATURES[WIDE]), WIDE),
        (None, ",".join(f"+{feature}" for feature in FEATURES[AVX512]), AVX512),
        (None, "-avx512vbmi", SCALAR),
        (None, "", SCALAR),
    ],
)
def test_a_cpu_that_is_named_and_features_that_are_spelled_out(
    name: str | None, features: str | None, expected: str
) -> None:
    assert back_end("x86_64", ALL, "this", name, features) == expected


def test_a_name_gives_no_cpu_what_it_lacks() -> None:
    assert back_end("x86_64", ZEN3, "znver3", "icelake-server", None) == AVX2
    assert back_end("x86_64", {}, "this", "icelake-server", "+avx2") == SCALAR


def test_arm64_has_neon_whatever_the_name() -> None:
    for machine in ("aarch64", "arm64"):
        assert back_end(machine, {}, "neoverse-n1") == NEON
        assert back_end(machine, {}, "neoverse-n1", "cortex-a57", "") == NEON
        assert back_end(machine, {}, "neoverse-n1", None, "-neon") == SCALAR
    assert back_end("riscv64", {"neon": True}, "this") == SCALAR
