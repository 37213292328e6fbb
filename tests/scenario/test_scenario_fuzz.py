"""Scenarios and profiles that are changed at random: read, or refused in words; never a traceback or a long wait."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsmc.errors import FastsmcError
from fastsmc.facts.packaged import packaged
from fastsmc.scenario import Scenario
from fastsmc.scenario.profiles import Profile, load_profile

N_SCENARIO, N_PROFILE = 12_000, 60_000
SCENARIO = """seed = 1
calls = 100
profile = "neoverse-n1"
[profile_overrides]
vmm_service_ns = 3000
[host]
cores = 64
slice_ms = 3.0
[[vms]]
name = "web"
count = 256
vcpus = 4
release = "6.18"
features = ["psci02"]
psci = "1.1"
bitmaps = { STD_BMAP = 0x1 }
filter = [
    { base = "TRNG_VERSION", count = 4, action = "FWD_TO_USER" },
    { base = 0x86000001, action = "DENY" },
]
workload = "mix"
vmm = { lock = "workers", workers = 4 }
service = { law = "exponential", mean_us = 5.0 }
[[vms]]
name = "booting"
vcpus = 4
workload = "storm"
[[vms]]
name = "open"
vcpus = 1
workload = "bursts"
[workloads.mix]
kind = "closed"
think = { law = "exponential", mean_us = 20.0 }
mix = { TRNG_RND64 = 0.2, PTP = 0.8 }
[workloads.bursts]
kind = "open"
arrivals = { law = "onoff", rate_hz = 1000.0, on_ms = 10, off_ms = 90 }
mix = [
    { call = "PSCI_VERSION", share = 0.5 },
    { call = 0xC4000053, share = 0.5, conduit = "smc", x1 = 64, service = { law = "deterministic", mean_us = 3 } },
]
[workloads.storm]
kind = "script"
shape = "pv-time-bring-up"
scale = 0.1
"""
PROFILE = (packaged("profiles") / "neoverse-n1.toml").read_text()

VALUES = ("0", "-1", "1", "1.5", "1e308", "1e999", "nan", "-inf", "true", '""', '"x"', "[]", "{}", "[[1]]", "{ a = 1 }")
VALUES += ("0x" + "f" * 5000, "1" * 5000, "4294967295", "18446744073709551615", "1979-05-27", '"\\u0000"', '"\\u202e"')
VALUES += ("[" * 60 + "]" * 60, '"' + "x" * 300 + '"', "-0.0", "1_0", '"6.18"', '"closed"', '"trace"', '"boot-storm"')
VALUES += ('["psci02", "sve", 1]', "a.b", "{ law = 1 }", '{ law = "exponential", mean_s = 0 }', '"ptp-poll"')
VALUE = re.compile(r'(?<== )(?:"[^"\n]*"|[^\s,\[\]{}"]+|\{[^\n{}]*\}|\[[^\n\[\]]*\])')
KEY = re.compile(r"[A-Za-z_][\w-]*(?= =)|(?<=\[)\w+(?:\.\w+)?(?=\])")


def put(text: str, pattern: re.Pattern[str], draw: random.Random, new: str) -> str:
    place = draw.choice(list(pattern.finditer(text)) or [None])
    return text if place is None else text[: place.start()] + new + text[place.end() :]


def mutated(text: str, draw: random.Random) -> str:
    """One to three of: a value or a key changed, a line lost, twice or moved, a character changed, a cut."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        lines = text.splitlines(keepends=True) or ["\n"]
        at, to, kind = draw.randrange(len(lines)), draw.randrange(len(lines)), draw.randrange(10)
        if kind < 4:
            text = put(text, VALUE, draw, draw.choice(VALUES))
            continue
        if kind == 4:
            keys = KEY.findall(text) or ["a"]
            text = put(text, KEY, draw, draw.choice(keys))
            continue
        if kind == 5:
            place = draw.randrange(len(text) + 1)
            text = text[:place] + draw.choice("\"'[]{}=.,#\\\n\0\x1b\ud800é9") + text[place + draw.randrange(2) :]
            continue
        if kind == 6:
            del lines[at]
        elif kind == 7:
            lines.insert(to, lines[at])
        elif kind == 8:
            lines.insert(to, lines.pop(at))
        else:
            del lines[at:]
        text = "".join(lines)
    return text


def check_scenario(path: Path) -> None:
    found = Scenario.load(path)
    assert repr(found)
    assert found.groups
    assert 1 <= found.n_vcpu < 1 << 32
    assert 0 <= found.seed < 1 << 63
    for group in found.groups:
        assert group.service.mean_ns >= 0
        mix = group.workload.mix
        assert sum(entry.share for entry in mix) == pytest.approx(1)
        assert group.workload.script is None or len(group.workload.script) == len(group.workload.step_entry)


def check_profile(path: Path) -> None:
    found: Profile = load_profile(path)
    assert str(found)
    assert all(figure.value >= 0 for figure in found.figures().values())


FORMS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "scenario": (SCENARIO, check_scenario),
    "profile": (PROFILE, check_profile),
}


def run(form: str, n: int, path: Path) -> int:
    """Checks n mutants; how many were read all the same."""
    text, check = FORMS[form]
    path.write_text(text)
    check(path)
    draw, n_read = random.Random(form), 0
    for _ in range(n):
        path.write_bytes(mutated(text, draw).encode("utf-8", "surrogatepass"))
        try:
            check(path)
        except FastsmcError as error:
            message = str(error)
            assert 10 < len(message) < 20_000
            assert all(line.isprintable() for line in message.split("\n"))
            assert error.exit_code == 3  # noqa: PT017
        else:
            n_read += 1
    return n_read


@pytest.mark.parametrize("form", FORMS)
def test_some_mutants_are_read_or_refused_in_words(form: str, memory_folder: Path) -> None:
    assert 0 < run(form, 300, memory_folder / "mutant.toml") < 300


@pytest.mark.soak(f"{N_SCENARIO:,} mutants of scenarios and {N_PROFILE:,} of profiles; make test tries 300 of each")
@pytest.mark.parametrize(("form", "n"), [("scenario", N_SCENARIO), ("profile", N_PROFILE)])
def test_mutants_are_read_or_refused_in_words(form: str, n: int, memory_folder: Path) -> None:
    assert 0 < run(form, n, memory_folder / "mutant.toml") < n
