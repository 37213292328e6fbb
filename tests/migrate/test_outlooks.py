"""Outlooks of many rows: each is what `check` says of that row alone."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsmc.errors import FastsmcError, InputError
from fastsmc.migrate.compat import prepared
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.matrix import known_releases
from fastsmc.migrate.compat.outlooks import FAILS, RESTORES, UNKNOWN, judged, outlooks
from fastsmc.migrate.compat.result import Outlook

KERNELS = (
    *known_releases(),
    *("5.10.104", "6.12.107", "5.14.0-570.el9.aarch64", "5.14.0-687.el9.aarch64+64k", "6.8.0-106-generic"),
    *("6.1.25-37.47.amzn2023.aarch64", "5.10.220-1.amzn2.aarch64", "6.12.0-211.4.el10nv.aarch64", "6.12.5-mine"),
    *("6.6.0-72.0.0.76.oe2403sp1.aarch64", "6.6.31+rpt-rpi-2712", "linux-6.12.107-max", "linux-6.1.176-cortex-a57"),
    *("4.18.0-80.el8.aarch64", "9.9", "kernel"),
)
FEATURES = ("psci02", "psci02+pmu", "psci02+pmu+sve+pauth", "pauth", "el1_32bit", "none", "")
VMMS = (
    "qemu",
    "qemu:10.1",
    "firecracker",
    "firecracker:1.3",
    "cloud-hypervisor:v41",
    "cloud-hypervisor",
    "crosvm",
    "kvm",
)

Row = tuple[str, str, str, str]


def drawn(n: int, seed: int) -> list[Row]:
    """Rows at random, of which one in eight has one kernel on both sides."""
    dice = random.Random(seed)
    rows = []
    for _ in range(n):
        source, dest = dice.choice(KERNELS), dice.choice(KERNELS)
        rows.append((source, dest if dice.random() > 1 / 8 else source, dice.choice(FEATURES), dice.choice(VMMS)))
    return rows


def told(row: Row) -> tuple[str, tuple[int, ...]]:
    """(verdict, registers in the way or unjudged) by `check`; what it refuses is unknown."""
    source, dest, features, vmm = row
    try:
        found = check(source, dest, source_features=features or None, dest_features=features or None, vmm=vmm).forward
    except FastsmcError:
        return "unknown", ()
    fates = found.unjudged if found.outlook is Outlook.UNKNOWN else found.failing
    return found.outlook.value, tuple(fate.reg for fate in fates)


def compared(rows: list[Row]) -> dict[str, int]:
    """Compares all rows and returns how many there are of each verdict."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    found = outlooks(*columns[:3], vmm=columns[3])
    for number, row in enumerate(rows):
        cause = found[number]
        assert (cause.outlook.value, cause.registers) == told(row), row
        assert int(found.code[number]) == ("restores", "fails", "unknown").index(cause.outlook.value)
    return found.counts


def test_each_row_is_what_check_says() -> None:
    counts = compared(drawn(120, seed=1))
    assert all(counts.values())


def test_a_register_that_a_vendor_may_hide_is_not_taken_for_listed() -> None:
    """RHEL 10 may hide TCR2_EL1 and its like, which 6.12 lists: any value is taken only of a register that is there."""
    rhel = "6.12.0-211.4.el10nv.aarch64"
    assert compared([("6.12.107", rhel, "psci02", "qemu:10.1"), (rhel, "6.12.107", "psci02", "kvm")])["unknown"] == 2
    assert "TCR2_EL1" in outlooks("6.12.107", rhel, "psci02", vmm="qemu:10.1")[0].names


@pytest.mark.soak("1,000 pairs; make test compares 120")
def test_a_thousand_rows_are_what_check_says() -> None:
    counts = compared(drawn(1000, seed=2))
    assert min(counts.values()) > 50


def test_a_kernel_that_is_not_known_is_unknown_with_the_reason() -> None:
    found = outlooks(["", "6.12", "6.12", "kernel", " "], ["6.12", "", "9.9", "kernel", "6.12"], "psci02")
    assert found.code.tolist() == [UNKNOWN] * 5
    assert found[0].why == found[1].why == "no kernel is told"
    assert "9.9" in found[2].why
    assert "'kernel'" in found[3].why


def test_unknown_features_and_vmms_are_unknown_not_an_error() -> None:
    found = outlooks("6.12", "6.18", ["psci02+pnu", "psci02"], vmm=["qemu", "xen"])
    assert found.code.tolist() == [UNKNOWN, UNKNOWN]
    assert "pnu" in found[0].why
    assert "xen" in found[1].why


def test_no_text_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` takes a file of that name first; a column of an inventory never reads one."""
    monkeypatch.chdir(tmp_path)
    Path("6.12").write_text("no registers")
    assert outlooks("6.12", "6.18", "psci02+pmu").code.tolist() == [RESTORES]


def test_the_register_in_the_way_is_named_by_code() -> None:
    found = outlooks(["6.18", "6.12", "6.18"], ["6.12", "6.18", "6.12"], "psci02+pmu", vmm="qemu:10.1")
    assert found.code.tolist() == [FAILS, FAILS, FAILS]
    assert [cause.names for cause in found.causes] == [
        ("PSCI_VERSION", "VENDOR_HYP_BMAP_2"),
        ("TCR2_EL1", "PIRE0_EL1", "PIR_EL1"),
    ]
    assert found.cause.tolist() == [0, 1, 0]
    assert str(found.causes[1]) == "in the way: TCR2_EL1, PIRE0_EL1, PIR_EL1"


def test_a_vmm_that_gives_no_such_vcpu_is_the_cause_where_no_register_is() -> None:
    found = outlooks("6.12", "6.12", "psci02+pmu", vmm="firecracker")
    assert found.code.tolist() == [FAILS]
    assert "PMU" in found[0].why
    assert "PMU" in str(found[0])


def test_rows_broadcast_and_results_cannot_be_written_to() -> None:
    found = outlooks(np.array(["6.12", "6.18"]), "6.12")
    assert len(found) == 2
    with pytest.raises(ValueError, match="read-only"):
        found.code[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        found.cause[0] = 0
    assert len(outlooks([], "6.12")) == 0
    assert found.as_dict()["cause_of_row"] == found.cause.tolist()


@pytest.mark.parametrize(
    "given", [(["6.12", "6.18"], ["6.1", "6.2", "6.3"]), ([["6.12"]], "6.12"), ([6.12], "6.12"), ("6.12", [None])]
)
def test_what_is_no_column_of_text_is_refused(given: tuple[Any, Any]) -> None:
    with pytest.raises(InputError, match="outlooks: "):
        outlooks(*given)


def test_threads_find_the_same() -> None:
    rows = drawn(60, seed=3)
    columns = [list(column) for column in zip(*rows, strict=True)]
    for cache in (judged, prepared.named, prepared._prepared, prepared._alike, prepared._verdict):
        cache.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: outlooks(*columns[:3], vmm=columns[3]), range(8)))
    assert len({tuple(each.causes[k] for k in each.cause.tolist()) for each in found}) == 1


def test_what_is_kept_of_a_side_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for two fates only, everything is judged anew and is the same."""
    rows = drawn(40, seed=4)
    columns = [list(column) for column in zip(*rows, strict=True)]
    before = [outlooks(*columns[:3], vmm=columns[3])[k] for k in range(40)]
    monkeypatch.setattr(prepared, "_FATES", 2)
    for cache in (judged, prepared._alike, prepared._prepared, prepared._verdict):
        cache.cache_clear()
        assert cache.cache_info().maxsize
    assert [outlooks(*columns[:3], vmm=columns[3])[k] for k in range(40)] == before
