"""Kernels that vendors build: whose a name is that `uname -r` prints, and what is known of their changes to KVM.

Such a kernel is never the mainline release in its name. Where something is known it is a row with its source; of
everything else it is only said that it may carry patches. Shapes of names: the vendors' package lists and kernel names
in public reports, seen in November 2026; those marked "from memory" were not seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.facts.changes import Change
from fastsmc.facts.smccc import PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1
from fastsmc.facts.vcpu import VCPU_FEATURES
from fastsmc.facts.versions import Series, Version, parse_version, split_version

_MEMORY = "name from memory"
_PACKAGES = "Debian's package lists, November 2026"


class Note(NamedTuple):
    """Something that is known of a vendor's kernels, one sentence.

    Attributes:
        series: of which of its series; () is all.
        since: from which of the vendor's own builds on; 0 is all.
    """

    text: str
    series: tuple[Series, ...] = ()
    since: int = 0


@dataclass(frozen=True, slots=True)
class Vendor:
    """A kernel builder, and how its kernels are recognised.

    Attributes:
        shape: a regular expression that is found in what follows the version.
        source: where such a name was seen.
        bases: the versions it builds so; () for any. Another version of this shape is no kernel of this vendor.
        is_zero_told: a third number 0 means that very release. Elsewhere 0 is followed by the vendor's own count, and
            which stable update is inside is not told.
        is_heavy: changes of any later release may have been carried back, so no later rule is known to be absent.
        changes: what its KVM has beyond the release in its name. The update of RHEL's rows is Red Hat's build number.
        newest_read: the newest of the vendor's builds whose KVM was read; what `changes` set is left open above it.
        notes: what else is known of it.
    """

    name: str
    shape: str
    source: str
    bases: tuple[Series, ...] = ()
    is_zero_told: bool = False
    is_heavy: bool = False
    changes: tuple[Change, ...] = ()
    newest_read: int = 0
    notes: tuple[Note, ...] = ()

    def known(self, series: Series, count: int | None = None) -> tuple[str, ...]:
        """What is known of its kernels of a series, or of one of its builds, one sentence each."""
        notes = [note for note in self.notes if not note.series or series in note.series]
        return tuple(note.text for note in notes if count is None or count >= note.since)


_RHEL_9 = Change(
    (5, 19),
    "RHEL 9: Rocky Linux's tree kernel-src-tree at commit 0d536e7bf507, hypercalls.c; reported for 5.14.0-570.el9",
    sets={
        "psci_versions": (PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1),
        "is_gated": True,
        "bitmap_limit": (1, 1, 3, 0),
        "bitmap_reset": (1, 1, 3, 0),
        "has_filter": True,
    },
    adds={
        "answers": ("WORKAROUND_3", "TRNG", "VENDOR_HYP"),
        "fw_registers": ("SMCCC_ARCH_WORKAROUND_3", "STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP"),
    },
    backports={(5, 14): 570},
    stable_after={(5, 14): 0},
    is_assumed=True,
)
_WRITABLE_BY_AMAZON = Change(
    (6, 7),
    "Amazon's 6.1 lets ID registers be written, by patches of its own; Firecracker's CPU templates for Arm need that, "
    "and its commit 98faa388d says that they changed. Which fields it lets be lowered is not known",
    sets={"id_registers_are_fixed": False},
    adds={
        "writable_id_fields": (
            *("ID_AA64DFR0_EL1.DebugVer", "ID_AA64DFR0_EL1.PMUVer", "ID_DFR0_EL1.PerfMon", "ID_AA64MMFR1_EL1.HCX"),
            *("ID_AA64MMFR1_EL1.TWED", "ID_AA64MMFR1_EL1.VMIDBits", "ID_AA64MMFR1_EL1.VH", "ID_AA64MMFR1_EL1.XNX"),
            *("ID_AA64PFR0_EL1", "ID_AA64PFR1_EL1", "ID_AA64ZFR0_EL1", "ID_AA64ISAR0_EL1", "ID_AA64ISAR1_EL1"),
            *("ID_AA64ISAR2_EL1", "ID_AA64MMFR0_EL1", "ID_AA64MMFR1_EL1", "ID_AA64MMFR2_EL1"),
        )
    },
    stable_after={(6, 1): -1},
)
_V2 = "SMCCC_ARCH_WORKAROUND_3 of a Neoverse V2 went from 2 to 1 by an update"

VENDORS: tuple[Vendor, ...] = (
    Vendor("Oracle UEK", r"\.el\d+uek\b", "kernel names 6.12.0-202.76.4.1.el9uek.aarch64 and others", is_heavy=True),
    Vendor("ELRepo", r"\.el\d+\.elrepo\b", _MEMORY, is_zero_told=True),
    Vendor("RHEL 7 for Arm", r"\.el7a?\b", _MEMORY, ((4, 14),), is_heavy=True),
    Vendor(
        "RHEL 8",
        r"\.el8(_\d+)?\b",
        "kernel names 4.18.0-80.11.el8 and 4.18.0-147.el8",
        ((4, 18),),
        is_heavy=True,
        notes=(
            Note("PSCI up to 1.0 (include/kvm/arm_psci.h of Rocky Linux's kernel-src-tree at commit 3ae8b0e92711)"),
            Note("4.18.0-80 lists ID_AA64ZFR0_EL1 without SVE, 4.18.0-147 does not (public report)"),
        ),
    ),
    Vendor(
        "RHEL 9",
        r"\.el9(_\d+)?\b",
        "kernel names 5.14.0-570.73.1.el9_6.aarch64+64k and others",
        ((5, 14),),
        is_heavy=True,
        changes=(_RHEL_9,),
        newest_read=570,
        notes=(
            Note(
                "known of build 570, and no less in later ones: 7 firmware registers, PSCI 1.1, the SMCCC filter, "
                "TRNG and PTP",
                since=570,
            ),
        ),
    ),
    Vendor(
        "RHEL 10",
        r"\.el10(_\d+|nv)?\b",
        "kernel names 6.12.0-39.el10.aarch64+64k and 6.12.0-211.4.el10nv.aarch64+64k",
        ((6, 12),),
        is_heavy=True,
    ),
    Vendor("an Enterprise Linux rebuild", r"\.el\d+(_\d+)?\b", _MEMORY, is_heavy=True),
    Vendor("Arch Linux ARM's Asahi", r"-asahi(-[\w.]+)*-ARCH\b", _MEMORY, is_zero_told=True),
    Vendor("Fedora Asahi", r"\.asahi\.fc\d+\b|-asahi\b", _MEMORY, is_zero_told=True),
    Vendor("Fedora", r"\.(fc|eln)\d+\b", "kernel name 6.15.0-0.rc3.….eln147.aarch64+64k", is_zero_told=True),
    Vendor(
        "Amazon Linux 2",
        r"\.amzn2\b",
        "Firecracker's fingerprints, 5.10.177-158.645 to 5.10.255-253.1008.amzn2.aarch64",
        notes=(
            Note(
                "its 5.10 has 4 firmware registers and PSCI 1.0, as mainline, and two more timer registers since an "
                "update between 5.10.214 and 5.10.234 (Firecracker, commit 5277cbbd2)",
                ((5, 10),),
            ),
            Note(f"{_V2} in July 2025 (Firecracker, commit 0082734bd)", ((5, 10),)),
        ),
    ),
    Vendor(
        "Amazon Linux 2023",
        r"\.amzn2023\b",
        "Firecracker's fingerprints, 6.1.25-37.47 to 6.1.172-216.329.amzn2023.aarch64 and 6.18.30-61.116",
        changes=(_WRITABLE_BY_AMAZON,),
        notes=(
            Note(
                "its 6.1 has 7 firmware registers, PSCI 1.1 and bitmaps, as mainline; ID registers can be written, and "
                "two more timer registers came between 6.1.84 and 6.1.129 (Firecracker, commit 5277cbbd2)",
                ((6, 1),),
            ),
            Note(
                f"{_V2} in June 2025, ID_AA64MMFR1_EL1.ECBHB was set by one in September 2025 (Firecracker, commits "
                "2551a1e4a and 1a410fbce)",
                ((6, 1),),
            ),
        ),
    ),
    Vendor("Amazon Linux", r"\.(amzn1|amzn20\d\d)\b", _MEMORY),
    Vendor(
        "openEuler",
        r"\.oe\d+",
        "kernel names 6.6.0-72.0.0.76.oe2403sp1.aarch64 and 5.10.0-136.28.0.104.oe2203sp1.aarch64",
        is_heavy=True,
        notes=(
            Note("it has KVM features of its own (from memory)"),
            Note("a tree of 4.19 or 5.10 had PSCI 1.0 (openEuler's kernel at commit a7bfad99d958)", ((4, 19), (5, 10))),
        ),
    ),
    Vendor("Kylin", r"\.ky\d+|\.p\d+\.v\d+", _MEMORY, is_heavy=True),
    Vendor("UOS", r"\.uel\d+|-uos\b|\.uos", _MEMORY, is_heavy=True),
    Vendor("Huawei Cloud EulerOS", r"\.hce\d+|eulerosv\d+", _MEMORY, is_heavy=True),
    Vendor("Anolis OS", r"\.(an\d+|al\d+|alnx\d+)\b", _MEMORY, is_heavy=True),
    Vendor("TencentOS", r"tlinux|\.tl\d+|\.oc\d+", _MEMORY, is_heavy=True),
    Vendor("Azure Linux", r"\.(cm\d+|azl\d+)\b", "kernel names 6.6.104.2-4.azl3 and 6.6.150.1-1.azl3"),
    Vendor("Photon OS", r"\.ph\d+\b", _MEMORY),
    Vendor("WSL", r"microsoft-standard", _MEMORY),
    Vendor(
        "Android GKI",
        r"-android\d+-\d+",
        "kernel name 6.1.175-android14-11-ga3b9c44908dd-ab13320413",
        notes=(Note("its pKVM answers protected guests calls that mainline does not (MMIO_GUARD_*, MEM_RELINQUISH)"),),
    ),
    Vendor(
        "Raspberry Pi OS",
        r"\+rpt-|-v8(-16k)?\+|-rpi\d+-rpi-",
        "kernel names 6.12.47+rpt-rpi-2712 and 6.6.31+rpt-rpi-2712",
    ),
    Vendor("Debian", r"^\+(deb\d+(u\d+)?|bpo\d*)([+-]|$)", _PACKAGES, is_zero_told=True),
    Vendor("Debian", r"^-\d+(\.(deb|bpo)[.\d]*)?-((cloud|rt)-)?arm64(-(16|64)k)?$", _PACKAGES),
    Vendor("Debian", r"^(-rc\d+)?-((cloud|rt)-)?arm64(-(16|64)k)?$", _PACKAGES),
    Vendor("Ubuntu's mainline builds", r"^-0\d{5}(rc\d+)?-generic(-64k)?$", _MEMORY, is_zero_told=True),
    Vendor("Proxmox", r"-(pve|pxvirt)\b", "kernel name 7.0.14-23-pve"),
    Vendor(
        "Ubuntu for NVIDIA",
        r"^-\d+-nvidia[a-z0-9.-]*$",
        f"kernel names 6.11.0-1005-nvidia-64k; {_MEMORY}",
        is_heavy=True,
    ),
    Vendor(
        "Ubuntu",
        r"^-\d+-(generic|lowlatency|aws|azure|gcp|gke|gkeop|oracle|oem|ibm|kvm|raspi|realtime|bluefield|"
        r"xilinx|tegra|iot|intel|laptop|qcom|starfive)[a-z0-9.-]*$",
        "kernel names 6.8.0-106-generic-64k, 5.15.0-125-generic-64k and 5.19.0-50-generic-64k",
        notes=(Note("/proc/version_signature tells the stable update inside"),),
    ),
    Vendor("NVIDIA Jetson", r"-tegra\b", _MEMORY),
    Vendor("SLES", r"^-(1[56]0\d00|15\d+)\.[\d.]+-(default|64kb|rt|azure|preempt)\b", _MEMORY, is_heavy=True),
    Vendor("SLES", r"^-\d[\d.]*-(default|64kb|rt|azure|preempt)\b", _MEMORY, ((5, 3), (5, 14), (6, 4)), is_heavy=True),
    Vendor("SUSE", r"^-\d[\d.]*-(default|64kb|rt|azure|preempt)\b", _MEMORY),
    Vendor("Armbian", r"-(current|edge|legacy|vendor|bleedingedge)-\w+", _MEMORY),
    Vendor("Talos", r"-talos\b", _MEMORY, is_zero_told=True),
    Vendor("Flatcar", r"-flatcar\b", _MEMORY, is_zero_told=True),
    Vendor("Bottlerocket", r"-bottlerocket\b", _MEMORY),
    Vendor("Alpine", r"^-\d+-(lts|virt|rpi|edge)\b", _MEMORY, is_zero_told=True),
    Vendor("Arch Linux ARM", r"-ARCH\b|-MANJARO", _MEMORY, is_zero_told=True),
    Vendor("Gentoo", r"-gentoo\b", _MEMORY, is_zero_told=True),
    Vendor("Yocto", r"-yocto\b", _MEMORY, is_zero_told=True),
    Vendor("Google COS (or of changed sources)", r"^\+$", _MEMORY, is_zero_told=True),
)
"""Kernel builders, the first whose shape and base fit has the name."""

PLUS_PART = re.compile(r"|(4|16|64)k(-debug|-rt)?|(rt|realtime|debug)(-(64k|debug))*|(deb|bpo|rpt)\d*\S*|.*-.*")
"""What follows a plus in the name of a kernel: pages, a debug build, a distribution; nothing after COS's bare plus."""
_OTHER_CPU = re.compile(
    r"[._-](x86_64|x86-64|amd64|i[3-6]86|686(-pae)?|ppc64(le|el)?|s390x|riscv64|loong(arch)?64|armhf|armv7\w*|armmp)\b"
)
_PAGES = re.compile(r"[+-](4|16|64)kb?\b")
_OWN_COUNT = re.compile(r"^-(\d+)")


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a name says of a kernel.

    Attributes:
        version: the mainline release in the name, and its stable update where the name tells it.
        suffix: what follows the version; "" for mainline releases and their candidates.
        vendor: None for mainline, and for a suffix that no known vendor writes.
        count: the vendor's own count of its builds, 570 of "5.14.0-570.el9.aarch64".
    """

    version: Version
    suffix: str = ""
    vendor: Vendor | None = None
    count: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is a mainline release, a stable update or a release candidate."""
        return not self.suffix

    @property
    def is_counted(self) -> bool:
        """Whether the rows of its vendor count the vendor's builds and no stable updates."""
        return self.vendor is not None and self.vendor.is_heavy and self.count is not None

    @property
    def told(self) -> str:
        """The vendor's name and what is known of its kernels, for the refusal of one that is outside the releases."""
        if self.vendor is None:
            return ""
        known = "; ".join(self.vendor.known(self.version[:2], self.count)) or "nothing is known of its KVM"
        return f"a kernel of {self.vendor.name}, which carries patches: {known}"

    @property
    def base(self) -> str:
        """The mainline release in the name, as text."""
        major, minor, update = self.version
        return f"{major}.{minor}" if update is None else f"{major}.{minor}.{update}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of a kernel that is not mainline, one sentence each."""
        if self.is_plain:
            return ()
        is_told = self.version[2] is not None or (self.vendor is not None and self.vendor.is_heavy)
        told = "" if is_told else "; its name does not tell the stable update: taken as the newest"
        if self.vendor is None:
            return (f"a custom kernel, which may carry patches: judged as Linux {self.base}{told}",)
        what = "carries many backports" if self.vendor.is_heavy else "may carry backports"
        notes = [
            f"a kernel of {self.vendor.name}, which {what}: judged as Linux {self.base}{told}",
            *self.vendor.known(self.version[:2], self.count),
        ]
        if (size := page_size(self.suffix)) is not None:
            notes.append(f"its pages have {size} KiB, of which nothing modelled here is known to depend")
        return tuple(notes)


def kernel(text: object) -> Kernel:
    """What a name such as "6.12", "6.12.118" or that of `uname -r` says of a kernel.

    Raises:
        InputError: not a version, not text, or the name of a kernel for another architecture.

    >>> kernel("6.6.31+rpt-rpi-2712").vendor.name, kernel("5.14.0-570.el9.aarch64+64k").count
    ('Raspberry Pi OS', 570)
    >>> kernel("6.11.0-63.fc41.aarch64").version, kernel("6.8.0-106-generic-64k").version
    ((6, 11, 0), (6, 8, None))
    """
    version = parse_version(text)
    major, minor, update, suffix = split_version(text)
    if re.fullmatch(r"([-~]rc\d+)?", suffix):
        return Kernel(version)
    if (cpu := _OTHER_CPU.search(suffix)) is not None:
        msg = f"release {shown(text)} is a kernel for {cpu[1]}: fastsmc models KVM of arm64 (aarch64)"
        raise InputError(msg)
    vendor = vendor_of((major, minor), suffix)
    is_candidate = "rc" in suffix and version[2] == 0
    if update == 0 and vendor is not None and vendor.is_zero_told and not is_candidate:
        version = major, minor, 0
    counted = _OWN_COUNT.match(suffix)
    return Kernel(version, suffix, vendor, int(counted[1]) if counted and len(counted[1]) < 10 else None)


def vendor_of(series: Series, suffix: str) -> Vendor | None:
    """Whose kernel a name is; None for a suffix that is no vendor's here."""
    fits = (row for row in VENDORS if not row.bases or series in row.bases)
    return next((row for row in fits if re.search(row.shape, suffix)), None)


def page_size(suffix: str) -> int | None:
    """KiB of the kernel's pages, where its name tells.

    >>> page_size("-570.el9.aarch64+64k"), page_size("-106-generic")
    (64, None)
    """
    found = _PAGES.search(suffix)
    return int(found[1]) if found else None


def feature_parts(name: str) -> str:
    """The vCPU features that a name ends in, or what looks like one misspelled: "pmu, sve" of "6.12+pmu+sve".

    >>> feature_parts("6.12+pmu+sve"), feature_parts("6.12.5+mybuild"), feature_parts("6.12+pnu")
    ('pmu, sve', '', 'pnu, did you mean pmu?')
    >>> feature_parts("6.12-pmu-sve"), feature_parts("6.12-pmu-build")
    ('pmu, sve', '')
    """
    found = []
    base, parts = split_plus(name)
    behind = re.fullmatch(r"[vV]?[0-9.]+-([a-z0-9_,:-]+)", base)  # 6.12-pmu: no kernel is called so
    words = re.split(r"[-,:]", behind[1]) if behind else []
    for part in [*(words if words and all(word in VCPU_FEATURES for word in words) else []), *parts]:
        close = get_close_matches(part, VCPU_FEATURES, n=1)
        if part in VCPU_FEATURES or close:
            found.append(part if part in VCPU_FEATURES else f"{part}, did you mean {close[0]}?")
    return ", ".join(found)


def split_plus(text: str) -> tuple[str, list[str]]:
    """(a kernel's name, what was joined to it by plus signs), as `uname -r` itself may hold a plus.

    >>> split_plus("5.14.0-570.el9.aarch64+64k+pmu+sve"), split_plus("6.1.112++pmu")
    (('5.14.0-570.el9.aarch64+64k', ['pmu', 'sve']), ('6.1.112+', ['pmu']))
    """
    name, *parts = text.split("+")
    while parts and PLUS_PART.fullmatch(parts[0]):
        name += "+" + parts.pop(0)
    return name, parts
