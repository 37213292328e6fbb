"""The lowest versions that pyproject.toml allows, as a constraints file for pip.

    python -m tools.lowest > lowest.txt
    pip install --constraint lowest.txt --editable '.[test]'

mypy and ruff are left out: `make lint` runs with the versions that the project was written with.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_TESTED_LOW = {"mypy", "ruff"}
_REQUIREMENT = re.compile(r"(?P<name>[\w-]+)>=(?P<lowest>[\d.]+)")


def lowest(pyproject: str) -> list[str]:
    """One line of constraints for each requirement that names a lowest version, in the order of the file.

    >>> lowest('[project]\\ndependencies = ["numpy>=2.0,<3"]\\noptional-dependencies.test = ["fastsmc[zstd]"]')
    ['numpy==2.0']
    """
    project = tomllib.loads(pyproject)["project"]
    listed = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    found = (_REQUIREMENT.match(one) for one in listed)
    return [f"{one['name']}=={one['lowest']}" for one in found if one and one["name"] not in NOT_TESTED_LOW]


if __name__ == "__main__":
    print("\n".join(lowest((ROOT / "pyproject.toml").read_text(encoding="utf-8"))))
