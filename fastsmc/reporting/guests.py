"""The kinds of guest side by side: what becomes of a call in an ordinary VM, in one with EL2, in a protected one."""

from __future__ import annotations

from fastsmc.reporting.style import Note
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table

TABLE = "guests"
"""The table of a run; one that an earlier fastsmc saved has none."""
_WORDS = {
    "HANDLED": "handled",
    "DENIED": "denied",
    "FORWARDED": "forwarded to the VMM",
    "NOT_SUPPORTED": "not supported",
    "EXIT": "exit to the VMM",
    "FAST_PATH": "answered at EL2",
    "SMC_REFUSED": "refused",
    "TO_VEL2": "to its own EL2",
}
_TEXT = (
    "What becomes of a call depends on the kind of guest and on its conduit. Where a cell has two, the first is by "
    "HVC and the second by SMC. KVM never answers an HVC of a guest with EL2: the guest's own hypervisor, at vEL2, "
    "takes it as an exception, unless it is a workaround call, which the real EL2 answers to every guest. SMC is the "
    "conduit to KVM there, from vEL2 and from vEL1, with the answers of an ordinary guest; where the guest's "
    "hypervisor sets HCR_EL2.TSC, it takes the SMCs of vEL1 too. A protected VM has four answers of its own, given at "
    "the real EL2 before the host sees the call. The rules are those of recordings: guests with EL2 on Linux 6.16, "
    "6.18, 7.2 and 7.3, protected VMs on 7.3 (docs/guests.md)."
)


def note(run: Run) -> Note:
    """A row per function, a column per kind of guest and level."""
    rows = run[TABLE]
    columns = list(dict.fromkeys(zip(rows["guest"].tolist(), rows["level"].tolist(), strict=True)))
    told = {name: _cells(rows, name) for name in dict.fromkeys(rows["function"].tolist())}
    header = ("function", *(f"{_kind(guest, level)} (modelled)" for guest, level in columns))
    cells = [(name, *(found.get(column, "") for column in columns)) for name, found in told.items()]
    return Note(TABLE, _title(rows, len(told)), _TEXT, header, cells)


def _title(rows: Table, n_function: int) -> str:
    """How many HVCs the guest's own hypervisor takes, and how many answers a protected VM has of its own."""
    by_function: dict[str, dict[str, tuple[str, str]]] = {}
    for row in rows.rows():
        by_function.setdefault(row["function"], {}).setdefault(row["guest"], (row["by_hvc"], row["by_smc"]))
    kinds = set(rows["guest"].tolist())
    taken = sum(by.get("with EL2", ("", ""))[0] == "TO_VEL2" for by in by_function.values())
    own = sum(by.get("protected") not in (None, by.get("ordinary")) for by in by_function.values())
    parts = [f"a guest with EL2 takes {taken} of {n_function} HVCs itself"] * ("with EL2" in kinds)
    parts += [f"a protected VM gets {own} of {n_function} answered at EL2 instead"] * ("protected" in kinds)
    return f"On Linux {rows['release'][0]} {', and '.join(parts) or 'there are ordinary guests only'}"


def _kind(guest: str, level: str) -> str:
    return guest if level == "EL1" else f"{guest}, {level}"


def _cells(rows: Table, function: str) -> dict[tuple[str, str], str]:
    """What becomes of a function, by guest and level: one word where HVC and SMC fare alike, else both."""
    return {
        (row["guest"], row["level"]): " / ".join(
            dict.fromkeys(_WORDS.get(row[by], row[by]) for by in ("by_hvc", "by_smc"))
        )
        for row in rows.where(function=function).rows()
    }
