"""Restores from hosts whose payloads are not to be had: what their lists tell is judged, and the rest is counted."""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Callable
from errno import EINVAL, ENOENT
from pathlib import Path
from typing import Any

import pytest

from fastsmc.facts.registers import register, sysreg
from fastsmc.recordings.belongs import host_name
from fastsmc.recordings.compact import compact
from fastsmc.recordings.folder import open_recording
from fastsmc.verification import host_of
from fastsmc.verification.by_list import UNTOLD, source_release
from fastsmc.verification.restore import replay_restore
from fastsmc.verification.tally import Tally
from tests.support.places import TESTS

HOST = TESTS / "recordings" / "linux-6.18.15-max-nested"
RVBAR, HCR, MMFR1 = sysreg(3, 4, 12, 0, 1), sysreg(3, 4, 1, 1, 0), sysreg(3, 0, 0, 7, 1)
STD_BMAP = register("STD_BMAP")
Record = dict[str, Any]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HOST, tmp_path / HOST.name))


def rewritten(folder: Path, change: Callable[[Record], object]) -> Tally:
    """The restores, once the record of 6.16.12's vCPU with EL2 was changed."""
    path = folder / "restore.jsonl.xz"
    records = [json.loads(line) for line in lzma.decompress(path.read_bytes()).splitlines()]
    change(next(r for r in records if (r["src"], r["feat"]) == ("nested/6.16.12", "psci02+el2")))
    path.write_bytes(lzma.compress("".join(json.dumps(r) + "\n" for r in records).encode()))
    recording = open_recording(folder)
    return replay_restore(recording, host_of(recording))


def test_what_no_value_changes_is_judged(host: Path) -> None:
    told = rewritten(host, lambda record: None)
    assert (told.n_match, told.n_record, dict(told.unjudged)) == (28, 28, {})
    assert told.notes[UNTOLD] == 1120, "ID registers, and the levels of workarounds, of two hosts"


CHANGES: dict[str, Callable[[Record], object]] = {
    "a missing register that was accepted": lambda r: r.update(fails=r["fails"][1:], failed=26),
    "another errno of a missing register": lambda r: r["fails"][0].__setitem__(1, EINVAL),
    "state that was refused": lambda r: r.update(fails=[[f"{HCR:#x}", EINVAL], *r["fails"]], failed=28),
    "a bitmap that was refused": lambda r: r.update(fails=[[f"{STD_BMAP:#x}", EINVAL], *r["fails"]], failed=28),
    "a register that no such host lists": lambda r: r.update(
        fails=[["0x603000000013e293", ENOENT], *r["fails"]], failed=28
    ),
    "another number of registers": lambda r: r.update(n=324),
    "another number of failures": lambda r: r.update(failed=26),
    "another order": lambda r: r["fails"].reverse(),
    "a failure twice": lambda r: r.update(fails=[r["fails"][0], *r["fails"]], failed=28),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_record_that_contradicts_the_list_differs(what: str, host: Path) -> None:
    told = rewritten(host, CHANGES[what])
    assert (told.n_record - told.n_match, len(told.differences)) == (1, 1)
    assert "linux-6.16.12-max-nested, psci02+el2" in told.differences[0]


def test_what_a_value_decides_is_not_judged(host: Path) -> None:
    told = rewritten(host, lambda r: r.update(fails=[[f"{MMFR1:#x}", EINVAL], *r["fails"]], failed=28))
    assert told.n_match == told.n_record


def test_a_source_of_which_nothing_is_known_is_not_judged(host: Path) -> None:
    told = rewritten(host, lambda r: r.update(src="linux-6.16.12"))
    assert dict(told.unjudged) == {"restores from linux-6.16.12, whose payload-psci02+el2 is not to be had": 1}
    for name, features in (("linux-9.1-max", "psci02"), ("other-6.18-max", "psci02"), ("linux-6.15-max", "psci02+el2")):
        assert source_release(name, features) is None
    assert host_name("nested/6.16.12") == "linux-6.16.12-max-nested"


def test_payloads_are_found_by_either_name_of_a_nested_host(tmp_path: Path) -> None:
    """The recorder calls the folders by release; a compact copy brings the payloads that were restored."""
    for name in ("6.18.15", "7.3.4"):
        shutil.copytree(TESTS / "recordings" / f"linux-{name}-max-nested", tmp_path / "made" / name)
    (tmp_path / "made" / "7.3.4" / "payload-none.bin.xz").unlink()
    recording = open_recording(tmp_path / "made" / "6.18.15")
    told = replay_restore(recording, host_of(recording))
    assert (told.n_match, told.notes[UNTOLD]) == (28, 1120), "the package has it"
    meta = json.loads((tmp_path / "made" / "6.18.15" / "meta.json").read_text())
    del meta["files"]
    (tmp_path / "made" / "6.18.15" / "meta.json").write_text(json.dumps(meta))
    compact([tmp_path / "made" / "6.18.15"], tmp_path / "copy")
    copied = {path.name for path in (tmp_path / "copy" / "7.3.4").iterdir()}
    assert "payload-psci02+el2.bin.xz" in copied
    assert len(copied) == 6
