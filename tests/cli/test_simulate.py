"""`fastsmc simulate` as a stranger meets it: output, files, Ctrl-C, and what it says of bad input."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.latency.text import text
from fastsmc.scenario.profiles import profiles
from tests.support.command import fastsmc
from tests.support.places import ROOT

EXAMPLES = ROOT / "examples"
SCENARIOS = sorted(EXAMPLES.glob("*.toml"))
QUICK = ("--calls", "20")


def test_there_are_scenarios_to_start_from() -> None:
    assert [path.stem for path in SCENARIOS] == ["boot_storm", "thousand_vcpus", "trng_to_vmm"]
    assert smc.Scenario.load(EXAMPLES / "thousand_vcpus.toml").n_vcpu == 1024


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_an_example_scenario_runs_and_its_json_is_what_the_library_says(path: Path) -> None:
    done = fastsmc("simulate", path, *QUICK, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told == json.loads(json.dumps(smc.simulate(smc.Scenario.load(path, calls=20)).as_dict()))
    assert (told["kind"], told["partial"], told["profile"]["name"]) == ("modelled", False, "neoverse-n1")
    for group in told["groups"]:
        assert group["calls"] == sum(row["calls"] for row in group["services"])
    response = told["fleet"]["response_ns"]
    values = [response[key] for key in ("p50", "p90", "p99", "p99_9", "p99_99", "max")]
    assert values == sorted(values)


def test_the_text_names_what_it_rests_on(tmp_path: Path) -> None:
    done = fastsmc("simulate", EXAMPLES / "boot_storm.toml")
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout
    assert re.fullmatch(r"boot_storm: response of \d+ calls: p50 .* \(modelled\)", said.splitlines()[0])
    assert said.splitlines()[1].endswith("all times are modelled")
    assert "seed 1\n" in said
    assert "profile neoverse-n1: Neoverse N1" in said
    assert "overcommit: 4 vCPUs per core (1024 on 256 cores)" in said
    assert " of them run or want to; waiting has the time" in said
    assert "weakest figure: vmm_service_ns 5000 ns (assumed)" in said
    assert "assumed: storm: every vCPU beyond the second calls as the second did" in said
    assert "PSCI FORWARDED*, 992 calls" in said
    assert re.search(r"ARCH HANDLED\*, \d+ calls", said)
    assert re.search(r"p50 \w+ .*p90 \w+ .*p99 \w+ .*p99.9 \w+ .*p99.99 \w+ .*max \w+", said)
    for name in ("service", "waiting", "response"):
        assert re.search(rf"^ +{name} +[\d.]", said, re.MULTILINE)
    table = [line for line in said.splitlines() if re.match(r" +(service|waiting|response|time) ", line)]
    assert max(map(len, table)) <= 80


def test_the_guide_shows_what_is_printed() -> None:
    """README's output is compared in tests/whole/test_pages_run.py."""
    told = smc.simulate(EXAMPLES / "thousand_vcpus.toml").as_dict()
    printed = text(told, 110).splitlines()
    guide = (EXAMPLES.parent / "docs" / "latency.md").read_text()
    shown = guide.split("## How to read the output\n")[1].split("```")[1].splitlines()[2:]
    lines = [line for line in shown if line != "…"]
    assert len(lines) == 8
    assert [line for line in lines if line not in printed] == []


def test_options_take_the_place_of_what_the_file_says(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text((Path(smc.__file__).parent / "data" / "profiles" / "neoverse-n1.toml").read_text())
    scenario = tmp_path / "deep" / "s.toml"
    scenario.parent.mkdir()
    scenario.write_text((EXAMPLES / "trng_to_vmm.toml").read_text().replace("seed = 7\n", ""))
    done = fastsmc("simulate", scenario, "--calls", "30", "--profile", "own.toml", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert (told["calls_per_vcpu"], told["profile"]["name"]) == (30, "own")
    assert (told["seed"], told["seed_is_default"]) == (1, True)
    assert "seed 1 (default)" in fastsmc("simulate", scenario, *QUICK).stdout
    assert json.loads(fastsmc("simulate", scenario, *QUICK, "--seed", "9", "--json").stdout)["seed"] == 9


def test_vms_beyond_what_kvm_takes_are_hypothetical(tmp_path: Path) -> None:
    path = tmp_path / "big.toml"
    path.write_text('[[vms]]\nvcpus = 513\nworkload = "w"\n[workloads.w]\nkind = "closed"\n'
                    'think = { law = "exponential", mean_us = 9 }\nmix = { PTP = 1.0 }\n')  # fmt: skip
    assert "hypothetical: arm64 KVM stops at 512" in fastsmc("simulate", path, *QUICK).stdout
    path.write_text(path.read_text().replace("513", "512"))
    assert "hypothetical" not in fastsmc("simulate", path, *QUICK).stdout


def test_out_and_per_vm_are_written_beside_the_text(tmp_path: Path) -> None:
    done = fastsmc(
        "simulate", EXAMPLES / "trng_to_vmm.toml", *QUICK, "--out", "a.json", "--per-vm", "a.csv", cwd=tmp_path
    )
    assert done.returncode == 0
    assert done.stderr == "wrote a.json\nwrote a.csv\n"
    assert smc.saved_times(tmp_path / "a.json").n_call == 2048 * 20
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 512
    assert sum(int(row["n_call"]) for row in rows) == 2048 * 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.json"]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing(threads: int) -> None:
    path = EXAMPLES / "thousand_vcpus.toml"
    assert (
        fastsmc("simulate", path, *QUICK, "--threads", str(threads)).stdout == fastsmc("simulate", path, *QUICK).stdout
    )


def test_profiles_can_be_looked_at() -> None:
    listed = fastsmc("simulate", "--list-profiles").stdout
    assert [line.split()[0] for line in listed.splitlines() if line[0] != " "] == ["profile", *profiles()]
    shown = fastsmc("simulate", "--show-profile", "neoverse-n1-bhb").stdout
    for name, figure in smc.load_profile("neoverse-n1-bhb").figures().items():
        assert re.search(rf"^{name} +{round(figure.value, 1):g} +ns +{figure.kind}", shown, re.MULTILINE)
        assert " ".join(figure.source.split()) in " ".join(shown.split())
    wrong = fastsmc("simulate", "--show-profile", "neoverse-n2")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("fastsmc: --show-profile: no profile is called")
    assert "did you mean neoverse-n1" in wrong.stderr


# -- Ctrl-C --------------------------------------------------------------------------------------------------------


START = """
import sys, time
from fastsmc.cli.app import main
from fastsmc.latency.run import OneByOne

kernel, calls = OneByOne.kernel, []

def noticed(*arguments):
    kernel(*arguments)
    calls.append(1)
    if len(calls) == 2:  # a warm-up and a chunk that counts
        print("running", file=sys.stderr, flush=True)
        time.sleep(DELAY)

OneByOne.kernel = noticed
main()
"""
"""Says when a chunk has been counted."""


def interrupted(folder: Path, *options: str, times: int, chunk_s: int = 0) -> tuple[int, str, str]:
    """A run of hours, with Ctrl-C pressed once it runs, and again once it says so; a chunk takes `chunk_s` longer."""
    code = START.replace("DELAY", str(chunk_s))
    command = [sys.executable, "-c", code, "simulate", str(EXAMPLES / "thousand_vcpus.toml"), "--calls", "100000000"]
    with subprocess.Popen(
        [*command, "--threads", "1", *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        assert run.stderr.readline() == "running\n"
        run.send_signal(signal.SIGINT)
        assert "stopping at the next chunk of work; Ctrl-C again ends at once" in run.stderr.readline()
        for _ in range(times - 1):
            run.send_signal(signal.SIGINT)
        out, error = run.communicate(timeout=120)
        return run.returncode, out, error


@pytest.mark.soak("an interrupted run of some seconds; make test has the short ones")
def test_ctrl_c_keeps_what_was_counted_and_marks_it(tmp_path: Path) -> None:
    code, out, error = interrupted(tmp_path, "--json", "--out", "a.json", times=1)
    assert code == 130
    told = json.loads(out)
    assert told["partial"] is True
    assert 0 < told["fleet"]["calls"] < told["fleet"]["calls_planned"] == 1024 * 100_000_000
    assert error == "wrote a.json\n"
    saved = json.loads((tmp_path / "a.json").read_text())
    assert saved["provenance"]["inputs"]["partial"] is True
    assert smc.saved_times(tmp_path / "a.json").n_call == told["fleet"]["calls"]


def test_a_second_ctrl_c_ends_at_once_with_nothing(tmp_path: Path) -> None:
    code, out, error = interrupted(tmp_path, "--out", "a.json", times=2, chunk_s=3600)
    assert (code, out, error) == (130, "", "")
    assert list(tmp_path.iterdir()) == []


# -- bad input -----------------------------------------------------------------------------------------------------

GOOD = """seed = 1
[[vms]]
count = 4
vcpus = 4
filter = [{ base = "TRNG_RND64", action = "FWD_TO_USER" }]
workload = "w"
[workloads.w]
kind = "open"
arrivals = { law = "poisson", rate_hz = 1000 }
mix = { TRNG_RND64 = 0.5, PTP = 0.5 }
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("rate_hz = 1000", "rate_hz = 0", "s.toml:9: workloads.w.arrivals.rate_hz: it is 0: "),
        ("rate_hz = 1000", "rate_hz = -5", "s.toml:9: workloads.w.arrivals.rate_hz: it is -5: "),
        ("rate_hz = 1000", "rate_hz = inf", "s.toml:9: workloads.w.arrivals.rate_hz: it is inf: "),
        ("PTP = 0.5", "PTP = 0.6", "s.toml:10: workloads.w.mix: shares add up to 1.1"),
        ("PTP = 0.5", "PTQ = 0.5", "s.toml:10: workloads.w.mix.PTQ: no function is called 'PTQ'"),
        ('workload = "w"', 'workload = "v"', "s.toml:6: vms[0].workload: it is 'v'"),
        ("vcpus = 4", "vcpus = 4 4", "s.toml:4: "),
        (
            "rate_hz = 1000",
            "rate_hz = 100000",
            "s.toml:9: workloads.w.arrivals.rate_hz: 100000 calls/s of each of the 4 vCPUs of a VM of 'vms[0]' ask for"
            " 1 times what its VMM can do: there is no steady state, waiting grows without end: a rate below 100000"
            " calls/s is stable",
        ),
        (
            'law = "poisson", rate_hz = 1000 }\nmix = { TRNG_RND64 = 0.5, PTP = 0.5 }',
            'law = "trace", file = "t.txt" }',
            "s.toml:9: workloads.w.arrivals.file: t.txt:2: ",
        ),
    ],
)
def test_bad_scenarios_end_in_3_and_a_line(old: str, new: str, says: str, tmp_path: Path) -> None:
    assert old in GOOD
    (tmp_path / "s.toml").write_text(GOOD.replace(old, new))
    (tmp_path / "t.txt").write_text(
        "g-1 [000] ..... 10.000002: kvm_hvc_arm64: HVC at 0x0 (r0: 0x84000000, imm: 0x0)\n"
        "g-1 [000] ..... 10.000001: kvm_hvc_arm64: HVC at 0x0 (r0: 0x84000000, imm: 0x0)\n"
    )
    done = fastsmc("simulate", "s.toml", "--out", "a.json", "--per-vm", "a.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"fastsmc: {says}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.toml", "t.txt"], "nothing may be written"


def test_every_overloaded_group_is_named_at_once(tmp_path: Path) -> None:
    second = GOOD.replace("seed = 1\n", "").replace("workloads.w", "workloads.x").replace('"w"', '"x"\nname = "b"')
    both = (GOOD + second).replace("1000", "1e6")
    vms = both.index("[workloads.w]"), both.index("[[vms]]", 20)
    text = both[: vms[0]] + both[vms[1] : both.index("[workloads.x]")] + both[vms[0] : vms[1]]
    (tmp_path / "s.toml").write_text(text + both[both.index("[workloads.x]") :])
    done = fastsmc("simulate", "s.toml", cwd=tmp_path)
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert lines[0] == "fastsmc: 2 problems in s.toml:"
    numbers = [int(re.match(r"s\.toml:(\d+): workloads\.", line)[1]) for line in lines[1:]]  # type: ignore[index]
    source = (tmp_path / "s.toml").read_text().splitlines()
    assert len(numbers) == 2
    assert all("rate_hz" in source[number - 1] for number in numbers)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere.toml"], 3, "nowhere.toml: cannot be read (No such file or directory): give the path of a scenario"),
        (["."], 3, ".: is a folder; give a file in it: give the path of a scenario"),
        (["binary.toml"], 3, "binary.toml: byte 2, line 1: not UTF-16 text"),
        (
            ["s.toml", "--profile", "neoverse-n2"],
            2,
            "--profile: no profile is called 'neoverse-n2': did you mean neoverse-n1",
        ),
        (
            ["s.toml", "--out", "no/such/a.json"],
            3,
            "--out no/such/a.json: cannot be written (No such file or directory)",
        ),
        (["s.toml", "--out", "."], 2, "give a name that ends in .json, .csv or .md"),
        (["s.toml", "--out", "a.csv", "--per-vm", "a.csv"], 2, "are the same file"),
        (["s.toml", "--per-vm", "no/such/a.csv"], 3, "--per-vm no/such/a.csv: cannot be written"),
        (["s.toml", "--fail-if", "p99"], 2, "--fail-if: 'p99': give a metric"),
        (["s.toml", "--calls", "0"], 2, "--calls"),
        (["s.toml", "--seed", "-1"], 2, "--seed"),
        (["s.toml", "--threads", "0"], 2, "--threads"),
        ([], 2, "Missing argument"),
    ],
)
def test_bad_arguments(arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(GOOD)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    done = fastsmc("simulate", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["binary.toml", "s.toml"]


def test_two_outputs_that_are_one_file_or_the_scenario_itself_are_refused(tmp_path: Path) -> None:
    scenario = tmp_path / "s.json"
    small = SCENARIOS[1].read_text()
    scenario.write_text(small)
    link = tmp_path / "link.json"
    link.symlink_to("o.json")
    for options in (("--out", scenario), ("--out", link, "--per-vm", tmp_path / "o.json")):
        done = fastsmc("simulate", scenario, *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert "are the same file: give each a path of its own" in " ".join(done.stderr.split())
    assert scenario.read_text() == small
    assert not (tmp_path / "o.json").exists()
