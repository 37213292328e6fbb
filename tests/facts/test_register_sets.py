"""Recorded register lists: counts as the recorder printed them, and as dumps of real hosts have them."""

from __future__ import annotations

import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.facts.register_sets import bitmap_ids, is_vm_global, register_set, register_sets, vm_global_mask
from fastsmc.facts.registers import FW_REGISTERS
from tests.support.places import ROOT, TESTS
from tools import make_register_sets

RECORDED = [
    # release, features, by class as in reglist.jsonl.xz, bytes
    ("5.10", "psci02", {"core": (75, 848), "demux": (3, 12), "sysreg": (230, 1840), "firmware": (4, 32)}, 2732),
    (
        "6.1",
        "psci02+sve",
        {
            "core": (43, 336),
            "demux": (3, 12),
            "sysreg": (158, 1264),
            "firmware": (4, 32),
            "sve": (50, 8800),
            "firmware bitmap": (3, 24),
        },
        10468,
    ),
    (
        "7.3.4",
        "pmu+psci02",
        {
            "core": (75, 848),
            "demux": (14, 56),
            "sysreg": (235, 1880),
            "firmware": (4, 32),
            "firmware bitmap": (4, 32),
        },
        2848,
    ),
    # On a host that was booted with kvm-arm.mode=nested.
    (
        "6.18",
        "psci02+el2",
        {
            "core": (75, 848),
            "demux": (14, 56),
            "sysreg": (203, 1624),
            "firmware": (4, 32),
            "firmware bitmap": (4, 32),
        },
        2592,
    ),
]


@pytest.mark.parametrize(("release", "features", "by_class", "value_bytes"), RECORDED)
def test_classes_and_bytes_are_those_the_recorder_counted(
    release: str, features: str, by_class: dict[str, tuple[int, int]], value_bytes: int
) -> None:
    found = register_set(release, features=features)
    assert found.by_class() == by_class
    assert found.value_bytes == value_bytes
    assert found.n_reg == sum(count for count, _size in by_class.values())


@pytest.mark.parametrize(
    ("release", "unlisted", "dumped"),
    # Dumps of Neoverse N1 hosts: all registers, value bytes, QEMU's cpregs, VM-global. The dumped 5.10 and 6.1 list
    # CNTP_CTL_EL0 and CNTP_CVAL_EL0, which Debian's do not.
    [("5.10", 2, (314, 2748, 239, 65)), ("6.1", 2, (244, 2188, 169, 68)), ("7.3", 0, (257, 2248, 182, 70))],
)
def test_counts_agree_with_dumps_of_real_n1_hosts(release: str, unlisted: int, dumped: tuple[int, ...]) -> None:
    found = register_set(release, cpu="n1")
    n_reg, value_bytes, qemu_cpregs, n_global = dumped
    assert found.n_reg == n_reg - unlisted
    assert found.value_bytes == value_bytes - 8 * unlisted
    assert found.qemu_cpregs == qemu_cpregs - unlisted
    assert found.n_global == n_global
    assert np.count_nonzero(vm_global_mask(found.cpreg_ids)) == n_global


def test_every_set_is_ascending_read_only_and_found_by_its_own_name() -> None:
    sets = register_sets()
    assert len({(row.release, row.cpu) for row in sets}) == 12
    for row in sets:
        assert (np.diff(row.ids) > 0).all()
        assert not row.ids.flags.writeable
        assert register_set(row.release, cpu=row.cpu, features="+".join(row.features) or "none") is row
    order = list(dict.fromkeys(row.release for row in sets))
    assert order == ["5.10.218", "6.1.192", "6.12.107", "6.16.12", "6.18.15", "7.1.13", "7.2.12", "7.3.4"]


def test_lists_hold_the_firmware_registers_of_their_release() -> None:
    listed = set(register_set("7.3").ids.tolist())
    assert all(fw.reg in listed for fw in FW_REGISTERS)
    assert "firmware bitmap" not in register_set("5.10").by_class()


@pytest.mark.parametrize("name", ["6.12", "v6.12", "6.12.107", "6.12.107+deb13-cloud-arm64"])
def test_a_release_is_found_by_each_of_its_names(name: str) -> None:
    assert register_set(name).release == "6.12.107"


@pytest.mark.parametrize(
    ("release", "cpu", "features", "message"),
    [
        ("6.5", "max", "psci02", "no register list of release 6.5 was recorded; recorded: 5.10.218, 6.1.192, "),
        ("6.12.1", "max", "psci02", "6.12.1 was recorded"),
        ("7.1", "n1", "psci02", "cpu 'n1'; recorded: max"),
        ("6.1", "n1", "psci02+sve", r"were refused \(errno 22\)"),
        ("6.1", "max", "sve", "were not recorded .* recorded: none, psci02, "),
    ],
)
def test_what_was_not_recorded_is_refused_naming_what_was(release: str, cpu: str, features: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        register_set(release, cpu=cpu, features=features)


@pytest.mark.parametrize(
    ("reg", "expected"),
    [
        (0x6030_0000_0014_0000, True),  # PSCI_VERSION
        (0x6030_0000_0016_0009, True),  # a bitmap of the future
        (0x6030_0000_0013_C000, True),  # MIDR_EL1
        (0x6030_0000_0013_C005, False),  # MPIDR_EL1
        (0x6030_0000_0013_C801, False),  # CLIDR_EL1: a vCPU has its own (Linux 7af0c2534f4c; Firecracker issue 6139)
        (0x6030_0000_0013_C008, True),  # first of the ID block
        (0x6030_0000_0013_C03F, True),  # last of the ID block
        (0x6030_0000_0013_C080, False),  # SCTLR_EL1
        (0x6030_0000_0013_DF1A, True),  # KVM_REG_ARM_TIMER_CNT
        (0x6030_0000_0013_DF02, False),  # KVM_REG_ARM_TIMER_CVAL
        (0x6020_0000_0011_0000, False),  # CCSIDR of level 0
        (0x6030_0000_0010_C000, False),  # not a system register
    ],
)
def test_scope_follows_the_declared_rule(reg: int, expected: bool) -> None:
    assert is_vm_global(reg) is expected


def test_bitmap_ids_start_with_the_four_that_exist() -> None:
    assert bitmap_ids(4).tolist() == [fw.reg for fw in FW_REGISTERS if "BMAP" in fw.name]
    assert bitmap_ids(1 << 16)[-1] == 0x6030_0000_0016_FFFF
    with pytest.raises(InputError, match="65536"):
        bitmap_ids((1 << 16) + 1)


def test_the_lists_are_made_of_the_recordings_in_this_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_register_sets, "OUT", tmp_path / "register_sets.json")
    monkeypatch.setattr(make_register_sets, "PAYLOADS", tmp_path / "payloads")
    make_register_sets.main(TESTS / "recordings")
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert path.read_bytes() == (ROOT / "fastsmc" / "data" / path.relative_to(tmp_path)).read_bytes()
    assert len(list(tmp_path.rglob("*.xz"))) == len(list((ROOT / "fastsmc" / "data" / "payloads").rglob("*.xz")))


def test_an_update_with_other_lists_than_its_series_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_register_sets, "OUT", tmp_path / "out" / "register_sets.json")
    monkeypatch.setattr(make_register_sets, "PAYLOADS", tmp_path / "out" / "payloads")
    for release in ("7.2.12", "7.2.99"):
        shutil.copytree(TESTS / "recordings" / "linux-7.2.12-max", tmp_path / f"linux-{release}-max")
    make_register_sets.main(tmp_path)
    reglist = tmp_path / "linux-7.2.99-max" / "reglist.jsonl.xz"
    lines = lzma.decompress(reglist.read_bytes()).splitlines(keepends=True)
    reglist.write_bytes(lzma.compress(b"".join(line for line in lines if b'"feat":"psci02+sve"' not in line)))
    with pytest.raises(SystemExit, match=r"7\.2\.99 on max has other lists than 7\.2\.12"):
        make_register_sets.main(tmp_path)
