"""Where compiled kernels are kept: ours alone, never where others can write, and not for ever."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsmc.jit.kept import KEPT, UntrustedError, kernel_folder
from tests.jit.test_compiled import finished, start

DIGEST = "0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_is_made_for_us_alone_whatever_the_umask(cache: Path) -> None:
    before = os.umask(0)
    try:
        folder = kernel_folder(DIGEST)
    finally:
        os.umask(before)
    assert folder == cache / "fastsmc" / DIGEST
    assert (mode(folder), mode(folder.parent)) == (0o700, 0o700)


def test_one_that_others_may_read_is_closed_to_them(cache: Path) -> None:
    (cache / "fastsmc" / DIGEST).mkdir(mode=0o755, parents=True)
    assert (mode(kernel_folder(DIGEST)), mode(cache / "fastsmc")) == (0o700, 0o700)


def test_a_relative_folder_is_ignored(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cache)
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(cache / "home"))
    assert kernel_folder(DIGEST) == cache / "home" / ".cache" / "fastsmc" / DIGEST
    assert not (cache / "here").exists()
    monkeypatch.setenv("HOME", "home")
    with pytest.raises(UntrustedError, match="no absolute path"):
        kernel_folder(DIGEST)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder that others may write": (lambda f: f.chmod(0o777), "others may write to"),
    "a parent that a group may write": (lambda f: f.parent.chmod(0o770), "others may write to"),
    "a cache that anybody may write": (lambda f: f.parent.parent.chmod(0o777), "anybody may write to"),
    "a file that others may write": (lambda f: (f / "a" / "k.nbi").chmod(0o666), "others may write to"),
    "a folder within": (lambda f: (f / "a").chmod(0o775), "others may write to"),
    "a link to a file": (lambda f: (f / "a" / "l.nbi").symlink_to("k.nbi"), "is a link"),
    "a link to a folder": (lambda f: (f / "b").symlink_to("a"), "is a link"),
    "a link in its place": (lambda f: f.rename(f.with_name("x")) and f.symlink_to("x"), "is a link"),
    "another's folder": (lambda f: os.chown(f, 12345, -1), "belongs to another user"),
    "another's file": (lambda f: os.chown(f / "a" / "k.nbi", 12345, -1), "belongs to another user"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_others_could_have_written_is_not_used(what: str, cache: Path) -> None:
    if what.startswith("another's") and os.geteuid() != 0:
        pytest.skip("only root may give files away")
    folder = kernel_folder(DIGEST)
    (folder / "a").mkdir(mode=0o700)
    (folder / "a" / "k.nbi").touch(mode=0o600)
    assert kernel_folder(DIGEST) == folder
    fault, says = FAULTS[what]
    fault(folder)
    with pytest.raises(UntrustedError, match=says):
        kernel_folder(DIGEST)


def test_no_pickle_that_others_could_have_written_is_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "boom",)

    finished(start(tmp_path))
    indexes = list(tmp_path.rglob("*.nbi"))
    assert indexes
    assert all(mode(path) == 0o600 for path in indexes)
    for path in indexes:
        path.write_bytes(pickle.dumps(Bomb()))
        path.chmod(0o666)
    out, error = finished(start(tmp_path))
    assert out == ["[0, 1]", "0"]
    assert error.count("compiled kernels are not kept") == 1
    assert "others may write to" in error
    assert not (tmp_path / "boom").exists()


def test_what_old_versions_left_goes_but_the_latest_few(cache: Path) -> None:
    ours = kernel_folder(DIGEST).parent
    now = time.time()
    old = [ours / f"{number:024x}" for number in range(KEPT + 3)]
    for days, path in enumerate(old, 30):
        (path / "a").mkdir(parents=True)
        os.utime(path, (now, now - days * 86400))
    new = [ours / f"{number:024x}" for number in range(100, 102)]
    others = [ours / "not-a-digest", ours.parent / "else"]
    for path in (*new, *others):
        path.mkdir()
    os.utime(others[0], (0, 0))
    folder = kernel_folder(DIGEST)
    kept = {path.name for path in ours.iterdir()}
    assert kept == {path.name for path in (folder, *new, others[0], *old[: KEPT - 2])}
    assert others[1].exists()
