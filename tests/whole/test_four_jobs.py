"""Four strangers, each with a job: answered by at most two commands, or by ten lines of Python.

docs/how-to has a page for each, whose commands these are.
"""

from __future__ import annotations

import contextlib
import io
import shlex
from pathlib import Path

import pytest

import fastsmc as smc
from tests.support.command import fastsmc
from tests.support.pages import blocks, commands
from tests.support.places import ROOT

JOBS = {
    # Two registers more, QEMU at 512 vCPUs: what do they add, and will a VM of that kernel still go to 6.1?
    "maintainer": (
        "fastsmc migrate add-registers 2 --release 7.3 --vcpus 512",
        ["16,384 bytes more at 512 vCPUs", "4,096 more ioctls", "0.832 to 4.11 ms"],
        "fastsmc migrate check 7.3+2fw 6.1",
        ["7.3+2fw to 6.1 fails", "25 registers", "0x6030000000160004 to 0x6030000000160005", "remedy"],
    ),
    # This VM's state: which registers with which values, and why does it not restore on 6.6?
    "vmm-developer": (
        "fastsmc migrate inspect vm6.18.bin.xz --registers",
        ["331 registers", "PSCI_VERSION", "0x10003", "ID_AA64PFR0_EL1"],
        "fastsmc migrate check vm6.18.bin.xz 6.6",
        ["to 6.6 fails", "PSCI version unknown: 1.3 there", "-cpu host,kvm-psci-version=1.1"],
    ),
    # A fleet: in which order, which VMs block it, and how many vCPUs move within 300 ms?
    "planner": (
        "fastsmc plan upgrade --hosts hosts.csv --vms vms.csv --to 6.18",
        ["2 hosts reach 6.18 in 2 waves", "none must stop"],
        "fastsmc plan largest-shape --registers 7.3 --line-rate 25G --downtime-ms 300",
        ["394 vCPUs", "191 with all figures high", "weakest figure: ns of one ioctl"],
    ),
    # A boot's trace: the least bitmaps and filter, and what would one of mine deny?
    "kernel-developer": (
        "fastsmc services boot.ftrace.txt --release 6.12",
        ["VENDOR_HYP_BMAP 0x3", "DENY 14 ranges", "checked: 91 calls dispatched"],
        "fastsmc services boot.ftrace.txt --release 6.12 --bitmap STD_BMAP=0 --deny PTP",
        ["57 of 91 calls get another verdict", "VENDOR_HYP_PTP, 41 calls: HANDLED -> DENIED"],
    ),
}


@pytest.mark.parametrize("job", JOBS)
def test_two_commands_answer_it(job: str, tmp_path: Path) -> None:
    first, says, second, says_then = JOBS[job]
    smc.samples(tmp_path)
    for command, expected in ((first, says), (second, says_then)):
        done = fastsmc(*shlex.split(command)[1:], cwd=tmp_path)
        assert done.returncode in (0, 4), done.stderr
        told = " ".join(done.stdout.split())
        assert [text for text in expected if text not in told] == [], command


@pytest.mark.parametrize("job", JOBS)
def test_its_page_has_these_commands_and_ten_lines_of_python(
    job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list(blocks(ROOT / "docs" / "how-to" / f"{job}.md"))
    there = {one.text.partition("   #")[0] for block in found if block.language == "console" for one in commands(block)}
    assert {JOBS[job][0], JOBS[job][2]} <= there
    script = next(block for block in found if block.language == "python")
    assert len([line for line in script.lines if line.strip()]) <= 10
    smc.samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile("\n".join(script.lines), job, "exec"), {})
    assert out.getvalue().strip()
