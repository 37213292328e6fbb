"""Sizes as Kubernetes and libvirt write them: 16Gi, 500M, 1500m; KiB, MB, GiB."""

from __future__ import annotations

import re

from fastsmc.checks import shown
from fastsmc.errors import InputError

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30}))(?:([eE][+-]?[0-9]{1,3})|([A-Za-z]{0,2}))"
)
_SUFFIXES = {
    **{"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18},
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", 1)},
}
_BYTES = {
    **dict.fromkeys(("b", "byte", "bytes"), 1.0),
    **{f"{letter}b": 1000.0**power for power, letter in enumerate("kmgtpe", 1)},
    **{f"{letter}{end}": 1024.0**power for power, letter in enumerate("kmgtpe", 1) for end in ("", "ib")},
}
GIB = 1024.0**3


def quantity(text: str, place: str) -> float:
    """A quantity of Kubernetes as a number of its unit: bytes, CPUs.

    Source: kubernetes.io, "Quantity" of the API: decimal and binary suffixes, or an exponent of ten.

    Raises:
        InputError: none, or negative.

    >>> quantity("1500m", "cpu"), quantity("500M", "memory"), quantity("16Gi", "memory") / GIB, quantity("12e3", "x")
    (1.5, 500000000.0, 16.0, 12000.0)
    """
    found = _QUANTITY.fullmatch(text.strip())
    if found is not None and (found[3] or "") in _SUFFIXES:
        value = float(found[1] + (found[2] or "")) * _SUFFIXES[found[3] or ""]
        if 0 <= value < 1 << 62:
            return value
    msg = f"{place} is {shown(text)}: it must be a quantity, such as 16Gi, 500M or 1500m"
    raise InputError(msg)


def bytes_of(number: str, unit: str, place: str) -> float:
    """A size in libvirt's XML, in bytes.

    Source: libvirt.org, formatdomain, "Memory Allocation": KB is 1000 bytes, K and KiB are 1024, and so is none.

    Raises:
        InputError: no number, or no unit that is known.

    >>> bytes_of("4", "MB", "memory"), bytes_of("4194304", "", "memory") / GIB
    (4000000.0, 4.0)
    """
    size = _BYTES.get((unit or "KiB").strip().lower())
    if size is None or not re.fullmatch(r"\s*[0-9]{1,20}\s*", number):
        msg = (
            f"{place} is {shown(number)} {shown(unit)}: it must be a whole number of bytes, KiB, MiB, GiB, KB, MB or GB"
        )
        raise InputError(msg)
    return int(number) * size
