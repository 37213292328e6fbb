"""The words that name a side: hosts and releases as people type them, and what a near miss is told."""

from __future__ import annotations

from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import FastsmcError, InputError
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.matrix import matrix
from fastsmc.migrate.compat.result import SideBasis
from fastsmc.migrate.read.detect import inspect
from tests.support.read_samples import cloud_hypervisor, fingerprint


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("linux-6.12.107-maxx", "linux-6.12.107-max"),
        ("linux-6.12.107", "linux-6.12.107-max"),
        ("linux-6.12-max", "linux-6.12.107-max"),
        ("linux-5.10.218-mac", "linux-5.10.218-max"),
        ("Linux-6.12.107-nax+pmu", "linux-6.12.107-max"),
        ("linux-7.3.4-n2", "linux-7.3.4-n1"),
        ("linux-7.3.1", "linux-7.3.4-max"),
        ("linux-6.6-max", "the release 6.6, of which no host was recorded"),
        ("6,12", "6.12"),
        ("linux 6.12.107", "6.12.107"),
        ("kernel-5.14.0-570.el9.aarch64", "5.14.0-570.el9.aarch64"),
        ("612", "6.12"),
    ],
)
def test_a_near_miss_of_a_host_or_release_gets_the_near_one(word: str, meant: str) -> None:
    for sides in ((word, "6.12"), ("6.12", word)):
        with pytest.raises(InputError) as error:
            check(*sides)
        assert str(error.value).endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("6.12+pmu,sve", None), "pmu+sve"),
        (("6.12+pmu sve", None), "pmu+sve"),
        (("6.12", "pmu, sve"), "pmu+sve"),
        (("6.12", "PMU"), "pmu"),
        (("6.12+ pmu", None), "pmu"),
        (("6.12-pmu", None), "6.12+pmu"),
        (("6.12.107-pmu-sve", None), "6.12.107+pmu+sve"),
    ],
)
def test_vcpu_features_with_another_sign_get_the_plus(words: tuple[str, str | None], meant: str) -> None:
    with pytest.raises(InputError) as error:
        check(words[0], "6.18", source_features=words[1])
    assert str(error.value).endswith(f"; did you mean {meant}?")


def test_a_missing_file_gets_the_near_one(tmp_path: Path) -> None:
    (tmp_path / "fingerprint.json").write_bytes(fingerprint())
    near = f"; did you mean {tmp_path / 'fingerprint.json'}?"
    for name in ("fingerprnt.json", "fingerprint.jsn", "Fingerprint.json"):
        wrong = str(tmp_path / name)
        for ask in (lambda: check(wrong, "6.12"), lambda: inspect(wrong), lambda: smc.services(wrong)):  # noqa: B023
            with pytest.raises(FastsmcError) as error:
                ask()
            assert str(error.value).endswith(near)
    with pytest.raises(InputError, match=r"is no file, folder, release or recorded host$"):
        check(str(tmp_path / "other.bin"), "6.12")


@pytest.mark.parametrize("word", ["v6.12", "V6.12", " 6.12 ", "Linux-6.12.107-max", "LINUX-6.12.107-MAX"])
def test_what_is_meant_without_doubt_is_taken(word: str) -> None:
    found = check(word, "6.12")
    assert found.source.basis is SideBasis.RECORDED
    assert found.forward.ok


def test_a_hosts_name_without_linux_is_a_custom_kernel_and_says_so() -> None:
    notes = check("6.12.107-max", "6.12").source.notes
    assert "not the recorded host linux-6.12.107-max, which is written so" in notes
    assert not any("recorded host" in note for note in check("6.12.107-mine", "6.12").source.notes)


@pytest.mark.parametrize("vmm", ["qemu-kvm:9.1.0-15.el9", "qemu:1:10.0.2+ds-2", "QEMU 8.2.2"])
def test_a_vendors_vmm_is_told_wherever_its_outlook_is(vmm: str) -> None:
    found = check("6.12", "6.12", vmm=vmm)
    assert len(found.vmm_notes) == 1
    assert "may carry backports" in found.vmm_notes[0]
    assert f"note: {found.vmm_notes[0]}" in str(found)
    assert found.as_dict()["vmm_notes"] == list(found.vmm_notes)
    table = matrix(["6.12", "6.18"], vmm=vmm)
    assert found.vmm_notes[0] in str(table)
    assert table.as_dict()["vmm_notes"] == list(found.vmm_notes)
    assert check("6.12", "6.12", vmm="qemu:10.1").vmm_notes == ()


@pytest.mark.parametrize("kernel", ["5.10", "6.12", "6.12.107-mine", "7.3"])
def test_a_file_that_says_another_kernel_than_it_is_judged_as_says_so(tmp_path: Path, kernel: str) -> None:
    path = tmp_path / "fingerprint.json"
    path.write_bytes(fingerprint())
    note = f"the file says 6.12.107: judged as {kernel}, as was asked"
    for found in (check(path, "6.12", source_release=kernel), check("6.12", path, dest_release=kernel)):
        side = found.source if found.source.name == str(path) else found.dest
        assert note in side.notes
        assert f"note: {note}" in str(found)
        told = found.as_dict()
        assert note in [*told["source"]["notes"], *told["dest"]["notes"]]
    assert not any("as was asked" in text for text in check(path, "6.12").source.notes)
    assert not any("as was asked" in text for text in check(path, "6.12", source_release="v6.12.107").source.notes)


def test_a_file_without_a_kernel_is_held_against_the_one_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(cloud_hypervisor())
    notes = check(path, "6.12", source_release="5.10").source.notes
    assert any("judged as 5.10, as was asked, and 5.10 has no STD_BMAP" in text for text in notes)
    assert not any("as was asked" in text for text in check(path, "6.12", source_release="6.12").source.notes)


def test_a_file_that_shows_other_vcpu_features_than_it_is_judged_with_says_so(tmp_path: Path) -> None:
    path = tmp_path / "fingerprint.json"
    path.write_bytes(fingerprint())
    notes = check(path, "6.12", source_features="sve").source.notes
    assert "the file shows vCPU features psci02: judged with psci02+sve, as was asked" in notes
    assert not any("as was asked" in text for text in check(path, "6.12", source_features="psci02").source.notes)
