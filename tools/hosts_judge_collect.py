"""Puts what emulated hosts gave to `tools/hosts_judge_inside.py` into the file that `tools.hosts_judge` reads.

python -m tools.hosts_judge_collect judged.json.xz 6.1.192-save.json 6.1.192-load.json ...
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.hosts_judge import COUNTERS, FRESH


def collect(paths: Iterable[Path], out: Path) -> None:
    """Puts what the boots gave, <release>-save.json and <release>-load.json, into one file."""
    hosts, saved, restores = {}, {}, []
    for path in sorted(paths):
        release, _, kind = path.stem.rpartition("-")
        content = json.loads(path.read_text("utf-8"))
        if kind == "save":
            hosts[release], saved[release] = _compact(content["profile"], content["saved"])
        else:
            restores += [{"dest": release, **record} for record in content["restores"]]
    for record in restores:
        for key in record.keys() & {"fails", "early", "ascending"}:
            record[key] = [[f"{reg:#x}", code] for reg, code in record[key]]
    restores = [one for one in restores if one["state"] in saved[one["src"]][one["feat"]]]
    for host, sets in saved.items():
        for features in sets:
            tried = {one["state"] for one in restores if one["src"] == host and one["feat"] == features}
            sets[features] = {state: changed for state, changed in sets[features].items() if state in tried}
    content = {"hosts": hosts, "saved": saved, "restores": restores}
    text = json.dumps(content, separators=(",", ":"), sort_keys=False)
    out.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def _compact(profile: dict[str, Any], saved: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The profile with no other feature sets than were saved, and what each state has otherwise than a reset."""
    kept = {}
    for one in profile["register_sets"]:
        features = one["features"]
        if features in saved:
            fresh = {int(reg, 16): int(value, 16) for reg, value in one["registers"].items()}
            kept[features] = {FRESH: {}}
            for state, payload in saved[features].items():
                changed = {reg: value for reg, value in payload if fresh[reg] != value and reg not in COUNTERS}
                if changed:
                    kept[features][state] = {f"{reg:#x}": f"{value:#x}" for reg, value in changed.items()}
    sets = [one for one in profile["register_sets"] if one["features"] in kept]
    return profile | {"register_sets": sets}, kept


if __name__ == "__main__":
    collect(map(Path, sys.argv[2:]), Path(sys.argv[1]))
