"""Where the data files of the package lie."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).parents[1] / "data"
_CHECKOUT = Path(__file__).parents[2]
"""Of an installed package: the folder of packages, where the paths below fastsmc/ are right as well."""


def packaged(*names: str) -> Path:
    """The path of a data file or folder that the package brings, such as `packaged("profiles")`."""
    return _DATA.joinpath(*names)


def shared(installed: str, checkout: str) -> Path:
    """The path of data that lies once in the project: in `data/` of an installed package, elsewhere in a checkout.

    pyproject.toml says under `force-include` what the wheel takes from where; tests/whole/test_wheel.py compares. What
    lies in the package's own folder is there in both, and a file named under `force-include` would leave it.
    """
    path = packaged(*installed.split("/"))
    return path if path.exists() else _CHECKOUT / checkout


GUEST_BOOT_TRACE = packaged("linux-7.3-guest-boot.ftrace.txt")
"""The calls of a real Linux 7.3 guest that boots, as ftrace printed them."""

RECORDINGS = ("recordings", "tests/recordings")
"""The recordings of real kernels that every copy of the package brings, as `shared` takes them."""
