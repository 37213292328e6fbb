"""What becomes of a few calls in the three kinds of guest: ordinary, with EL2, protected."""

from __future__ import annotations

from collections.abc import Sequence

from fastsmc.explanation.guests import LEVELS, Asked, asked
from fastsmc.facts.history import newest
from fastsmc.facts.other_calls import call_name
from fastsmc.facts.releases import release as rules_of
from fastsmc.facts.smccc import Conduit
from fastsmc.results.tables import Table
from fastsmc.scaling._rows import Heading, table

FUNCTIONS = (
    0x8000_0000,  # SMCCC_VERSION
    0x8000_8000,  # SMCCC_ARCH_WORKAROUND_1
    0x8400_0000,  # PSCI_VERSION
    0xC400_0003,  # PSCI_CPU_ON
    0xC400_0053,  # TRNG_RND64
    0xC500_0020,  # PV_TIME_FEATURES
    0x8600_0000,  # VENDOR_HYP_FEATURES
    0x8600_0001,  # VENDOR_HYP_PTP
    0xC600_0002,  # HYP_MEMINFO, one of the three that pKVM alone answers
    0xC600_FFFF,  # an id that nobody has
)
"""Of each service one or two, what the real EL2 answers, and an id without a name."""


def guests(func_ids: Sequence[int] = FUNCTIONS, *, release: str = "") -> Table:
    """Verdicts by HVC and by SMC of each function in each kind of guest, and from each of its levels.

    Args:
        release: whose rules hold; the newest if none is named. Kinds of guest that it does not run have no rows.

    Raises:
        InputError: no such release.

    Cost: some milliseconds.
    """
    rules = rules_of(release) if release else newest()
    rows: list[tuple[object, ...]] = []
    for func_id in func_ids:
        found: dict[tuple[str, str], dict[Conduit, Asked]] = {}
        for one in asked(func_id, rules):
            found.setdefault((one.guest.name, LEVELS[one.level]), {})[one.conduit] = one
        name = call_name(func_id) or f"0x{func_id:08x}"
        rows += [
            (
                *(rules.name, name, f"0x{func_id:08x}", guest, level),
                *(by[conduit].outcome.verdict.name for conduit in (Conduit.HVC, Conduit.SMC)),
            )
            for (guest, level), by in found.items()
        ]
    return table("Calls in each kind of guest; a row per function, guest and level.", _HEADINGS, rows)


_HEADINGS: tuple[Heading, ...] = (
    ("release", "input", "whose rules hold"),
    ("function", "input", "what is called, with x1 = x2 = x3 = 0"),
    ("func_id", "input", "its id"),
    ("guest", "input", "ordinary; with EL2 itself; protected: a VM of the type KVM_VM_TYPE_ARM_PROTECTED"),
    ("level", "input", "where it is called from; vEL2 and vEL1 are those of a guest with EL2, TSC its HCR_EL2.TSC"),
    ("by_hvc", "modelled", "verdict by HVC #0"),
    ("by_smc", "modelled", "verdict by SMC #0"),
)
