"""What Firecracker, Cloud Hypervisor and crosvm say of a failed restore, and what stands around pasted text."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from fastsmc.errors import RegisterFileError
from fastsmc.facts.registers import sysreg
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.naming import NamedRegisters
from fastsmc.migrate.read.result import Format
from tests.support.read_samples import reg_list

TCR2 = sysreg(3, 0, 2, 0, 3)


def read(text: str | bytes) -> Any:
    return inspect(io.BytesIO(text.encode() if isinstance(text, str) else text))


def refuse(text: str, match: str) -> None:
    with pytest.raises(RegisterFileError, match=match):
        read(text)


_FAULT = "Load snapshot error: Failed to restore microVM state: Failed to restore the state of the vcpu: "


@pytest.mark.parametrize(
    ("line", "reg", "given"),
    [  # Firecracker 1.13 and 1.4; crosvm
        (
            "Failed to set register 0x6030000000140000 to value 0x0000000000010003: Invalid argument (os error 22)",
            *(0x6030000000140000, 0x10003),
        ),
        (f"Failed to set register {0x603000000013C103}: No such file or directory (os error 2)", TCR2, None),
        ("Failed to restore system register TCR2_EL1", TCR2, None),
    ],
)
def test_a_vmms_word_about_a_refused_register_names_it(line: str, reg: int, given: int | None) -> None:
    for text in (f"starting\n{_FAULT}{line}\n", json.dumps({"fault_message": _FAULT + line})):
        found = read(text)
        assert isinstance(found, NamedRegisters)
        (one,) = found.registers
        assert (one.reg, one.given) == (reg, given)
        assert found.format is Format.VMM_LOG
        assert "no vCPU's list" in found.no_host


@pytest.mark.parametrize("vmm", ["firecracker", "firecracker:1.12", "firecracker:1.3", "cloud-hypervisor", "crosvm"])
@pytest.mark.parametrize(("source", "dest"), [("6.18+psci02", "6.12+psci02"), ("6.12+psci02", "6.1+psci02")])
def test_what_check_says_a_vmm_prints_is_read(vmm: str, source: str, dest: str) -> None:
    found = check(source, dest, vmm=vmm).forward
    told = read("\n".join(found.error))
    assert isinstance(told, NamedRegisters)
    named = [one.reg for one in told.registers]
    assert set(named) <= {fate.reg for fate in found.failing}
    assert named or "No register is named" in str(told)
    if vmm in ("firecracker", "firecracker:1.12"):
        assert named == [found.failing[0].reg]


def test_faults_that_name_no_register_are_told_as_such() -> None:
    refuse(json.dumps({"fault_message": "The requested operation is not supported"}), "whose fault names no register")


def test_what_stands_above_pasted_text_is_passed_over() -> None:
    plain = "\n".join(f"\t{reg:#x}," for reg in (0x6030000000100000, 0x6030000000140000))
    for heading in ("# ./get-reg-list --list", "root@host:~# ./get-reg-list --list", "$ cat list.txt"):
        assert len(read(f"{heading}\n{plain}\n").values_of()) == 2
        assert len(read(heading.encode() + b"\n" + reg_list()).values_of()) > 200
    line = " ID_PFR0_EL1:\t0000000010010131\n"
    for heading in ("/sys/kernel/debug/kvm/1234-11/idregs", "==> /sys/kernel/debug/kvm/1-4/idregs <=="):
        assert len(read(f"{heading}\n{line}").values_of()) == 1


def test_what_cannot_be_read_is_named() -> None:
    refuse(" PC=ffff800010bd9f0c X00=0000000000000000 X01=0000000000000001\nX02=00\n", "info registers: PC, SP and X0")
    refuse("PK\x03\x04\x14\0\0\0", "is a zip archive")
