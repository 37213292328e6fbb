"""Debian's packages for arm64, fetched and unpacked below a folder.

apt fetches them, with package lists, a cache and a status of its own, so nobody needs to be root and nothing of this
machine changes. Mirrors are those that apt already knows here. apt checks every signature and every digest.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.hosts_packages import SUITES, HostsError, Kernel, kernels

KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")
FRESH_S = 12 * 3600
"""How old package lists may be before they are fetched again, in seconds."""
UNREACHED = 3
"""After so many suites of which no list could be fetched, and none with one, the mirror is taken to be out of reach."""
_ORIGIN = re.compile(r"(bullseye|bookworm|trixie|forky|sid|(old)*stable|testing|unstable)(-\w+)*")

Say = Callable[[str], None]


def run(what: str, *command: str | Path, seconds: float, cwd: Path | None = None) -> str:
    """What a program prints; it is ended when its time is over.

    Raises:
        HostsError: it is not there, is out of time, or failed; its own first error is in the sentence.
    """
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds
        )
    except FileNotFoundError:
        msg = f"there is no {command[0]} on this machine, by which Debian's packages are fetched and unpacked"
        raise HostsError(msg) from None
    except subprocess.TimeoutExpired:
        msg = f"{what} took longer than {seconds:.0f} s"
        raise HostsError(msg) from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        errors = [line for line in said if line.startswith(("E:", "Err:"))] or said or ["it did not say why"]
        msg = f"{what} failed with exit code {done.returncode}: {errors[0].removeprefix('E: ')[:300]}"
        raise HostsError(msg)
    return done.stdout.decode("utf-8", "replace")


class Archive:
    """Debian's archive as apt reaches it from here, with everything that is fetched below one folder.

    Args:
        folder: made where it is missing; what was fetched stays there for the next time.
        mirror: the address of a mirror of Debian; None takes those that apt knows on this machine.
        say: told what is being fetched.
    """

    def __init__(self, folder: Path, mirror: str | None = None, say: Say = lambda _: None) -> None:
        self.folder, self.say = folder, say
        self.apt = folder / "apt"
        self._mirrors: tuple[str, str | None] | None = (mirror, None) if mirror else None
        self.lacking: dict[str, str] = {}
        """Suites whose lists could not be fetched, and why."""

    def kernels(self, *, refresh: bool = False) -> list[Kernel]:
        """The kernels of all suites, by lists that are not older than half a day.

        Raises:
            HostsError: not one list can be had.
        """
        self.lacking = {}
        found: list[Kernel] = []
        n_fetched = 0
        for suite in SUITES:
            kept = self.folder / "kernels" / f"{suite}.txt"
            is_old = refresh or not kept.is_file() or time.time() - kept.stat().st_mtime > FRESH_S
            if is_old and not n_fetched and len(self.lacking) >= UNREACHED:
                self.lacking[suite] = "not asked for, as the mirror had answered for none"
            elif is_old:
                self._update(suite, kept)
                n_fetched += suite not in self.lacking
            if kept.is_file():
                found += kernels(kept.read_text("utf-8"), suite)
        if not found:
            first = next(iter(self.lacking.values()), "they name none")
            msg = f"no list of Debian's kernels could be fetched: {first}"
            raise HostsError(msg)
        return found

    def fetch(self, names: Sequence[str], suite: str, into: Path, *, seconds: float = 900) -> None:
        """Fetches packages of one suite and unpacks them into a folder, which is there only when it is whole.

        Args:
            names: packages, each a name or name=version.

        Raises:
            HostsError: a package cannot be fetched or unpacked.
        """
        if into.is_dir():
            return
        archives = self.apt / "archives"
        if not (self.folder / "kernels" / f"{suite}.txt").is_file():
            self._update(suite, self.folder / "kernels" / f"{suite}.txt")
        part = into.with_name(f"{into.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name in names:
            self.say(f"fetching {name.partition('=')[0]} of {suite}")
            own = archives / re.sub(r"[^\w.+~-]", "_", name)
            own.mkdir(parents=True, exist_ok=True)
            if not list(own.glob("*.deb")):
                self._apt(suite, "download", name, seconds=seconds, cwd=own)
            for package in own.glob("*.deb"):
                run(f"dpkg-deb of {package.name}", "dpkg-deb", "-x", package, part, seconds=300)
        part.rename(into)

    def image(self, kernel: Kernel) -> Path:
        """The kernel's image, fetched where it is not here yet.

        Raises:
            HostsError: it cannot be fetched, or the package has no image.
        """
        folder = self.folder / "unpacked" / f"{kernel.package}_{kernel.version}"
        self.fetch([f"{kernel.package}={kernel.version}", *kernel.binaries], kernel.suite, folder)
        images = sorted({*folder.glob("boot/vmlinuz-*"), *folder.glob("usr/lib/modules/*/vmlinuz")})
        if not images:
            msg = f"{kernel.package} has no image: neither boot/vmlinuz-* nor usr/lib/modules/*/vmlinuz"
            raise HostsError(msg)
        return images[0]

    def _update(self, suite: str, kept: Path) -> None:
        """Fetches one suite's list and keeps the paragraphs about kernels; why not is kept where it cannot be."""
        self.say(f"fetching the list of {suite}")
        try:
            self._apt(suite, "update", seconds=600)
            target = self._apt(suite, "indextargets", "Created-By: Packages", "--format", "$(FILENAME)", seconds=60)
            lists = [line for line in target.splitlines() if "arm64" in line]
            if not lists:
                msg = f"apt has no list of {suite} for arm64"
                raise HostsError(msg)
            text = run("apt-helper", "/usr/lib/apt/apt-helper", "cat-file", *lists, seconds=120)
        except HostsError as error:
            self.lacking[suite] = str(error)
            return
        paragraphs = [one for one in text.split("\n\n") if one.startswith("Package: linux-image-")]
        kept.parent.mkdir(parents=True, exist_ok=True)
        staged = kept.with_suffix(".part")
        staged.write_text("\n\n".join(paragraphs), "utf-8")
        staged.rename(kept)

    def _apt(self, suite: str, *command: str, seconds: float, cwd: Path | None = None) -> str:
        config = self._settings(suite)
        return run(
            f"apt-get {command[0]} of {suite}", "apt-get", "-q", "-c", config, *command, seconds=seconds, cwd=cwd
        )

    def _settings(self, suite: str) -> Path:
        """apt's settings for one suite, so that only its list is read."""
        keyring = next((one for one in KEYRINGS if Path(one).is_file()), None)
        if keyring is None:
            msg = f"{KEYRINGS[0]} is missing, which checks Debian's signatures: install debian-archive-keyring"
            raise HostsError(msg)
        if self._mirrors is None:
            self._mirrors = mirrors(known_targets())
        main, security = self._mirrors
        base = (security or re.sub(r"/debian/?$", "/debian-security", main)) if suite.endswith("-security") else main
        for made in ("lists/partial", "archives/partial"):
            (self.apt / made).mkdir(parents=True, exist_ok=True)
        (self.apt / "status").touch()  # as if nothing were installed
        source, config = self.apt / f"{suite}.list", self.apt / f"{suite}.conf"
        source.write_text(f"deb [arch=arm64 signed-by={keyring}] {base} {suite} main\n", "utf-8")
        config.write_text(_SETTINGS.format(apt=self.apt, source=source), "utf-8")
        return config


_SETTINGS = """\
Dir::State "{apt}";
Dir::State::Lists "{apt}/lists";
Dir::State::Status "{apt}/status";
Dir::Cache "{apt}";
Dir::Cache::Archives "{apt}/archives";
Dir::Etc::SourceList "{source}";
Dir::Etc::SourceParts "-";
APT::Architecture "arm64";
#clear APT::Architectures;
APT::Architectures {{ "arm64"; }};
APT::Get::List-Cleanup "false";
APT::Sandbox::User "";
#clear APT::Update;
#clear DPkg::Post-Invoke;
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
"""


def known_targets() -> str:
    """Which suites apt has on this machine and where from: a line "suite address" each."""
    return run(
        "apt-get indextargets", "apt-get", "indextargets", "Created-By: Packages", "--format", "$(RELEASE) $(REPO_URI)",
        seconds=60,
    )  # fmt: skip


def mirrors(targets: str) -> tuple[str, str | None]:
    """The mirrors of Debian and of its security updates (None: not known) among what apt knows.

    Raises:
        HostsError: this machine takes nothing from Debian, as an Ubuntu does.
    """
    pairs = [line.split(None, 1) for line in targets.splitlines() if line.strip()]
    ours = [(suite, uri) for suite, uri in pairs if _ORIGIN.fullmatch(suite) and "debian" in uri]
    main = next((uri for suite, uri in ours if not suite.endswith("-security")), None)
    if main is None:
        msg = "apt on this machine knows no mirror of Debian: name one, as in --mirror http://MIRROR/debian"
        raise HostsError(msg)
    return main, next((uri for suite, uri in ours if suite.endswith("-security")), None)
