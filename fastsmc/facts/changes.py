"""What changed between Linux releases, a row per change: since when, in which stable updates too, on whose word."""

from __future__ import annotations

from dataclasses import dataclass, field
from errno import EINVAL
from typing import Any

from fastsmc.facts.id_changes import ID_CHANGES
from fastsmc.facts.smccc import PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3
from fastsmc.facts.versions import Series, Version


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between releases.

    Attributes:
        by: first release that has it.
        sets: fields it replaces.
        adds: fields it appends to.
        after: newest release known to lack it, where the exact one is not known.
        backports: series older than `by` that got it by a stable update, each with the first update known to have it.
        stable_after: series, each with the newest update known to lack it, where it is not known which later one
            got it. Between that update and the one in `backports`, if there is one, the change is uncertain.
        is_assumed: where it is uncertain, a release is taken to have it; else to lack it.
    """

    by: Series
    source: str
    sets: dict[str, Any] = field(default_factory=dict)
    adds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    after: Series | None = None
    backports: dict[Series, int] = field(default_factory=dict)
    stable_after: dict[Series, int] = field(default_factory=dict)
    is_assumed: bool = False

    def is_in(self, version: Version) -> bool | None:
        """Whether a release has this change; None where it may have it.

        >>> change = Change((7, 3), "", backports={(6, 12): 112}, stable_after={(6, 12): 107, (6, 6): 50})
        >>> [change.is_in((6, 12, update)) for update in (107, 110, 112, None)]
        [False, None, True, True]
        >>> change.is_in((6, 6, None)), change.is_in((6, 6, 50)), change.is_in((7, 3, 0))
        (None, False, True)
        """
        *series, update = version
        opened = series[0], series[1]
        first, lacking = self.backports.get(opened), self.stable_after.get(opened)
        if opened >= self.by or (first is not None and (update is None or update >= first)):
            return True
        if lacking is not None:
            return None if update is None or update > lacking else False
        return None if self.after is not None and opened > self.after else False

    def bracket(self, version: Version) -> str:
        """Between what the change lies, for a release that may have it.

        >>> Change((5, 18), "", after=(5, 10)).bracket((5, 15, 3))
        'changed after 5.10 and by 5.18'
        """
        series = version[:2]
        if series not in self.stable_after:
            return f"changed after {_text(self.after or series)} and by {_text(self.by)}"
        lacking, first = self.stable_after[series], self.backports.get(series)
        if lacking == 0 and first is not None:
            return f"known of {first} and later only"
        begin = f" after {_text(series)}.{lacking}" if lacking > 0 else ""
        return f"changed{begin} by an update" if first is None else f"changed{begin} and by {_text(series)}.{first}"


def _text(series: Series) -> str:
    return f"{series[0]}.{series[1]}"


CHANGES: tuple[Change, ...] = (
    Change((5, 12), "5.12 merge of the TRNG service (trng.c)", adds={"answers": ("TRNG",)}),
    Change((5, 13), "5.13 merge of the vendor calls and PTP (hypercalls.c)", adds={"answers": ("VENDOR_HYP",)}),
    Change(
        (5, 17),
        "5.17, Spectre-BHB fixes of March 2022 (commit a5905d6af492, the hash from memory); 5.10.105 and 5.16.14 by "
        "Debian's changelogs of linux-libc-dev, 5.15.28 from memory; 5.10.218 recorded",
        adds={"answers": ("WORKAROUND_3",), "fw_registers": ("SMCCC_ARCH_WORKAROUND_3",)},
        backports={(5, 10): 105, (5, 15): 28, (5, 16): 14},
    ),
    Change(
        (5, 18),
        "5.18, commits 512865d83fd9 (PSCI 1.1) and d43583b890e7 (SYSTEM_RESET2)",
        sets={"psci_versions": (PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1)},
    ),
    Change(
        (5, 18),
        "32-bit rule generalised: patch seen, release not pinned; recorded off in 5.10.218, on in 6.1.192",
        sets={"a32_refuses_all_smc64": True},
        after=(5, 10),
    ),
    Change(
        (5, 19),
        "5.19 pull request, commits 05714cab7d63, 428fd6788d4d (bitmap registers); SYSTEM_SUSPEND capability",
        sets={
            "is_gated": True,
            "bitmap_limit": (1, 1, 3, 0),
            "bitmap_reset": (1, 1, 3, 0),
            "has_system_suspend": True,
        },
        adds={"fw_registers": ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP")},
    ),
    Change(
        (5, 15),
        "5.15, commit e10ecb4d6c07 (psci.c); recorded: masked in 5.10.218, -2 in 6.1.192",
        sets={"mpidr_masks_extra_bits": False},
    ),
    Change(
        (5, 18),
        "5.18, commit d495f942f40a (struct kvm_run's system_event); recorded: ndata 0 in 5.10.218, 1 in 6.1.192",
        sets={"has_event_data": True},
    ),
    Change(
        (6, 3),
        "6.3 pull request, commit 7af0c2534f4c; recorded: EINVAL in 6.1.192, accepted in 6.12.107",
        sets={"caches_are_fixed": False},
    ),
    Change(
        (6, 4),
        "6.4 pull request, commit 821d935c87bc: SMCCC filter; SMC from EL1 served",
        sets={"has_filter": True, "serves_smc": True},
    ),
    Change(
        (6, 13),
        "6.13 pull request, commits 8be82d536a9f (PSCI 1.2 and 1.3) and 97413cea1c48 (SYSTEM_OFF2)",
        sets={"psci_versions": (PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3)},
    ),
    Change(
        (6, 15),
        "6.15 pull request, commit c0000e58c74e: VENDOR_HYP_BMAP_2, reset 0",
        sets={"bitmap_limit": (1, 1, 3, 3)},
        adds={"fw_registers": ("VENDOR_HYP_BMAP_2",)},
    ),
    Change(
        (6, 16),
        "6.16 pull request: KVM_ARM_VCPU_HAS_EL2 and its E2H0 can be asked for; recorded: ENOENT in 6.12.107, EINVAL "
        "in 6.16.12",
        sets={"n_vcpu_feature": 9},
    ),
    Change(
        (7, 3),
        "7.3: KVM_CREATE_VM takes KVM_VM_TYPE_ARM_PROTECTED (recorded in 7.3.4 with kvm-arm.mode=protected); that 7.2 "
        "refuses it was told, not recorded",
        sets={"has_protected": True},
    ),
    Change(
        (7, 3),
        "7.3, commit 64dc6f1db7e6 (hypercalls.c), and the stable updates of 3 October 2026; recorded: EEXIST in "
        "6.12.107, 6.18.15 and 7.1.13, EINVAL in 7.2.12 and 7.3.4",
        sets={"filter_empty_at_0_errno": EINVAL},
        backports={(7, 2): 9, (6, 18): 55, (6, 12): 112, (6, 6): 158},
    ),
    *(Change(**row) for row in ID_CHANGES),
)
