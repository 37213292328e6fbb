"""`fastsmc migrate check` as a stranger meets it."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fastsmc import migrate
from fastsmc.migrate.compat.matrix import Matrix, matrix
from tests.support.command import fastsmc
from tests.support.places import ROOT


@cache
def of_features(features: str, vmm: str) -> Matrix:
    """Every release against every other takes seconds; only its first test waits for them."""
    some = ("5.10", "6.1", "6.12", "6.18") if vmm == "firecracker" else None
    return matrix(some, features=features, vmm=vmm)


@pytest.fixture(autouse=True)
def matrices_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "matrix", lambda *, features, vmm, progress: of_features(features, vmm))


PLAIN = ("--features", "psci02", "--vmm", "qemu:10.2")


def test_a_failing_direction_names_registers_and_ends_in_4() -> None:
    done = fastsmc("migrate", "check", "6.18", "6.12")
    assert done.returncode == 4
    assert done.stderr == "fastsmc: 6.18 to 6.12 fails with qemu 11.1: 1 register stands in the way\n"
    assert "PSCI_VERSION: PSCI version unknown: 1.3 there, where 1.1 is the newest" in done.stdout
    assert "| qemu-system-aarch64: Could not set register fw reg 0 to 10003 (is 10001)" in done.stdout
    assert "-cpu host,kvm-psci-version=1.1" in done.stdout
    older = fastsmc("migrate", "check", "6.18", "6.12", "--vmm", "qemu:10.1")
    assert older.stderr == "fastsmc: 6.18 to 6.12 fails with qemu 10.1: 2 registers stand in the way\n"
    assert "0x6030000000160003 VENDOR_HYP_BMAP_2: missing there: Linux has it since 6.15" in older.stdout
    assert "-cpu host,kvm-psci-version" not in older.stdout


def test_an_unknown_outlook_ends_in_5_and_can_be_accepted() -> None:
    done = fastsmc("migrate", "check", "6.17", "6.18")
    assert (done.returncode, done.stderr.count("\n")) == (5, 1)
    assert "forward: 6.17 -> 6.18 with qemu 11.1: UNKNOWN\n" in done.stdout
    assert "to know: give the profile of that very host (fastsmc new probe), or a fingerprint" in done.stdout
    accepted = fastsmc("migrate", "check", "6.17", "6.18", "--accept-unknown", "--json")
    told = json.loads(accepted.stdout)["forward"]
    assert (accepted.returncode, accepted.stderr) == (0, "")
    assert (told["verdict"], told["ok"], told["unknown_accepted"]) == ("unknown", True, True)
    assert fastsmc("migrate", "check", "6.18", "6.12", "--accept-unknown").returncode == 4


def test_every_verdict_says_what_it_leaves_open() -> None:
    for dest, vmm in (("6.12", "qemu"), ("6.17", "crosvm"), ("6.18", "kvm")):
        done = fastsmc("migrate", "check", "6.18", dest, "--vmm", vmm)
        lines = [line for line in done.stdout.splitlines() if line.startswith("  scope: judged: ")]
        assert len(lines) == 2
        assert all("Not judged: GIC, ITS, timers, memory" in line for line in lines)


def test_a_passing_direction_ends_in_0_even_if_there_is_no_way_back() -> None:
    done = fastsmc("migrate", "check", "6.1", "6.18", "--vmm", "firecracker")
    assert (done.returncode, done.stderr) == (0, "")
    assert "forward: 6.1 -> 6.18 with firecracker 1.16: RESTORES" in done.stdout
    assert "backward: 6.18 -> 6.1 with firecracker 1.16: FAILS" in done.stdout


def test_json_has_both_directions() -> None:
    done = fastsmc("migrate", "check", "6.12+pmu", "6.13", "--json", "--vmm", "qemu:10.2")
    told = json.loads(done.stdout)
    assert done.returncode == 4
    assert set(told) >= {"forward", "backward", "source", "dest", "vmm"}
    assert told["forward"]["ok"] is False
    assert told["forward"]["failing"][0].keys() >= {"id", "name", "errno", "reason"}
    by_id = {row["id"]: row for row in told["forward"]["failing"]}
    assert by_id["0x603000000013c103"]["name"] == "TCR2_EL1"
    assert sorted(row["errno"] for row in by_id.values()) == [2] * 77 + [22] * 2
    assert {row["name"] for row in by_id.values() if row["errno"] == 22} == {"ID_DFR0_EL1", "ID_AA64DFR0_EL1"}
    assert told["forward"]["lengths"] == {"incoming": 258, "own": 181}
    assert [row["name"] for row in told["backward"]["failing"]] == ["PSCI_VERSION"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere", "6.1"], 2),
        (["6.1+pmx", "6.1"], 2),
        (["6.1", "6.1", "--vmm", "xen"], 2),
        (["README.md", "6.1"], 3),
        (["6.1"], 2),
        (["6.1", "6.1", "--csv", "--json"], 2),
        (["--matrix", "6.1", "6.1"], 2),
    ],
)
def test_bad_input_ends_in_one_sentence(arguments: list[str], code: int) -> None:
    done = fastsmc("migrate", "check", *arguments, cwd=ROOT)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    sentence, *usage = done.stderr.splitlines()
    assert sentence.startswith("fastsmc: ")
    assert [line.split()[0] for line in usage] == (["Usage:", "Help:"] if code == 2 else [])


def test_the_matrix_is_a_table_a_csv_and_a_figure(tmp_path: Path) -> None:
    arguments = ("--matrix", "--out", tmp_path / "m.csv", "--figure", tmp_path / "m.svg", *PLAIN)
    done = fastsmc("migrate", "check", *arguments)
    assert (done.returncode, done.stderr) == (0, f"wrote {tmp_path / 'm.csv'}\nwrote {tmp_path / 'm.svg'}\n")
    with (tmp_path / "m.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 34 * 34
    found = {(row["source"], row["dest"]): row for row in rows}
    assert (found["5.11", "5.13"]["verdict"], found["5.11", "5.13"]["n_failing"]) == ("fails", "74")
    assert found["6.12", "6.18"]["failing"] == "TCR2_EL1;PIRE0_EL1;PIR_EL1"
    assert found["6.16", "6.18"]["verdict"] == "restores"
    assert "TRNG_RND64" in found["5.10", "6.18"]["guest_gains"]
    heads = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("source ")]
    cells = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("6.12 ")]
    assert len(heads) == len(cells) == 2  # in 100 columns the destinations go on below
    told = dict(pair for block in zip(heads, cells, strict=True) for pair in zip(*block, strict=True))
    assert told["6.18"] == "3"
    root = ElementTree.fromstring((tmp_path / "m.svg").read_text(encoding="utf-8"))
    texts = {text.strip() for text in root.itertext() if text.strip()}
    n_fail, n_unknown = (sum(row["verdict"] == word for row in rows) for word in ("fails", "unknown"))
    said = f"qemu 10.2: {n_fail} of 1156 directions between kernels fail, {n_unknown} cannot be known"
    assert said in " ".join(" ".join(root.itertext()).split())
    assert {"modelled", "5.10", "74", "destination (Linux)"} <= texts


def test_a_figure_is_what_its_name_says(tmp_path: Path) -> None:
    assert fastsmc("migrate", "check", "--matrix", "--figure", tmp_path / "m.png", *PLAIN).returncode == 0
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG\r\n")
    done = fastsmc("migrate", "check", "--matrix", "--figure", tmp_path / "m.pdf", *PLAIN)
    assert done.returncode == 2
    assert "ends in .svg or .png" in done.stderr
    assert not (tmp_path / "m.pdf").exists()


def test_with_strict_the_matrix_ends_as_its_worst_direction_does() -> None:
    strict = fastsmc("migrate", "check", "--matrix", "--strict", *PLAIN)
    assert strict.returncode == 4
    assert strict.stderr.endswith(" of 1156 directions fail with qemu 10.2\n")
    assert fastsmc("migrate", "check", "6.18", "6.18", "--strict").returncode == 2


def test_a_vmm_that_refuses_before_it_writes_is_no_pass_in_the_matrix(tmp_path: Path) -> None:
    arguments = ("--vmm", "firecracker", "--features", "pmu", "--figure", tmp_path / "m.svg")
    done = fastsmc("migrate", "check", "--matrix", *arguments)
    cells = {mark for line in done.stdout.splitlines()[2:-2] for mark in line.split()[1:]}
    assert "no" in cells
    assert not cells & {"ok", "?"}
    assert done.stdout.splitlines()[-1] == "no: firecracker 1.16, or a kernel, refuses such a vCPU at its start"
    root = ElementTree.fromstring((tmp_path / "m.svg").read_text(encoding="utf-8"))
    assert "16 of 16 directions between kernels fail" in " ".join(" ".join(root.itertext()).split())


def test_a_matrix_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    done = fastsmc("migrate", "check", "--matrix", "--out", tmp_path / "no" / "m.csv", *PLAIN)
    assert done.returncode == 3
    assert "cannot be written (No such file or directory)" in done.stderr
