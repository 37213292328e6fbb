"""The wheel, as somebody gets it who has nothing of the project: other folder, empty environment, no checkout."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.places import ROOT, TESTS
from tests.support.small_report import SIZES

MOST_BYTES = 3_300_000
"""What a wheel may weigh; a recorded host is 0.15 MB of it."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
KINDS = ("restore", "setreg", "reglist", "nested", "protected")
"""Kinds of records that are replayed in seconds; tests/verification/test_replay.py replays all."""

MAIN_JOB = """
import pickle
from pathlib import Path

from fastsmc import trace
from fastsmc.facts.packaged import GUEST_BOOT_TRACE
from fastsmc.results.files import save
from fastsmc.scaling import run

save(run(trace(GUEST_BOOT_TRACE), sizes=pickle.loads(Path("sizes").read_bytes())), "short.json")
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist made of the checkout, and a wheel made of the sdist."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT], check=True, capture_output=True
    )
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in an environment of its own, which has what it depends on from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    # What fastsmc needs, one by one and never fastsmc itself: a .pth of the whole would bring the checkout.
    theirs = Path(sysconfig.get_path("purelib"))
    for path in theirs.iterdir():
        if "fastsmc" not in path.name and path.suffix != ".pth" and path.name not in ("__pycache__", "pip"):
            (Path(site) / path.name).symlink_to(path)
    wheel = next(built.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True, capture_output=True)
    return folder


def run(folder: Path, *command: str | Path, code: int = 0) -> str:
    """What a command prints, in a folder that has nothing of the project, by the installed entry point."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "XDG_", "VIRTUAL_ENV"))}
    environment = keep | {"PATH": f"{folder / 'env' / 'bin'}:/usr/bin:/bin", "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.soak("sdist and wheel built; the wheel's own copy runs where nothing else of the project is")
def test_the_wheel_brings_what_its_commands_need(built: Path) -> None:
    wheel = next(built.glob("*.whl"))
    assert wheel.name == f"fastsmc-{PROJECT['version']}-py3-none-any.whl"
    assert wheel.stat().st_size < MOST_BYTES
    names = set(zipfile.ZipFile(wheel).namelist())
    recordings = TESTS / "recordings"
    theirs = {str(path.relative_to(recordings)) for path in recordings.rglob("*") if path.suffix in (".xz", ".json")}
    assert {f"fastsmc/data/recordings/{name}" for name in theirs} <= names
    package = [path for path in (ROOT / "fastsmc").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {str(path.relative_to(ROOT)) for path in package} - names == set()
    assert "fastsmc/py.typed" in names
    assert [name for name in names if not name.startswith(("fastsmc/", "fastsmc-"))] == []
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        there = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"README.md", "LICENSE", "CITATION.cff", "Makefile", "pyproject.toml", "tests/conftest.py"} <= there


@pytest.mark.soak("sdist and wheel built; the wheel's own copy runs where nothing else of the project is")
def test_the_installed_package_does_its_main_jobs(installed: Path) -> None:
    where = run(installed, "python", "-c", "import fastsmc; print(fastsmc.__file__)")
    assert Path(where.strip()).is_relative_to(installed / "env")
    assert run(installed, "fastsmc", "--version") == f"fastsmc {PROJECT['version']}\n"
    assert "PTP" in run(installed, "fastsmc", "explain", "0x86000001")
    assert "15 samples in samples" in run(installed, "fastsmc", "samples", "samples")
    run(installed, "fastsmc", "simulate", "samples/trng_to_vmm.toml", "--json")
    assert "91 calls" in run(installed, "fastsmc", "services", "samples/boot.ftrace.txt", "--release", "6.12")
    told = json.loads(run(installed, "fastsmc", "verify", "--json", *(f"--kind={kind}" for kind in KINDS)))
    assert told["records"] == told["match"] > 10_000
    assert len({one["host"] for one in told["kinds"]}) == len(list(TESTS.glob("recordings/linux-*")))


@pytest.mark.soak("sdist and wheel built; the wheel's own copy runs where nothing else of the project is")
def test_the_main_job_writes_its_page(installed: Path) -> None:
    """A short one: `fastsmc report` takes a minute on a quiet machine, most of it to time dispatch."""
    (installed / "sizes").write_bytes(pickle.dumps(SIZES))
    (installed / "job.py").write_text(MAIN_JOB)
    run(installed, "python", "job.py")
    run(installed, "fastsmc", "report", "--data", "short.json", "--out", "report")
    page = (installed / "report" / "index.html").read_text("utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert len(page) > 100_000
