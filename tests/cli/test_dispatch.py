"""`fastsmc dispatch`: what it prints, and its exit codes."""

from __future__ import annotations

import json

import pytest

import fastsmc as smc
from fastsmc.facts.packaged import GUEST_BOOT_TRACE
from tests.support.command import fastsmc


def test_a_mix_of_names_and_a_bitmap() -> None:
    done = fastsmc("dispatch", "TRNG_RND64=3", "PTP", "--release", "6.12", "--bitmap", "STD_BMAP=0")
    found = smc.dispatch(["TRNG_RND64=3", "PTP"], release="6.12", bitmaps={"STD_BMAP": 0})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == found.answer
    assert "STD_BMAP bit 0 (TRNG_V1_0) is" in done.stdout


def test_a_trace_is_the_mix() -> None:
    done = fastsmc("dispatch", "--trace", GUEST_BOOT_TRACE, "--deny", "PTP", "--json")
    told = json.loads(done.stdout)
    assert told == smc.dispatch(trace=GUEST_BOOT_TRACE, deny=["PTP"]).as_dict()
    assert {row["verdict"] for row in told["rows"] if row["function"] == "VENDOR_HYP_PTP"} == {"DENIED"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("PTP", "--fail-if", "refused > 5%"), 0, ""),
        (("PTP", "--deny", "PTP", "--fail-if", "refused > 5%"), 4, "refused_percent is 100"),
        (("PTP", "--deny", "PTP", "--fail-if", "denied_functions > 0"), 4, "denied_functions is 1"),
        ((), 2, "give CALLs"),
        (("PTP", "--bitmap", "STD_BMAP"), 2, "give a register and a number"),
        (("PTP", "--bitmap", "STD=1"), 2, "STD"),
        (("PTP", "--deny", "0x80000000"), 3, "EEXIST"),
        (("PTP", "--release", "6.99"), 2, "6.99"),
        (("PTP", "--features", "el2"), 0, ""),
        (("PTP", "--features", "el2+el1_32bit"), 2, "KVM gives EL2 to AArch64 vCPUs only"),
    ],
)
def test_exit_codes(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = fastsmc("dispatch", *arguments)
    assert done.returncode == code
    assert said in done.stderr
