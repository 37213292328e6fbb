"""Kernels that vendors build: names as `uname -r` prints them, and what is known of each beyond mainline."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.facts.releases import Host, release
from fastsmc.facts.vcpu import VCPU_FEATURES
from fastsmc.facts.vendors import VENDORS, kernel, split_plus
from fastsmc.migrate.compat.named import by_release, split_features
from fastsmc.migrate.compat.result import SideBasis

NAMES: list[tuple[str, str | None, tuple[int, int, int | None]]] = [
    # Names of public reports, package lists and fingerprints; the series and update are what the name tells.
    ("5.14.0-570.73.1.el9_6.aarch64+64k", "RHEL 9", (5, 14, None)),
    ("5.14.0-583.el9.aarch64+64k-debug", "RHEL 9", (5, 14, None)),
    ("5.14.0-284.30.1.el9_2.aarch64", "RHEL 9", (5, 14, None)),
    ("5.14.0-570.el9", "RHEL 9", (5, 14, None)),
    ("6.12.0-39.el10.aarch64+64k", "RHEL 10", (6, 12, None)),
    ("6.12.0-211.4.el10nv.aarch64+64k", "RHEL 10", (6, 12, None)),
    ("6.12.0-124.8.1.el10_1.aarch64+rt", "RHEL 10", (6, 12, None)),
    ("5.10.255-253.1008.amzn2.aarch64", "Amazon Linux 2", (5, 10, 255)),
    ("6.1.172-216.329.amzn2023.aarch64", "Amazon Linux 2023", (6, 1, 172)),
    ("6.18.30-61.116.amzn2023.aarch64", "Amazon Linux 2023", (6, 18, 30)),
    ("6.8.0-106-generic", "Ubuntu", (6, 8, None)),
    ("6.8.0-106-generic-64k", "Ubuntu", (6, 8, None)),
    ("5.15.0-1064-aws", "Ubuntu", (5, 15, None)),
    ("6.8.0-1021-aws-64k", "Ubuntu", (6, 8, None)),
    ("6.11.0-1005-nvidia-64k", "Ubuntu for NVIDIA", (6, 11, None)),
    ("6.8.0-2019-raspi-realtime", "Ubuntu", (6, 8, None)),
    ("6.8.12-060812-generic", "Ubuntu's mainline builds", (6, 8, 12)),
    ("6.1.0-50-arm64", "Debian", (6, 1, None)),
    ("6.1.0-56-cloud-arm64", "Debian", (6, 1, None)),
    ("5.10.0-33-rt-arm64", "Debian", (5, 10, None)),
    ("6.5.0-0.deb12.4-arm64", "Debian", (6, 5, None)),
    ("5.10.0-0.bpo.15-arm64", "Debian", (5, 10, None)),
    ("6.12.22+bpo-arm64", "Debian", (6, 12, 22)),
    ("6.12.117+deb13-arm64", "Debian", (6, 12, 117)),
    ("7.2.13+deb14-arm64-16k", "Debian", (7, 2, 13)),
    ("7.3.4+deb13-cloud-arm64", "Debian", (7, 3, 4)),
    ("7.3-rc7-arm64", "Debian", (7, 3, 0)),
    ("6.12.47+rpt-rpi-2712", "Raspberry Pi OS", (6, 12, 47)),
    ("6.6.31+rpt-rpi-v8", "Raspberry Pi OS", (6, 6, 31)),
    ("6.6.31-v8-16k+", "Raspberry Pi OS", (6, 6, 31)),
    ("6.1.0-rpi7-rpi-v8", "Raspberry Pi OS", (6, 1, None)),
    ("6.1.0-rpi4-rpi-2712", "Raspberry Pi OS", (6, 1, None)),
    ("6.12.1-asahi-1-1-edge-ARCH", "Arch Linux ARM's Asahi", (6, 12, 1)),
    ("6.12.1-asahi", "Fedora Asahi", (6, 12, 1)),
    ("6.12.0-100.28.2.el10uek.aarch64", "Oracle UEK", (6, 12, None)),
    ("6.6.0-72.0.0.76.oe2403sp1.aarch64", "openEuler", (6, 6, None)),
    ("5.10.0-136.28.0.104.oe2203sp1.aarch64", "openEuler", (5, 10, None)),
    ("6.12.0-202.76.4.1.el9uek.aarch64", "Oracle UEK", (6, 12, None)),
    ("5.15.0-300.163.18.el8uek.aarch64+64k", "Oracle UEK", (5, 15, None)),
    ("6.4.0-150600.23.25-64kb", "SLES", (6, 4, None)),
    ("5.14.21-150500.55.31-default", "SLES", (5, 14, 21)),
    ("6.11.3-1-default", "SUSE", (6, 11, 3)),
    ("6.6.104.2-4.azl3", "Azure Linux", (6, 6, 104)),
    ("5.15.173.1-1.cm2", "Azure Linux", (5, 15, 173)),
    ("6.1.175-android14-11-ga3b9c44908dd-ab13320413", "Android GKI", (6, 1, 175)),
    ("7.0.14-23-pve", "Proxmox", (7, 0, 14)),
    ("6.11.4-301.fc41.aarch64+16k", "Fedora", (6, 11, 4)),
    ("6.11.0-63.fc41.aarch64", "Fedora", (6, 11, 0)),
    ("6.15.0-0.rc3.20250423gitbc3372351d0c.30.eln147.aarch64+64k", "Fedora", (6, 15, 0)),
    ("6.6.58-current-rockchip64", "Armbian", (6, 6, 58)),
    ("6.9.7-1.el9.elrepo.aarch64", "ELRepo", (6, 9, 7)),
    ("6.9.7-1.el9.aarch64", "an Enterprise Linux rebuild", (6, 9, 7)),  # Red Hat's own el9 is 5.14
    ("5.10.134-16.3.an8.aarch64", "Anolis OS", (5, 10, 134)),
    ("5.15.148-tegra", "NVIDIA Jetson", (5, 15, 148)),
    ("6.6.58-0-virt", "Alpine", (6, 6, 58)),
    ("6.1.112+", "Google COS (or of changed sources)", (6, 1, 112)),
    ("6.6.0-25.0.test.aarch64", None, (6, 6, None)),
    ("6.12.107-mine", None, (6, 12, 107)),
    ("6.6.63_1", None, (6, 6, 63)),
    ("6.17.0-rc3+", None, (6, 17, 0)),
]


@pytest.mark.parametrize(("name", "vendor", "version"), NAMES, ids=[row[0] for row in NAMES])
def test_a_kernel_is_told_by_its_name(name: str, vendor: str | None, version: tuple[int, int, int | None]) -> None:
    found = kernel(name)
    assert (found.vendor.name if found.vendor else None, found.version) == (vendor, version)
    rules = release(name)
    assert rules.vendor == (vendor or "custom")
    assert "may carry" in rules.notes[0] or "carries" in rules.notes[0]


def test_every_vendor_that_builds_a_known_release_is_among_the_names() -> None:
    """So that a row without a name of its shape is seen; those known from memory alone need none."""
    named = {vendor for _, vendor, _ in NAMES}
    assert {row.name for row in VENDORS if "memory" not in row.source} - {"RHEL 8"} <= named


@pytest.mark.parametrize("name", [row[0] for row in NAMES])
def test_a_vendor_kernel_is_never_recorded_and_says_what_it_was_taken_for(name: str) -> None:
    side = by_release(name, None)
    assert side.basis is SideBasis.INFERRED
    assert any("judged as Linux" in note for note in side.notes)
    with_pmu = by_release(f"{name}+pmu", None)
    assert with_pmu.features == "psci02+pmu"
    assert with_pmu.release is not None
    assert with_pmu.release.name == name


def test_values_of_recorded_kernels_are_not_a_vendors() -> None:
    """Only what every later recording agrees on is taken to hold, as a vendor may have any later change."""
    plain, vendors = by_release("6.12.107", None), by_release("6.12.107+deb13-arm64", None)
    assert plain.basis is SideBasis.RECORDED
    known = {reg: value for reg, value in vendors.values.items() if value is not None}
    assert 0 < len(known) < len(plain.values)
    for later in ("6.18", "7.1", "7.3"):
        own = by_release(later, None).values
        assert all(own.get(reg) == value for reg, value in known.items())


@pytest.mark.parametrize("suffix", ["", "+64k", "+rt", "+debug", "+64k-debug", "+rt-64k"])
def test_page_sizes_and_debug_builds_are_no_features(suffix: str) -> None:
    name = f"5.14.0-570.el9.aarch64{suffix}"
    assert split_features(f"{name}+sve+pmu", None) == (name, "psci02+pmu+sve")
    assert ("64 KiB" in " ".join(release(name).notes)) == ("64k" in suffix)


def test_rhel_9_has_the_registers_that_were_reported() -> None:
    """Source: hypercalls.c of a RHEL 9 tree, and a public report of 5.14.0-570.el9 (2026)."""
    rules = release("5.14.0-570.el9.aarch64")
    assert len(rules.fw_registers) == 7
    assert rules.psci_versions[-1] == 0x10001
    assert (rules.has_filter, rules.is_gated, rules.bitmap_limit) == (True, True, (1, 1, 3, 0))
    assert {"TRNG", "VENDOR_HYP", "WORKAROUND_3"} <= rules.answers
    assert len(release("5.14").fw_registers) == 3
    earlier = release("5.14.0-284.30.1.el9_2.aarch64")
    assert earlier.fw_registers == rules.fw_registers
    assert "has_filter" in earlier.uncertain
    assert "has_filter" not in rules.uncertain
    assert not {"psci_versions", "fw_registers", "bitmap_limit"} & set(rules.uncertain), "the row tells them"
    assert {"serves_smc", "id_registers_are_fixed"} <= set(rules.uncertain), "no row tells these"


def test_amazons_6_1_lets_id_registers_be_written_and_its_5_10_does_not() -> None:
    """Source: Firecracker's fingerprints and CPU templates of Amazon Linux hosts."""
    rules = release("6.1.172-216.329.amzn2023.aarch64")
    assert "id_registers_are_fixed" in rules.uncertain
    assert "ID_AA64DFR0_EL1.PMUVer" in rules.maybe_writable_id_fields
    assert len(rules.fw_registers) == 7
    older = release("5.10.255-253.1008.amzn2.aarch64")
    assert (len(older.fw_registers), older.psci_versions[-1], older.uncertain) == (4, 0x10000, ())
    newer = release("6.18.30-61.116.amzn2023.aarch64")
    assert (len(newer.fw_registers), newer.psci_versions[-1], newer.uncertain) == (8, 0x10003, ())


@pytest.mark.parametrize(
    ("name", "told", "untold"),
    [
        ("6.1.172-216.329.amzn2023.aarch64", ["its 6.1 has 7 firmware", "June 2025"], []),
        ("6.12.40-64.114.amzn2023.aarch64", [], ["6.1 has", "2025", "its 5.10"]),
        ("6.18.30-61.116.amzn2023.aarch64", [], ["6.1 has", "2025", "its 5.10"]),
        ("5.10.255-253.1008.amzn2.aarch64", ["its 5.10 has 4 firmware registers", "July 2025"], []),
        ("5.15.190-130.1.amzn2.aarch64", [], ["its 5.10", "2025"]),
        ("5.10.0-136.28.0.104.oe2203sp1.aarch64", ["features of its own", "4.19 or 5.10 had PSCI 1.0"], []),
        ("6.6.0-72.0.0.76.oe2403sp1.aarch64", ["features of its own"], ["5.10 had"]),
        ("5.14.0-570.el9.aarch64", ["known of build 570, and no less in later ones: 7 firmware registers"], []),
        ("5.14.0-687.el9.aarch64", ["known of build 570, and no less in later ones: 7 firmware registers"], []),
        ("5.14.0-284.30.1.el9_2.aarch64", [], ["firmware registers"]),
        ("5.14.0-162.el9", [], ["firmware registers", "PSCI 1.1"]),
    ],
)
def test_what_is_known_of_a_vendors_series_is_told_of_that_series_only(
    name: str, told: list[str], untold: list[str]
) -> None:
    notes = " ".join(release(name).notes)
    assert all(text in notes for text in told)
    assert not any(text in notes for text in untold)


def test_a_note_that_names_a_series_is_about_that_series() -> None:
    for row in VENDORS:
        for note in row.notes:
            named = {(int(a), int(b)) for a, b in re.findall(r"\b([456])\.(\d+)(?= has|\.\d| or| had)", note.text)}
            assert not named or row.bases or named <= set(note.series), note


@pytest.mark.parametrize(
    ("name", "is_certain"),
    [
        ("5.14.0-570.el9.aarch64", True),
        ("5.14.0-611.5.1.el9_7.aarch64", False),
        ("5.14.0-687.el9.aarch64", False),
        ("6.12.0-100.28.2.el10uek.aarch64", False),
        ("6.12.0-55.el10.aarch64", False),
        ("6.8.0-1010-nvidia-64k", False),
        ("6.8.0-106-generic", True),
    ],
)
def test_what_was_read_of_one_build_says_nothing_against_later_ones(name: str, is_certain: bool) -> None:
    assert ("psci_versions" not in release(name).uncertain) is is_certain


def test_rhel_10_may_have_what_mainline_got_later() -> None:
    """Nothing was found of its KVM: neither PSCI 1.3 nor VENDOR_HYP_BMAP_2 is known to be absent."""
    rules = release("6.12.0-39.el10.aarch64")
    assert rules.fw_registers == release("6.12").fw_registers
    assert {"psci_versions", "fw_registers", "bitmap_limit"} <= set(rules.uncertain)
    assert all(set(doubt.fields) <= set(type(rules).__dataclass_fields__) for doubt in rules.doubts)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("4.18.0-553.el8_10.aarch64", "a kernel of RHEL 8, which carries patches: PSCI up to 1.0"),
        ("4.19.90-2112.8.0.0131.oe2003.aarch64", "a kernel of openEuler, which carries patches"),
        ("5.3.18-150300.59.43-64kb", "a kernel of SLES, which carries patches: nothing is known of its KVM"),
        ("5.4.0-105-generic", "a kernel of Ubuntu"),
    ],
)
def test_a_vendor_kernel_older_than_all_that_is_known_is_named_in_its_refusal(name: str, told: str) -> None:
    with pytest.raises(InputError, match=r"is outside 5\.10 to 7\.3, .* older than any of them") as error:
        release(name)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("name", "cpu"),
    [
        ("5.14.0-570.el9.x86_64", "x86_64"),
        ("6.1.0-57-amd64", "amd64"),
        ("6.12.107+deb13-amd64", "amd64"),
        ("6.8.0-1-ppc64le", "ppc64le"),
        ("6.12.107+deb13-armmp", "armmp"),
    ],
)
def test_a_kernel_of_another_architecture_is_refused(name: str, cpu: str) -> None:
    with pytest.raises(InputError, match=rf"is a kernel for {cpu}: fastsmc models KVM of arm64"):
        release(name)


def test_a_name_that_does_not_tell_the_stable_update_leaves_what_came_by_one_in_doubt() -> None:
    assert release("5.15").uncertain == ("a32_refuses_all_smc64",)
    assert "fw_registers" in release("5.15.0-125-generic").uncertain
    assert release("5.15.0-125-generic").fw_registers == release("5.15").fw_registers
    assert "fw_registers" not in release("5.10.255-253.1008.amzn2.aarch64").uncertain


def test_a_vendors_notes_are_where_its_rules_are() -> None:
    rules, host = release("6.6.31+rpt-rpi-2712"), Host.of("6.6.31+rpt-rpi-2712")
    assert "a kernel of Raspberry Pi OS, which may carry backports: judged as Linux 6.6.31" in str(rules)
    assert "a kernel of Raspberry Pi OS" in str(host)
    assert repr(rules) == "Release('6.6.31+rpt-rpi-2712', Raspberry Pi OS)"
    assert len(repr(Host.of("6.1.112-" + "x" * 500, host_name="y" * 500))) <= 200


SUFFIX = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=24)


@given(base=st.sampled_from(["5.10", "5.15.30", "6.1", "6.6.31", "6.12.107", "6.18", "7.3.4"]), suffix=SUFFIX)
def test_no_suffix_changes_registers_in_silence(base: str, suffix: str) -> None:
    """A suffix is refused, or it is one of the release's own, or the base's registers come with a note."""
    try:
        rules = release(base + suffix)
    except InputError:
        return
    if rules.is_mainline:
        assert kernel(base + suffix).is_plain
        return
    assert rules.notes
    own = next((row for row in VENDORS if row.name == rules.vendor), None)
    if own is None or not own.changes:
        assert set(rules.fw_registers) == set(release(kernel(base + suffix).base).fw_registers)


@given(name=st.sampled_from([row[0] for row in NAMES]), junk=st.text(max_size=12))
def test_names_that_are_nearly_right_are_read_or_refused_in_a_sentence(name: str, junk: str) -> None:
    for text in (name + junk, name[: len(junk)], name.replace("-", junk, 1)):
        with suppress(InputError):
            rules = release(text)
            assert rules.is_mainline or rules.notes
            assert rules.name.isprintable()


@pytest.mark.parametrize("feature", sorted(VCPU_FEATURES))
def test_a_feature_is_never_a_part_of_a_kernels_name(feature: str) -> None:
    assert split_plus(f"6.12.107+deb13-arm64+{feature}") == ("6.12.107+deb13-arm64", [feature])
    with pytest.raises(InputError, match=f"names vCPU features .{feature}"):
        release(f"6.12+{feature}")
