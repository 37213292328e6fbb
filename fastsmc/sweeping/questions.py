"""Planners' questions as what is swept: a cell is one question with its answer's numbers and its sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastsmc.checks import shown, whole
from fastsmc.errors import InputError
from fastsmc.files.limits import INVENTORY, TOML
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.inventory.tables import told as told_table
from fastsmc.sweeping import answers, asking
from fastsmc.sweeping.grid import MOST_SEED
from fastsmc.sweeping.inventories import files_of
from fastsmc.sweeping.record import Record
from fastsmc.sweeping.subject import NamedFile, Word

_MOST_INVENTORIES = 4
"""That are remembered, the last ones."""
_QUICK, _MOST_REPLICAS = 1, 100_000
"""Replicas of a table that is only checked; `evacuate` refuses more than the second itself."""
_NO_VMS = {"name": np.zeros(0, "U1"), "host": np.zeros(0, "U1"), "vcpus": np.zeros(0, np.int64)}
_HOSTS = {"name": ["a", "b"], "kernel": ["6.12.107"] * 2, "cores": [8, 8], "memory_gib": [32.0, 32.0]}
_VMS = {"name": ["v"], "host": ["a"], "vcpus": [4], "memory_gib": [8.0], "dirty_mib_per_s": [50.0]}
"""Two hosts and a VM, to compile with."""


class Questions:
    """One question; `Subject` has the attributes.

    Raises:
        InputError: none that can be swept.
    """

    word: Word = "question"
    has_histograms = False
    fixed: tuple[str, ...] = ("question",)
    most_bytes = INVENTORY.most_bytes

    def __init__(self, question: object) -> None:
        self.question = asking.checked(question)
        self.has_seed = "seed" in asking.keywords(self.question)
        self.default = tuple(answers.MEASURES[self.question])
        self._inventories: dict[str, Inventory] = {}

    def written(self, table: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
        """A question's table as it could stand in a file, and the content of files that it names and that are none.

        Raises:
            InputError: a key that the question does not have.
        """
        held: dict[str, bytes] = {}
        own = dict(table)
        if isinstance(inventory := own.get("inventory"), Inventory) and asking.is_of_inventory(self.question):
            del own["inventory"]
            if both := [key for key in asking.INVENTORY if key in own]:
                msg = f"{self.question} is given inventory and {both[0]}: give one of them"
                raise InputError(msg)
            held = files_of(inventory)
            own |= dict(zip(asking.INVENTORY, held, strict=True))
        asking.check_keys(self.question, own)
        return asking.with_tables(own), held

    def seed_of(self, table: Mapping[str, Any]) -> int:
        """The seed of a table, or its function's; 0 where nothing is drawn."""
        if not self.has_seed:
            return 0
        return whole("seed", table.get("seed", asking.keywords(self.question)["seed"].default), last=MOST_SEED)

    def named_files(self, table: Mapping[str, Any]) -> Iterator[NamedFile]:
        """The tables of hosts and VMs, or the profile."""
        if asking.is_of_inventory(self.question):
            for key in asking.INVENTORY:
                if isinstance(table.get(key), str):
                    yield NamedFile((key,), table[key], INVENTORY)
        profile = table.get("profile")
        if isinstance(profile, str) and profile.endswith(".toml"):
            yield NamedFile(("profile",), profile, TOML)

    def measures(self, asked: object) -> tuple[str, ...]:
        """See `Subject`."""
        return answers.checked(self.question, asked)

    def attributes(self, measure: str) -> Mapping[str, str]:
        """See `Subject`."""
        its = answers.MEASURES[self.question][measure]
        return {"kind": its.kind, **({"units": its.unit} if its.unit else {}), "meaning": its.meaning}

    def check(self, table: dict[str, Any], name: str, places: Mapping[str, str]) -> None:
        """Asks the question of the hosts without VMs, which costs little."""
        its = self._arguments(table, places)
        inventory = self._inventory(table, places)
        if inventory is not None:
            inventory = Inventory.of(hosts=inventory.hosts, vms=_NO_VMS)
            if its.get("hosts") == "each" and inventory.n_host:
                its["hosts"] = str(inventory.hosts["name"][0])  # each of them would say the same
        if isinstance(its.get("replicas"), int) and _QUICK <= its["replicas"] <= _MOST_REPLICAS:
            its["replicas"] = _QUICK
        asking.asked(self.question, inventory, its)

    def computed(
        self, table: dict[str, Any], name: str, places: Mapping[str, str], measures: tuple[str, ...]
    ) -> Record:
        """The answer's measures and its sentence."""
        plan = asking.asked(self.question, self._inventory(table, places), self._arguments(table, places))
        known = answers.MEASURES[self.question]
        return Record([float(known[one].of(plan)) for one in measures], {}, plan.answer)

    def warm_up(self, table: dict[str, Any], name: str, places: Mapping[str, str]) -> None:
        """Asks the question of two hosts and a VM."""
        its = self._arguments(table, places)
        its |= {key: quick for key, quick in (("hosts", "each"), ("replicas", _QUICK), ("pool", None)) if key in its}
        asking.asked(self.question, Inventory.of(hosts=_HOSTS, vms=_VMS), its)

    def told(self, table: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The question, its name, and what it is asked with."""
        ask = {key: value for key, value in table.items() if key != "question"}
        return {"question": self.question, "name": name, "ask": ask}

    def _arguments(self, table: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
        its = asking.arguments(self.question, table)
        if str(its.get("profile")).endswith(".toml"):
            its["profile"] = _place(its["profile"], places)
        return its

    def _inventory(self, table: Mapping[str, Any], places: Mapping[str, str]) -> Inventory | None:
        """The hosts and VMs of a table, read once; None where the question has none.

        Raises:
            InputError: what is wrong with them.
        """
        if not asking.is_of_inventory(self.question):
            return None
        given = {key: table[key] for key in asking.INVENTORY}
        key = json.dumps(given)
        if key not in self._inventories:
            if len(self._inventories) >= _MOST_INVENTORIES:
                del self._inventories[next(iter(self._inventories))]
            self._inventories[key] = Inventory.read(**{what: _table(one, what, places) for what, one in given.items()})
        return self._inventories[key]


def _place(name: str, places: Mapping[str, str]) -> str:
    """The path of one of a design's files; what is none of them is never opened, whoever wrote the design."""
    if name not in places:
        msg = f"{shown(name)}: the sweep has no such file: sweep again"
        raise InputError(msg)
    return places[name]


def _table(given: object, what: str, places: Mapping[str, str]) -> Any:
    """A table of hosts or VMs as `Inventory.read` takes it, with the name that its file has in messages."""
    if isinstance(given, str):
        return told_table(_place(given, places), what)._replace(file=Path(given).name)
    if isinstance(given, Mapping):
        return given
    msg = f"{what}: give the path of a file, or a table of columns"
    raise InputError(msg)
