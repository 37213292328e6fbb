"""Scenario files that are too big, too deep or too long are refused in a sentence, at once."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from fastsmc.errors import InputError
from fastsmc.jit import memory
from fastsmc.scenario import Scenario
from fastsmc.scenario.profiles import load_profile

VMS = '[[vms]]\nvcpus = 1\nworkload = "w"\n'
MIX = '[workloads.w]\nkind = "closed"\nthink = { law = "exponential", mean_us = 20 }\nmix = '
WORKLOAD = MIX + "{ PTP = 1.0 }\n"
POLLS = '[workloads.w]\nkind = "script"\nshape = "ptp-poll"\npolls = 1000000\ncallers = "every-vcpu"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nseed = " + "1" * 5000, ":2: a number of thousands of digits: .* has numbers of up to 20"),
        ("a = " + "[" * 100_000, ": nested too deeply"),
        ("a = " + "{a=" * 5000 + "1" + "}" * 5000, ": nested too deeply"),
        ("\na" + ".a" * 300_000 + " = 1", ":2: a key of over 32 parts"),
        ("[" + "a . " * 200_000 + "a]", ":1: a key of over 32 parts"),
        ("#" * (1 << 20) + "\n", ": more than 1 MiB"),
        ('a = "' + '\\"' * 200_000, "Unterminated string"),
    ],
)
def test_what_no_toml_reader_should_be_given_is_not_given_to_it(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "big.toml"
    path.write_text(text)
    for read in (Scenario.load, load_profile):
        with pytest.raises(InputError, match=rf"big\.toml.*{message}") as refused:
            read(path)
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 300 + len(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VMS * 1025 + WORKLOAD, ":1: vms: it has 1025 entries: at most 1024 are read"),
        (VMS + "filter = [" + "{base=1}," * 4097 + "]\n" + WORKLOAD, "vms.0..filter: it has 4097 entries"),
        (VMS + MIX + "[" + "{call=1}," * 4097 + "]\n", "mix: it has 4097 entries: at most 4096 are read"),
        (VMS + WORKLOAD + "".join(f"[workloads.w{i}]\n" for i in range(1024)), "workloads: it has 1025 entries"),
        ("seed = 0x" + "f" * 5000, ":1: seed: it is a number of 20000 bits: it must be a whole number in 0.."),
        ("seed = [0x" + "f" * 5000 + "]", ":1: seed: it is a list too large to show: it must be a whole number"),
        ("seed = " + "[" * 400 + "]" * 400, "seed: it is "),
        ("\n".join(f"k{i} = 1" for i in range(3000)), "the file: 2900 more keys that are none of its own"),
        (f"{'k' * 100_000} = 1", "k{80}: no such key"),
        (
            VMS.replace("= 1", "= 65536") + POLLS,
            ":3: vms.0..workload: a script of 65,536,000,000 steps needs 9,155.3 GiB",
        ),
    ],
)
def test_long_lists_are_refused_before_they_are_read_one_by_one(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "long.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        Scenario.load(path)
    assert str(refused.value).count("\n") <= 101
    assert len(str(refused.value)) < 20_000


def test_of_many_problems_the_first_hundred_are_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[[vms]]\nvcpu = 1\n" * 1000 + WORKLOAD)
    with pytest.raises(InputError) as refused:
        Scenario.load(path)
    first, *_, last = str(refused.value).splitlines()
    assert (first, last) == (f"102 problems in {path}:", "and 2 more")


def test_a_table_of_unwritable_numbers_is_refused() -> None:
    with pytest.raises(InputError, match="no table as TOML would give it"):
        Scenario.of({"seed": 1 << 20_000})


def test_a_path_with_a_null_is_refused() -> None:
    with pytest.raises(InputError, match="null"):
        Scenario.load("a\0b.toml")


# -- what there is of memory ---------------------------------------------------------------------------------------


def test_what_is_left_is_the_least_of_all_bounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = memory.available()
    assert found is not None
    assert found[0] > 1 << 24
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (1, 1))
    assert memory.available() == (0, "RLIMIT_AS")
    with pytest.raises(InputError, match=r"this needs 1.0 GiB of memory, and 0.000 GiB are left .RLIMIT_AS.: go away"):
        memory.require(1 << 30, "this", "go away")


@pytest.mark.parametrize("version", [1, 2])
def test_limits_of_control_groups_and_of_those_around_them_count(version: int, tmp_path: Path) -> None:
    root, told = tmp_path / "root", tmp_path / "cgroup"
    top = root if version == 2 else root / "memory"
    (top / "outer/inner").mkdir(parents=True)
    told.write_text("0::/outer/inner\n" if version == 2 else "4:memory:/outer/inner\n5:cpu:/\n0::/\n")
    limit, used, cached = memory._LIMITS[2 - version]
    (top / "outer" / limit).write_text("1000\n")
    (top / "outer" / used).write_text("900\n")
    (top / "outer/memory.stat").write_text(f"anon 5\n{cached} 300\n")
    (top / "outer/inner" / limit).write_text("max\n" if version == 2 else "9223372036854771712\n")
    (top / "outer/inner" / used).write_text("900\n")
    folders = list(memory._cgroups(root, told))
    assert top / "outer/inner" in folders
    assert list(memory._of_cgroups(folders)) == [(400, f"{limit} of the control group")]
