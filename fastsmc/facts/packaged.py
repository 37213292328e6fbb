"""Where the data files of the package lie."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).parents[1] / "data"


def packaged(*names: str) -> Path:
    """The path of a data file or folder that the package brings, such as `packaged("profiles")`."""
    return _DATA.joinpath(*names)


GUEST_BOOT_TRACE = packaged("linux-7.3-guest-boot.ftrace.txt")
"""The calls of a real Linux 7.3 guest that boots, as ftrace printed them."""
