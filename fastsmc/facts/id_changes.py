"""Since which release which fields of ID registers can be written: rows of `Change`, by the names of its arguments.

Where a row says 6.7, KVM's table of ID registers was read in 6.7, 6.15 and a tree between 6.19 and 7.0; the release of
each later row is the one whose pull request lists its commit, unless the row says otherwise.
"""

from __future__ import annotations

from typing import Any

from fastsmc.facts.id_fields import AARCH32

_IN_6_7 = (
    *("ID_AA64PFR0_EL1", "ID_AA64ZFR0_EL1", "ID_AA64ISAR0_EL1", "ID_AA64ISAR1_EL1", "ID_AA64ISAR2_EL1"),
    *("ID_AA64MMFR0_EL1", "ID_AA64MMFR1_EL1", "ID_AA64MMFR2_EL1", "ID_DFR0_EL1.CopDbg", "ID_AA64DFR0_EL1.DebugVer"),
)
"""The registers, each but for its fixed and later fields, and the two fields."""

ID_CHANGES: tuple[dict[str, Any], ...] = (
    {
        "by": (5, 10),
        "source": "5.10, commit 23711a5e662c: CSV2 may be lowered",
        "adds": {"writable_id_fields": ("ID_AA64PFR0_EL1.CSV2",)},
    },
    {
        "by": (5, 11),
        "source": "5.11, commit 4f1df628d4ec: CSV3 likewise; not in Debian's changelogs of 5.10.y. Which "
        "stable updates take System mode is not known until 6.10",
        "sets": {"takes_system_mode": None},
        "adds": {"writable_id_fields": ("ID_AA64PFR0_EL1.CSV3",)},
    },
    {
        "by": (6, 1),
        "source": "6.1 pull request, commit d5efec7ed826: without AArch32 at EL0 its ID registers ignore writes",
        "sets": {"ignores_aarch32_ids": True, "takes_system_mode": False},
    },
    {
        "by": (6, 2),
        "source": "6.2, commits 60e651ff1f48 and d82e0dfdfda7: the PMU's version, as long as there is a PMU or none",
        "sets": {"pmu_version_must_match": True, "takes_system_mode": None},
        "adds": {"writable_id_fields": ("ID_AA64DFR0_EL1.PMUVer", "ID_DFR0_EL1.PerfMon")},
    },
    {
        "by": (6, 7),
        "source": "6.7 pull request, commits 9f9917bc71b0, 56d77aa8bdf5, d5a32b60dc18, 8cfd5be88ebe, f89fbb350dd7; "
        "recorded: EINVAL in 6.1.192, accepted in 6.12.107",
        "sets": {"id_registers_are_fixed": False, "pmu_version_must_match": False},
        "adds": {"writable_id_fields": _IN_6_7},
    },
    {
        "by": (6, 10),
        "source": "6.10, commit dfe6d190f38f; 5.10.219 and 6.1.94 by Debian's changelogs: System mode of AArch32",
        "sets": {"takes_system_mode": True},
        "backports": {(5, 10): 219, (6, 1): 94},
    },
    {
        "by": (6, 11),
        "source": "6.11 pull request, commit 2843cae26644: CTR_EL0",
        "adds": {"writable_id_fields": ("CTR_EL0.DIC", "CTR_EL0.IDC", "CTR_EL0.DminLine", "CTR_EL0.IminLine")},
    },
    {
        "by": (6, 12),
        "source": "6.12 pull requests: commits 78c4446b5f95, 980c41f554c3, 70ed7238297f, 5cb57a1aff75; FP8",
        "adds": {
            "writable_id_fields": (
                *("ID_AA64PFR0_EL1.GIC", "ID_AA64PFR1_EL1", "ID_AA64PFR2_EL1.FPMR"),
                *("ID_AA64DFR0_EL1.DoubleLock", "ID_AA64DFR0_EL1.WRPs"),
                *("ID_AA64MMFR3_EL1.TCRX", "ID_AA64MMFR3_EL1.S1PIE", "ID_AA64MMFR3_EL1.S1POE"),
            )
        },
    },
    {
        "by": (6, 13),
        "source": "6.13 and 6.12.6, commit 6685f5d572c2: MPAM is hidden, and what older kernels showed is ignored",
        "adds": {"ignored_id_fields": ("ID_AA64PFR0_EL1.MPAM", "ID_AA64PFR1_EL1.MPAM_frac")},
        "backports": {(6, 12): 6},
    },
    {
        "by": (6, 13),
        "source": "6.13 and 6.12.7, commit 03c7527e97f7: ASIDBits is fixed again",
        "adds": {"fixed_id_fields": ("ID_AA64MMFR0_EL1.ASIDBits",)},
        "backports": {(6, 12): 7},
    },
    {
        "by": (6, 13),
        "source": "6.13 pull request, commit e9b57d7f9740: CTR_EL0.L1Ip",
        "adds": {"writable_id_fields": ("CTR_EL0.L1Ip",)},
    },
    {
        "by": (6, 14),
        "source": "commit fd22af17a458, applied to the arm64 tree in January 2025",
        "adds": {"writable_id_fields": ("ID_AA64ISAR3_EL1.FAMINMAX", "ID_AA64ISAR3_EL1.FPRCVT")},
    },
    {
        "by": (6, 15),
        "source": "6.15 pull request: stage 2 granules, NV_frac; commit 9d6745572899 hides NV and ignores writes",
        "adds": {
            "writable_id_fields": (
                *("ID_AA64MMFR0_EL1.TGran4_2", "ID_AA64MMFR0_EL1.TGran16_2", "ID_AA64MMFR0_EL1.TGran64_2"),
                "ID_AA64MMFR4_EL1.NV_frac",
            ),
            "ignored_id_fields": ("ID_AA64MMFR2_EL1.NV",),
        },
    },
    {
        "by": (6, 15),
        "source": "6.15, commit 7af7cfbe78e2: AArch64 stays at EL0 and EL1. Not marked for stable kernels; measured: "
        "6.12.118 accepts 0, 6.17.13 refuses it",
        "adds": {"nonzero_id_fields": ("ID_AA64PFR0_EL1.EL0", "ID_AA64PFR0_EL1.EL1")},
    },
    {
        "by": (6, 16),
        "source": "6.16 pull request, commit fe21ff5d4b46: MTE_frac is shown, and the 0 of older kernels ignored",
        "adds": {"ignored_id_fields": ("ID_AA64PFR1_EL1.MTE_frac",)},
    },
    {
        "by": (6, 17),
        "source": "6.17 pull requests: SCTLR2, DoubleFault2, MTE; commits 1fab657cb2a0 and 7a765aa88e34 (RAS)",
        "adds": {
            "writable_id_fields": (
                *("ID_AA64PFR0_EL1.RAS", "ID_AA64PFR1_EL1.RAS_frac", "ID_AA64PFR1_EL1.DF2"),
                *("ID_AA64PFR2_EL1.MTEFAR", "ID_AA64PFR2_EL1.MTESTOREONLY", "ID_AA64MMFR3_EL1.SCTLRX"),
            )
        },
    },
    {
        "by": (6, 18),
        "source": "6.18 pull request, commit 1a0b2bf6ff11; HCX recorded: EINVAL in 6.16.12, accepted in 6.18.15",
        "adds": {"writable_id_fields": (*("ID_AA64MMFR1_EL1.HCX", "ID_AA64MMFR1_EL1.TWED", "ID_AA64ISAR3_EL1.LSFE"),)},
    },
    {
        "by": (6, 18),
        "source": "6.18, 6.12.60 and 6.17.9 (Debian's changelogs): 'Make all 32bit ID registers fully writable'; "
        "measured: 6.17.13 takes all of them",
        "adds": {"writable_id_fields": AARCH32},
        "backports": {(6, 12): 60, (6, 17): 9},
    },
    {
        "by": (7, 0),
        "source": "LSUI (series of 2026): the release was not pinned",
        "adds": {"unknown_id_fields": ("ID_AA64ISAR3_EL1.LSUI",)},
    },
    {
        "by": (7, 1),
        "source": "GICv5 for guests (series of 2026), whose mask for this register was not seen in a release",
        "adds": {
            "unknown_id_fields": (
                *("ID_AA64PFR2_EL1.FPMR", "ID_AA64PFR2_EL1.GCIE"),
                *("ID_AA64PFR2_EL1.MTEFAR", "ID_AA64PFR2_EL1.MTESTOREONLY"),
            )
        },
    },
    {
        "by": (7, 3),
        "source": "7.3.4 (Debian's changelog): S1PIE and S1POE are made consistent; what a write does was not seen; "
        "earlier updates of 7.3 are not told apart",
        "adds": {"unknown_id_fields": ("ID_AA64MMFR3_EL1.S1PIE", "ID_AA64MMFR3_EL1.S1POE")},
    },
)
"""What `releases` folds into each release."""
