"""`smc.scope` and `fastsmc scope`: the same words, the same answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.facts.register_sets import register_set
from fastsmc.results.layout import WIDTH
from fastsmc.scopes import compare_scopes


def printed(*arguments: str) -> str:
    command = [sys.executable, "-m", "fastsmc", "scope", *arguments]
    environment = {**os.environ, "COLUMNS": str(WIDTH)}
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env=environment).stdout


def test_the_command_prints_what_the_library_returns() -> None:
    found = smc.scope("6.18", features="psci02+sve", n_vcpu=[4, 513])
    options = ("--release", "6.18", "--features", "psci02+sve", "--vcpus", "4,513")
    assert printed(*options) == f"{found}\n"
    assert json.loads(printed(*options, "--json")) == found.as_dict()


def test_rows_are_those_of_the_register_set() -> None:
    found = smc.scope("7.3", n_vcpu=[64])
    assert found.rows == compare_scopes(register_set("7.3"), [64])
    assert len(repr(found)) <= 200


def test_ranges_of_vcpus_are_read() -> None:
    assert printed("--vcpus", "1-3") == f"{smc.scope(n_vcpu=[1, 2, 3])}\n"


def test_an_unknown_release_is_refused() -> None:
    with pytest.raises(InputError, match=r"9\.9"):
        smc.scope("9.9")


def test_features_may_follow_the_release_as_everywhere() -> None:
    found = smc.scope("6.18+pmu", n_vcpu=[4])
    assert str(found.registers.features) == str(smc.scope("6.18", features="pmu", n_vcpu=[4]).registers.features)
    with pytest.raises(InputError, match="give them once"):
        smc.scope("6.18+pmu", features="sve", n_vcpu=[4])
    assert smc.scope("6.18", n_vcpu=[4]).registers.features == ("psci02",)
