"""What is known by name, against the rules that releases themselves answer with."""

from __future__ import annotations

import json

import pytest

import fastsmc as smc
from fastsmc.facts.vcpu import feature_bits
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.facts.vmms import Vmm


def test_every_release_that_is_listed_is_one_and_none_is_missing() -> None:
    listed = smc.releases().table["release"].tolist()
    expected = []
    for major in (5, 6, 7):
        for minor in range(25):
            try:
                expected.append(smc.release(f"{major}.{minor}").name)
            except smc.FastsmcError:
                continue
    assert listed == expected


@pytest.mark.parametrize("name", ["5.10", "5.12", "5.13", "6.1", "6.3", "6.4", "6.12", "6.15", "7.3"])
def test_rules_are_what_a_vm_of_the_release_does(name: str) -> None:
    """Each is asked of a fleet: by its registers, its filter, an SMC and two calls."""
    row = next(one for one in smc.releases().table.rows() if one["release"] == name)
    fleet = smc.Fleet.uniform(n_vm=1, n_vcpu=1, host=name)
    found = 0
    for register in ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP", "VENDOR_HYP_BMAP_2"):
        try:
            fleet.get_one_reg(smc.register(register))
        except smc.FastsmcError:
            continue
        found += 1
    assert row["bitmaps"] == found
    assert (
        row["psci"]
        == {0x10000: "1.0", 0x10001: "1.1", 0x10003: "1.3"}[int(fleet.get_one_reg(smc.register("PSCI_VERSION"))[0])]
    )
    verdicts = {call: smc.dispatch([call], release=name).rows[0].verdict.name for call in ("TRNG_RND64", "PTP")}
    assert row["trng"] == (verdicts["TRNG_RND64"] == "HANDLED")
    assert row["ptp"] == (verdicts["PTP"] == "HANDLED")
    smc_verdict = smc.dispatch(["PSCI_VERSION"], release=name, conduit="smc").rows[0].verdict.name
    assert row["smc"] == (smc_verdict != "SMC_REFUSED")
    try:
        smc.dispatch(["PTP"], release=name, deny=["PTP"])
    except smc.FastsmcError:
        assert not row["filter"]
    else:
        assert row["filter"]


def test_recorded_lists_are_those_that_are_packaged() -> None:
    rows = {row["release"]: row["registers"] for row in smc.releases().table.rows()}
    for one in smc.register_sets():
        series = ".".join(one.release.split(".")[:2])
        assert one.release in rows[series]
        assert one.cpu in rows[series]
    assert sum(text != "inferred" for text in rows.values()) == len({one.release for one in smc.register_sets()})


def test_vmms_and_features_are_those_that_can_be_named() -> None:
    vmms = smc.releases(what="vmms").table
    named = tuple(vmm for vmm in Vmm if vmm is not Vmm.MINIMAL)
    assert set(vmms["vmm"].tolist()) == set(named)
    for row in vmms.rows():
        if row["from_version"]:
            assert VmmVersion.of(f"{row['vmm']}:{row['from_version']}", named).vmm == row["vmm"]
    for row in smc.releases(what="features").table.rows():
        assert hex(feature_bits(row["feature"])) == row["bits"]


def test_json_has_every_table_and_a_wrong_word_is_refused() -> None:
    told = smc.releases(what="vendors").as_dict()
    assert [key for key in told if isinstance(told[key], list)] == ["releases", "vendors", "vmms", "features"]
    json.dumps(told, allow_nan=False)
    with pytest.raises(smc.FastsmcError, match="must be one of releases, vendors"):
        smc.releases(what="hosts")
