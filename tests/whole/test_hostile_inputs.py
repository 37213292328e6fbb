"""Small files that once brought a traceback, a false number or minutes of work: one sentence each, and exit code 3."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import fastsmc
from tests.support.places import TESTS
from tests.support.read_samples import fingerprint

CALL = "CPU 0/KVM-71  [000] .... 2.478778: kvm_hvc_arm64: HVC at 0xffffb523b702a0ac (r0: 0x84000000, imm: 0x0)\n"
CLOSED = """[[vms]]
count = {count}
vcpus = 1
workload = "w"
[workloads.w]
kind = "closed"
think = {{ law = "exponential", mean_us = 20 }}
mix = {{ PTP = 1.0 }}
"""
PAUSE = """1@1700000000.000000:vmstate_downtime_checkpoint src-vm-stopped
1@1700000005.000000:vmstate_downtime_checkpoint src-downtime-start
"""


def with_model(word: str) -> bytes:
    """A fingerprint that names its CPU so."""
    told = json.loads(fingerprint())
    told["cpu_model"] = "MODEL"
    return json.dumps(told).replace("MODEL", word).encode()


INPUTS: dict[str, tuple[tuple[str, ...], str, bytes | Callable[[], bytes], str]] = {
    "a pause that ends before it begins": (
        ("migrate", "downtime", "--vcpus", "1", "--release", "6.12", "--trace"),
        "pause.log",
        PAUSE.encode(),
        "src-downtime-start",
    ),
    "a seed of 5000 digits": (("simulate",), "seed.toml", b"seed = " + b"9" * 5000, "thousands of digits"),
    "a seed of 5000 hexadecimal digits": (
        ("simulate",),
        "hex.toml",
        b"seed = 0x" + b"f" * 5000,
        "seed: it is a number",
    ),
    "a loss of 5000 digits": (
        ("trace",),
        "lost.txt",
        CALL.encode() + b"CPU:0 [LOST " + b"9" * 5000 + b" EVENTS]\n",
        "lost.txt:2: not a line of ftrace",
    ),
    "arrays a thousand deep": (("simulate",), "deep.toml", b"a = " + b"[" * 1000 + b"]" * 1000, "nested too deeply"),
    "half of a surrogate pair": (
        ("migrate", "inspect"),
        "half.json",
        lambda: with_model("\\ud800"),
        "half of a surrogate pair",
    ),
    "a run with half of a surrogate pair": (
        ("report", "--data"),
        "run.json",
        b'{"schema": "\\udfff"}',
        "surrogate pair",
    ),
    "a bomb of one line": (
        ("trace",),
        "bomb.txt.xz",
        lambda: lzma.compress(CALL.encode() + b"x" * (80 << 20)),
        "more than 64 MiB, which is more than a trace has here",
    ),
    "four thousand million VMs": (
        ("simulate",),
        "many.toml",
        CLOSED.format(count=4_000_000_000).encode(),
        "GiB of memory, and",
    ),
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_hostile_file_gets_one_sentence_and_exit_3(name: str, tmp_path: Path) -> None:
    command, file, content, says = INPUTS[name]
    path = tmp_path / file
    path.write_bytes(content() if callable(content) else content)
    done = fastsmc(*command, path)
    assert done.returncode == 3, done
    assert says in done.stderr
    assert done.stderr.count("\n") <= 4
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_escape_sequence_of_a_file_reaches_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "escape.json"
    path.write_bytes(with_model("\\u001b[31mred\\u0007"))
    for command in (("inspect",), ("inspect", "--registers"), ("check",)):
        done = fastsmc("migrate", *command, path, *(("6.12",) if command == ("check",) else ()))
        assert done.returncode in (0, 4, 5)
        assert "\x1b" not in done.stdout + done.stderr
        assert "\x07" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        (b'{"release": ' + b"[" * 2000 + b"]" * 2000 + b"}", "nested too deeply"),
        (b"[1]", 'must be an object with "release"'),
        (b'{"release": "6.12", "release": "6.1"}', "stands twice"),
    ],
)
def test_a_recording_whose_meta_is_wrong_is_refused(meta: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_bytes(meta)
    done = fastsmc("verify", tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert says in done.stderr


def test_workers_beyond_the_calls_under_way_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "workers.toml"
    vmm = 'vmm = { lock = "workers", workers = 4294967295 }\n'
    ranges = 'filter = [{ base = 0x86000001, count = 1, action = "FWD_TO_USER" }]\n'
    text = CLOSED.format(count=8).replace("[workloads.w]", vmm + ranges + "[workloads.w]")
    path.write_text("calls = 10\n" + text)
    done = fastsmc("simulate", path, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)


def test_the_samples_are_fine_without_what_was_done_to_them(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(with_model("Neoverse"))
    assert fastsmc("migrate", "inspect", path).returncode == 0
    assert (TESTS / "recordings").is_dir()
