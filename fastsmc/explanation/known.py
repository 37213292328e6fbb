"""What is known by name: releases, vendors' kernels, VMMs and their versions, vCPU features; each with its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastsmc.checks import word_of
from fastsmc.facts.history import span
from fastsmc.facts.register_sets import RegisterSet, register_sets
from fastsmc.facts.registers import BITMAP_REGISTERS
from fastsmc.facts.releases import Release
from fastsmc.facts.releases import release as rules_of
from fastsmc.facts.smccc import psci_name
from fastsmc.facts.vcpu import CAPS_OF_FEATURE, VCPU_FEATURES, not_served
from fastsmc.facts.vendors import VENDORS
from fastsmc.facts.versions import ENDED, LAST_MINOR, NEWEST, NEWEST_UPDATE, OLDEST, Series
from fastsmc.facts.vmm_features import GIVEN, How
from fastsmc.facts.vmm_versions import CHANGES, known_versions, written
from fastsmc.facts.vmms import Vmm
from fastsmc.results.layout import text
from fastsmc.results.tables import Column, Table
from fastsmc.results.units import number_of

WHAT = ("releases", "vendors", "vmms", "features")
_SHORT = {How.ALWAYS: "always", How.DEFAULT: "unless switched off", How.ASKED: "if asked for"}


@dataclass(frozen=True, slots=True, repr=False)
class Known:
    """What fastsmc knows by name.

    Attributes:
        what: which of the tables is asked for: one of WHAT.
        answer: how much there is of it, in one sentence.
        tables: all of them by name.
    """

    what: str
    answer: str
    tables: Mapping[str, Table]

    @property
    def table(self) -> Table:
        """The table that is asked for."""
        return self.tables[self.what]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: every table, a list of rows each."""
        return {"what": self.what, "answer": self.answer, **{k: list(one.rows()) for k, one in self.tables.items()}}

    def __str__(self) -> str:
        return f"{self.answer}\n\n{text(self.table, most=None)}"

    def __repr__(self) -> str:
        return f"<Known {self.what}: {self.answer[:140]}>"


def releases(*, what: str = "releases") -> Known:
    """The releases that fastsmc knows, with their rules in short; or vendors, VMMs, or vCPU features.

    Args:
        what: "releases", "vendors", "vmms" or "features"; the result has the tables of all four.

    Raises:
        InputError: another word.

    >>> releases().answer
    'Linux 5.10 to 7.3, 34 releases: the register lists of 8 are recorded, those of 26 inferred from them'
    """
    word_of("what", what, WHAT)
    tables = {"releases": _releases(), "vendors": _vendors(), "vmms": _vmms(), "features": _features()}
    n_row = {name: table.n_row for name, table in tables.items()}
    n_recorded = int((tables["releases"]["registers"] != "inferred").sum())
    answers = {
        "releases": f"Linux {span()}, {n_row['releases']} releases: the register lists of {n_recorded} are recorded, "
        f"those of {n_row['releases'] - n_recorded} inferred from them",
        "vendors": f"{n_row['vendors']} vendors' kernels are known by their names; any other is judged as mainline",
        "vmms": f"{number_of(len(set(tables['vmms']['vmm'].tolist())), 'VMM')} are known, with what their versions "
        "brought; a name without a version is the newest",
        "features": f"{n_row['features']} vCPU features are known by name; several are joined by +",
    }
    return Known(what, answers[what], tables)


def all_series() -> Iterator[Series]:
    """Every series from the oldest to the newest that is known."""
    for major in range(OLDEST[0], NEWEST[0] + 1):
        first = OLDEST[1] if major == OLDEST[0] else 0
        last = NEWEST[1] if major == NEWEST[0] else LAST_MINOR[major]
        yield from ((major, minor) for minor in range(first, last + 1))


def _releases() -> Table:
    recorded: dict[Series, dict[str, list[RegisterSet]]] = {}
    for one in register_sets():
        recorded.setdefault(rules_of(one.release).series, {}).setdefault(one.release, []).append(one)
    rows = [_of_series(series, recorded.get(series, {})) for series in all_series()]
    columns = {key: Column.of([row[key] for row in rows], "modelled" if key == "bitmaps" else "") for key in rows[0]}
    meaning = (
        "A row per release: the newest stable update that is known, where its register list is from, and what KVM has."
    )
    return Table(meaning, columns)


def _of_series(series: Series, recorded: dict[str, list[RegisterSet]]) -> dict[str, Any]:
    name = f"{series[0]}.{series[1]}"
    rules: Release = rules_of(name)
    last, newest = ENDED.get(series), NEWEST_UPDATE.get(series)
    cpus = [f"{update} ({', '.join(sorted({one.cpu for one in some}))})" for update, some in recorded.items()]
    return {
        "release": name,
        "updates": f".{last}, ended" if last is not None else f".{newest}",
        "registers": f"recorded: {', '.join(cpus)}" if recorded else "inferred",
        "bitmaps": sum(row.name in rules.fw_registers for row in BITMAP_REGISTERS),
        "psci": psci_name(rules.psci_versions[-1]),
        "trng": rules.answers >= {"TRNG"},
        "ptp": rules.answers >= {"VENDOR_HYP"},
        "filter": rules.has_filter,
        "smc": rules.serves_smc,
        "not_certain": ", ".join(rules.uncertain),
    }


def _vendors() -> Table:
    rows = [
        {
            "vendor": one.name,
            "bases": ", ".join(f"{major}.{minor}" for major, minor in one.bases) or "any",
            "carries_back": "perhaps anything"
            if one.is_heavy
            else f"{len(one.changes)} changes"
            if one.changes
            else "",
            "notes": " ".join(note.text for note in one.notes),
            "source": one.source,
        }
        for one in VENDORS
    ]
    columns = {key: Column.of([row[key] for row in rows]) for key in rows[0]}
    return Table("A row per vendor whose kernels are recognised, by what follows the version in their names.", columns)


def _vmms() -> Table:
    rows = [(vmm.value, *versions, "is known", "release tags") for vmm in Vmm if (versions := _span(vmm)) is not None]
    rows += [(one.vmm.value, written(one.vmm, one.by), "", str(one.ability), one.source) for one in CHANGES]
    rows.sort(key=lambda row: list(Vmm).index(Vmm(row[0])))
    names = ("vmm", "from_version", "to_version", "what", "source")
    columns = {name: Column.of([row[at] for row in rows]) for at, name in enumerate(names)}
    return Table("A row per VMM, then one for each ability that a version of it brought.", columns)


def _span(vmm: Vmm) -> tuple[str, str] | None:
    """First and last version that is known; two empty texts where versions are not told apart."""
    if vmm is Vmm.MINIMAL:
        return None
    versions = known_versions(vmm)
    return (versions[0], versions[-1]) if versions else ("", "")


def _features() -> Table:
    rows = []
    for name, bits in VCPU_FEATURES.items():
        given = [f"{one.vmm.value} {_SHORT[one.how]}" for one in GIVEN if one.feature == name]
        caps = sorted({cap for bit, some in CAPS_OF_FEATURE.items() if bits & bit for cap in some})
        rows.append((name, hex(bits), ", ".join(map(str, caps)), "; ".join(given), not_served(bits) or ""))
    names = ("feature", "bits", "capabilities", "given_by", "limits")
    columns = {name: Column.of([row[at] for row in rows]) for at, name in enumerate(names)}
    return Table(
        "A row per vCPU feature: its bits in KVM_ARM_VCPU_INIT, the KVM_CAP_ARM_* it needs, who gives it.", columns
    )
