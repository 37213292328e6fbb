"""Numbers as a person reads them: units that fit, digits that count; on pages and in the text of commands."""

from __future__ import annotations

import math
import re

NBSP = "\N{NO-BREAK SPACE}"
"""The space between a number and its unit, which no line break may part."""


def significant(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent or trailing zeros.

    >>> significant(0.5897), significant(1.4909), significant(225.8), significant(30.04)
    ('0.59', '1.49', '226', '30')
    """
    text = f"{value:.{digits}g}"
    if "e" in text:
        text = f"{float(text):,.0f}" if abs(value) >= 1 else f"{float(text):.12f}".rstrip("0")
    return text


def size(n_byte: float) -> str:
    """Bytes in units of the SI, powers of ten, everywhere: 8 MiB are 8.39 MB.

    >>> [size(n).split() for n in (8 << 20, 8000, 80)]
    [['8.39', 'MB'], ['8', 'kB'], ['80', 'B']]
    """
    for power, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_byte >= power:
            return f"{significant(n_byte / power)}{NBSP}{name}"
    return f"{n_byte:,.0f}{NBSP}B"


def in_si(text: str) -> str:
    """A text whose sizes in powers of two are told as `size` does.

    >>> in_si("256 GiB on each host, 128 MiB/s").replace(NBSP, " ")
    '275 GB on each host, 134 MB/s'
    """
    powers = {"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
    return re.sub(r"(\d+(?:\.\d+)?) ([KMGT]iB)\b", lambda found: size(float(found[1]) * 2.0 ** powers[found[2]]), text)


def duration(ns: float) -> str:
    """A time in the unit that suits it.

    >>> duration(1.67).split(), duration(225_792_000).split()
    (['1.67', 'ns'], ['226', 'ms'])
    """
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= unit:
            return f"{significant(ns / unit)}{NBSP}{name}"
    return f"{significant(ns)}{NBSP}ns"


def milliseconds(ms: float) -> str:
    """A time given in milliseconds.

    >>> milliseconds(45.16).split()
    ['45.2', 'ms']
    """
    return duration(ms * 1e6)


def count(n: float) -> str:
    """A whole number, grouped by thousands from 10,000 on.

    >>> count(1024), count(225792)
    ('1024', '225,792')
    """
    return f"{n:,.0f}" if n >= 10_000 else f"{n:.0f}"


def percent(share: float) -> str:
    """A share of one.

    >>> percent(0.3901).split(), percent(0.004).split()
    (['39', '%'], ['0.4', '%'])
    """
    return f"{significant(share * 100, 2 if share < 0.995 else 3)}{NBSP}%"


def microseconds(ns: float) -> str:
    """A time given in nanoseconds, always in microseconds."""
    return f"{significant(ns / 1e3)}{NBSP}µs"


TIME_UNITS = (("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9))
"""Units of time in plain text, each with its nanoseconds."""


def column_unit(times_ns: list[float]) -> tuple[str, float]:
    """The unit in the middle of a column's times: the smallest is no long row of zeros, the largest no long number.

    >>> column_unit([900.0, 20_000.0])
    ('us', 1000.0)
    """
    some = [value for value in times_ns if value > 0]
    middle = math.sqrt(min(some) * max(some)) if some else 1.0
    return max(
        ((name, scale) for name, scale in TIME_UNITS if scale <= middle),
        key=lambda pair: pair[1],
        default=TIME_UNITS[0],
    )


def three_digits(value: float) -> str:
    """Three digits, trailing zeros among them, which is what a histogram knows; all digits before the point.

    >>> [three_digits(v) for v in (0, 0.2921, 7.0351, 70.351, 1234.5)]
    ['0', '0.292', '7.04', '70.4', '1234']
    """
    if value == 0:
        return "0"
    digits = max(2 - math.floor(math.log10(value)), 0)
    return f"{value:.{min(digits, 4)}f}"


def prefixed(value: float) -> str:
    """A number and the space and prefix before its unit.

    >>> prefixed(12_345_678.0), prefixed(999.4), prefixed(0.5)
    ('12.3 M', '999 ', '0.500 ')
    """
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{three_digits(value / scale)} {prefix}"
    return f"{three_digits(value)} "


def number_of(n: int, what: str) -> str:
    """A number of things.

    >>> number_of(1, "VM"), number_of(2, "VM")
    ('1 VM', '2 VMs')
    """
    return f"{n} {what}" + "s" * (n != 1)
