"""QMP's answer to query-cpu-model-expansion: the properties of QEMU's CPU model on one host.

{"return": {"model": {"name": "host", "props": {"sve": true, …}}}}, or what "return" holds. Source: QEMU
qapi/machine-target.json (CpuModelExpansionInfo), target/arm/arm-qmp-cmds.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastsmc.checks import cut, shown
from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.lines import printable
from fastsmc.migrate.read.members import member
from fastsmc.migrate.read.result import Format

_MAX_PROPS = 4096
_LENGTH = re.compile(r"(sve|sme)(\d{3,4})", re.ASCII)
_FEATURES = ("pmu", "sve", "pauth", "el2")
"""Properties that are vCPU features of KVM's under the same name."""


@dataclass(frozen=True, slots=True, eq=False)
class CpuModel:
    """A CPU model as QEMU tells it.

    Attributes:
        path: the file, as given.
        name: the model's.
        props: its properties by name: whether, how many, or which.
    """

    path: str
    name: str
    props: Mapping[str, bool | int | str]

    @property
    def format(self) -> Format:
        """What wrote the file."""
        return Format.CPU_MODEL

    @property
    def no_host(self) -> str:
        """Why no side of a migration can be made of it."""
        return "is QMP's answer about a CPU model: it tells properties and no registers, so nothing can be judged by it"

    @property
    def features(self) -> tuple[str, ...]:
        """vCPU features that it has on, as `migrate check` and `register_set` name them."""
        return tuple(name for name in _FEATURES if self.props.get(name) is True)

    @property
    def sve_lengths(self) -> tuple[int, ...]:
        """Vector lengths in bits that it has on, ascending; () where it tells none."""
        found = ((_LENGTH.fullmatch(name), value) for name, value in self.props.items())
        return tuple(sorted(int(match[2]) for match, value in found if match and match[1] == "sve" and value is True))

    def as_dict(self) -> dict[str, Any]:
        """All properties as plain values."""
        return {
            "file": self.path,
            "format": self.format,
            "model": self.name,
            "props": dict(self.props),
            "features": list(self.features),
            "sve_lengths": list(self.sve_lengths),
            "no_host": self.no_host,
        }

    def __repr__(self) -> str:
        return f"CpuModel({self.path[:80]!r}, {self.name[:40]!r}, {len(self.props)} properties)"

    def __str__(self) -> str:
        groups = {
            "on": [name for name, value in self.props.items() if value is True],
            "off": [name for name, value in self.props.items() if value is False],
            "other": [f"{name}={value}" for name, value in self.props.items() if not isinstance(value, bool)],
        }
        lines = [f"{self.path}: {self.format}: the properties of QEMU's CPU model {self.name!r}; no registers"]
        lines += [f"{what}: {printable(', '.join(names))}" for what, names in groups.items() if names]
        lines += [f"vCPU features: {'+'.join(self.features) or 'none'}"]
        if self.sve_lengths:
            off = [f"{name}=off" for name in groups["off"] if (match := _LENGTH.fullmatch(name)) and match[1] == "sve"]
            lines += [f"vector lengths: {', '.join(map(str, self.sve_lengths))} bits; give the other end the same"]
            lines += [f"  -cpu {printable(','.join([self.name, *off]))}"] if off else []
        return "\n".join(lines)


def is_ours(value: object) -> bool:
    """Whether a JSON value is such an answer."""
    inner = value.get("return", value) if isinstance(value, dict) else None
    return isinstance(inner, dict) and isinstance(inner.get("model"), dict) and "props" in inner["model"]


def read(value: dict[str, Any]) -> CpuModel:
    """The model; its path is "".

    Raises:
        RegisterFileError: another shape.
    """
    inner = member(value, "return", dict, "the answer") if "return" in value else value
    model = member(inner, "model", dict, "the answer")
    props = member(model, "props", dict, "the model")
    if len(props) > _MAX_PROPS:
        msg = f"the model has {len(props)} properties; at most {_MAX_PROPS} are read"
        raise RegisterFileError(msg)
    for key, given in props.items():
        if not isinstance(given, bool | int | str):
            name = printable(cut(key))
            msg = f'the model\'s property "{name}" is {shown(given)}: it must be true, false, a number or text'
            raise RegisterFileError(msg)
    return CpuModel("", member(model, "name", str, "the model"), props)
