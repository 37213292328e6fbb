"""A network path, and the line rates and times people write."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import F64Array, shown
from fastsmc.errors import InputError

_RATE = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s?([KMGT]i?)?(b|bit|B)?(?:/s|ps)?", re.ASCII)
_TIME = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s?(ns|us|µs|ms|s)", re.ASCII)
_PREFIX = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_US = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}


@dataclass(frozen=True, slots=True)
class Link:
    """A network path: nominal line rate and round-trip time, nothing else on it.

    Either may be written as on the command line: `Link("25G", "80us")`.

    Raises:
        InputError: a rate that is not above 0, a negative round trip, or text that cannot be read.

    >>> Link("25G", "80us") == Link(25, 80)
    True
    """

    gbit_per_s: float
    rtt_us: float

    def __init__(self, gbit_per_s: float | str, rtt_us: float | str = 0.0) -> None:
        rate = line_rate(gbit_per_s) if isinstance(gbit_per_s, str) else gbit_per_s
        rtt = microseconds(rtt_us) if isinstance(rtt_us, str) else rtt_us
        object.__setattr__(self, "gbit_per_s", require_number(rate, "gbit_per_s", above=0))
        object.__setattr__(self, "rtt_us", require_number(rtt, "rtt_us", least=0))

    def transfer_ms(self, size: ArrayLike) -> F64Array:
        """Time until `size` bytes are acknowledged: one round trip plus the bytes at line rate. Broadcasts.

        >>> float(Link(10).transfer_ms(8 << 20).round(2))
        6.71
        """
        return transfer_ms(size, gbit_per_s=self.gbit_per_s, rtt_us=self.rtt_us)

    def __str__(self) -> str:
        return f"{self.gbit_per_s:g} Gbit/s" + (f", {self.rtt_us:g} us round trip" if self.rtt_us else "")


Links = Link | str | Sequence["Link | str"]
"""A path, a written line rate such as "25G", or several of either."""


def transfer_ms(size: ArrayLike, *, gbit_per_s: ArrayLike, rtt_us: ArrayLike) -> F64Array:
    """As `Link.transfer_ms`, of rates and round trips that broadcast."""
    rate, rtt = np.asarray(gbit_per_s, np.float64), np.asarray(rtt_us, np.float64)
    return np.asarray(rtt / 1e3 + np.asarray(size, np.float64) * (8 / (rate * 1e6)))


def as_link(link: object) -> Link:
    """The path, or the one whose line rate is written.

    Raises:
        InputError: neither, or text that cannot be read.
    """
    if isinstance(link, Link):
        return link
    if isinstance(link, str):
        return Link(link)
    msg = f"link is {shown(link)}: give a Link, or a line rate such as 25G"
    raise InputError(msg)


def as_links(links: object) -> list[Link]:
    """One path or several, as a list.

    Raises:
        InputError: none, or one that is no path.
    """
    if not isinstance(links, Iterable) or isinstance(links, str):
        return [as_link(links)]
    found = [as_link(one) for one in links]
    if not found:
        msg = "link is empty: give at least one"
        raise InputError(msg)
    return found


def line_rate(text: str) -> float:
    """Gbit/s of a written line rate. A b is a bit, a B a byte; a prefix alone means bits, as on network cards.

    Raises:
        InputError: written otherwise.

    >>> line_rate("10Gb/s"), line_rate("25G"), line_rate("128MiB/s")
    (10.0, 25.0, 1.073741824)
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or match[2] is None:
        msg = f"line rate {shown(text)}: give it as 10Gb/s, 25G or 128MiB/s"
        raise InputError(msg)
    per_unit = 8 if match[3] == "B" else 1
    return float(match[1]) * _PREFIX[match[2]] * per_unit / 1e9


def microseconds(text: str) -> float:
    """Microseconds of a written time.

    Raises:
        InputError: without a unit, or written otherwise.

    >>> microseconds("80us"), microseconds("0.2ms"), microseconds("0")
    (80.0, 200.0, 0.0)
    """
    if text.strip() == "0":
        return 0.0
    match = _TIME.fullmatch(text.strip())
    if match is None:
        msg = f"time {shown(text)}: give it with its unit, such as 80us or 0.2ms"
        raise InputError(msg)
    return float(match[1]) * _US[match[2]]


def require_number(value: object, what: str, *, above: float = -math.inf, least: float = -math.inf) -> float:
    """The value as a float, which is finite and above a bound, or at least it.

    Raises:
        InputError: naming it.
    """
    number = math.nan
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    with suppress(OverflowError):
        number = float(value) if is_number else number  # type: ignore[arg-type]
    if not (math.isfinite(number) and number > above and number >= least):
        bound = f"above {above:g}" if above > -math.inf else f"of {least:g} or more"
        msg = f"{what} is {shown(value)}: it must be a number {bound}"
        raise InputError(msg)
    return number
