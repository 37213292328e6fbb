"""Installs an arm64 Python, the wheels that tests need and QEMU's user-mode emulator below .venv/arm64.

Debian's packages are taken from the sources that apt knows on this machine, by a configuration of its own, and unpacked
into a folder: nothing of the system is changed, and nobody needs to be root. Wheels come from where pip takes others.
"""

from __future__ import annotations

import compileall
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEBIAN = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
"""What Python and the wheels need of Debian for arm64; apt adds what these depend on."""
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
"""How the emulator is called, in one release of Debian or another; only one that is static runs from a folder."""
WHEELS = ("numpy", "numba", "typer", "rich", "pytest", "hypothesis", "zstandard", "simpy")
"""What the tests import, by the bounds that pyproject.toml has."""
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
CPU = "neoverse-n1"
"""What is emulated unless another is asked for: a CPU that is sold. QEMU's `max` has more instructions than any machine
has, so it would not notice one too many; and it is 1.2x slower."""
_UNUSED = re.compile(r"/tests?/|/pygments/")
"""What is not compiled to byte code beforehand, as the tests import nothing of it."""


class NotHereError(Exception):
    """Why the emulated arm64 cannot be installed on this machine, as one sentence."""


def is_installed(folder: Path) -> bool:
    """Whether all that is wanted now has been installed there."""
    stamp = folder / ".installed"
    return stamp.is_file() and stamp.read_text("utf-8") == _wanted()


def _wanted() -> str:
    return json.dumps({"debian": DEBIAN, "wheels": requirements()})


def install(folder: Path) -> None:
    """Installs into a folder, in place of what is there.

    Raises:
        NotHereError: something cannot be had on this machine.
    """
    (folder / ".installed").unlink(missing_ok=True)
    for made in ("debian", "site", "apt"):
        shutil.rmtree(folder / made, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    _unpack_debian(folder)
    _install_wheels(folder)
    _write_python(folder)
    shutil.rmtree(folder / "apt")
    (folder / ".installed").write_text(_wanted(), "utf-8")


def require_possible() -> None:
    """Says no before anything is fetched.

    Raises:
        NotHereError: another kind of system, or a tool is missing.
    """
    if sys.platform != "linux":
        msg = f"QEMU emulates one Linux program on another, and this is {sys.platform}"
        raise NotHereError(msg)
    if platform.machine() in ("aarch64", "arm64"):
        msg = "this machine is arm64 itself: `make test` is what runs here"
        raise NotHereError(msg)
    for tool in ("apt-get", "dpkg", "dpkg-deb", "tar"):
        if shutil.which(tool) is None:
            msg = f"there is no {tool}, by which Debian's packages for arm64 are fetched and unpacked"
            raise NotHereError(msg)


def requirements() -> list[str]:
    """The wheels with their bounds.

    >>> requirements()[0].startswith("numpy>=")
    True
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    by_name = {re.split(r"[^\w-]", one, maxsplit=1)[0]: one for one in listed}
    return [by_name[name] for name in WHEELS]


def python_of(folder: Path) -> Path:
    """The wrapper that runs the arm64 Python under emulation; it is what that Python calls sys.executable."""
    return folder / "bin" / "python"


def _run(what: str, *command: str | Path, env: dict[str, str] | None = None, seconds: float = 300) -> str:
    try:
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        msg = f"{what} took longer than {seconds:.0f} s"
        raise NotHereError(msg) from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith(("E:", "ERROR"))] or said or ["nothing was said"]
        msg = f"{what} failed with exit code {done.returncode}: {errors[0][:300]}"
        raise NotHereError(msg)
    return done.stdout


def _unpack_debian(folder: Path) -> None:
    """Debian's packages for arm64 into `debian`, the emulator beside it."""
    apt, debian = folder / "apt", folder / "debian"
    for made in (apt / "lists" / "partial", apt / "archives" / "partial", debian):
        made.mkdir(parents=True)
    (apt / "status").touch()  # as if nothing were installed, so that apt names all there is to fetch
    own = _run("dpkg --print-architecture", "dpkg", "--print-architecture").strip()
    config = apt / "apt.conf"
    config.write_text(
        f'Dir::State "{apt}";\nDir::State::Lists "{apt}/lists";\nDir::State::Status "{apt}/status";\n'
        f'Dir::Cache "{apt}";\nDir::Cache::Archives "{apt}/archives";\n'
        f'APT::Architecture "arm64";\nAPT::Architectures {{ "arm64"; "{own}"; }};\n'
        'APT::Install-Recommends "false";\nAPT::Sandbox::User "";\nAcquire::Languages "none";\n',
        "utf-8",
    )
    env = {**os.environ, "APT_CONFIG": str(config), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    _run("apt-get update", "apt-get", "-q", "update", env=env)
    wanted = (*DEBIAN, f"qemu-user-static:{own}")
    _run("apt-get", "apt-get", "-q", "-y", "--download-only", "install", *wanted, env=env)
    packages = sorted((apt / "archives").glob("*.deb"))
    for package in packages:
        if not package.name.startswith("qemu-"):
            _run("dpkg-deb", "dpkg-deb", "-x", package, debian)
    _take_emulator([package for package in packages if package.name.startswith("qemu-")], folder / "qemu-aarch64")


def _take_emulator(packages: list[Path], target: Path) -> None:
    """Unpacks the one program of 380 MB."""
    for package in packages:
        for name in EMULATORS:
            # tar ends at the first that it finds, before dpkg-deb is done; what counts is that the program runs.
            with (
                target.open("wb") as file,
                subprocess.Popen(
                    ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                ) as unpacked,
            ):
                command = ["tar", "-x", "-O", "--occurrence=1", f"./usr/bin/{name}"]
                subprocess.run(command, stdin=unpacked.stdout, stdout=file, stderr=subprocess.DEVNULL, check=False)
            if target.stat().st_size:
                target.chmod(0o755)
                _run("qemu-aarch64 --version", target, "--version")
                return
    msg = (
        f"none of {', '.join(EMULATORS)} is in {', '.join(package.name for package in packages) or 'what apt fetched'}"
    )
    raise NotHereError(msg)


def _install_wheels(folder: Path) -> None:
    """Wheels for the Python that Debian has, into `site`, with the byte code of what is imported."""
    found = sorted((folder / "debian" / "usr" / "bin").glob("python3.[0-9]*"))
    if not found:
        msg = "apt fetched no Python 3 for arm64"
        raise NotHereError(msg)
    version = found[0].name.removeprefix("python")
    if tuple(map(int, version.split("."))) < (3, 11):
        msg = f"this Debian's Python for arm64 is {version}, and fastsmc needs 3.11 or newer"
        raise NotHereError(msg)
    options = [f"--platform={one}" for one in PLATFORMS]
    options += ["--implementation=cp", f"--python-version={version}", "--only-binary=:all:", "--no-compile"]
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input", "install")
    _run("pip", *pip, *options, "--target", folder / "site", *requirements(), seconds=600)
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":  # the same byte code, made faster here
        compileall.compile_dir(folder / "site", quiet=2, rx=_UNUSED, workers=2)


def _write_python(folder: Path) -> None:
    """A wrapper that stands where Python looks for itself, so that programs which tests start are emulated too."""
    (binary,) = (folder / "debian" / "usr" / "bin").glob("python3.[0-9]*")
    wrapper = python_of(folder)
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(
        "#!/bin/sh\n"
        f"PYTHONHOME='{folder}/debian/usr' PYTHONPATH=\"${{PYTHONPATH:+$PYTHONPATH:}}{folder}/site\" \\\n"
        f"exec '{folder}/qemu-aarch64' -cpu \"${{FASTSMC_ARM64_CPU:-{CPU}}}\" -L '{folder}/debian' -0 \"$0\" "
        f"'{binary}' \"$@\"\n",
        "utf-8",
    )
    wrapper.chmod(0o755)
