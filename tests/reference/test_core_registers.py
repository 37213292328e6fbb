"""Core registers that do not take any value: V0 to V31 of a vCPU with SVE, and the mode in PSTATE."""

from __future__ import annotations

from errno import EINVAL, ENOENT

import pytest

from fastsmc.facts.registers import PSTATE, core_register, sysreg
from fastsmc.facts.releases import Host, release
from fastsmc.facts.vcpu import feature_bits
from fastsmc.reference.core_registers import is_vector, pstate_mode
from fastsmc.reference.restore import RegisterDump, predict
from fastsmc.reference.state import OK

PFR0 = sysreg(3, 0, 0, 4, 0)
V0, V31, FPSR = 0x6040_0000_0010_0054, 0x6040_0000_0010_00D0, 0x6020_0000_0010_00D4


def test_which_registers_are_vectors() -> None:
    assert [is_vector(reg) for reg in (V0, V31, FPSR, V0 + 1, V31 + 4, core_register(256))] == [
        True,
        True,
        *[False] * 4,
    ]


def test_a_vcpu_with_sve_refuses_v_registers_and_one_without_lacks_z_registers() -> None:
    """guest.c, core_reg_size_from_offset; cloud-hypervisor issue 8057."""
    host, z0 = Host.of("6.12"), 0x6080_0000_0015_0000
    with_sve = RegisterDump("psci02+sve", {z0: 0, PSTATE: 0x3C5})
    without = RegisterDump("psci02", {V0: 0, FPSR: 0, PSTATE: 0x3C5})
    assert [p.errno for p in predict(without, host, with_sve)] == [EINVAL, None, OK]  # FPSR: the list is not whole
    assert [p.errno for p in predict(with_sve, host, without)] == [ENOENT, OK]
    assert predict(RegisterDump("psci02", {V0: 1}), host, without)[0].errno == OK


@pytest.mark.parametrize(
    ("name", "features", "mode", "errno"),
    [
        ("5.10", "psci02", 0x0, OK),  # EL0t: the guest was in user space
        ("6.12", "psci02", 0x4, OK),  # EL1t
        ("6.12", "psci02", 0x9, EINVAL),  # EL2h
        ("6.18", "psci02+el2", 0x9, OK),
        ("6.12", "psci02", 0x10, OK),  # a 32-bit program
        ("6.12", "psci02", 0x13, EINVAL),  # SVC of AArch32
        ("6.12", "psci02+el1_32bit", 0x13, OK),
        ("6.12", "psci02+el1_32bit", 0x5, EINVAL),
        ("6.12", "psci02", 0xD, EINVAL),  # EL3h
        ("5.10.218", "psci02+el1_32bit", 0x1F, EINVAL),  # System mode: stable 5.10.219 and 6.1.94, by Debian's
        ("5.10.219", "psci02+el1_32bit", 0x1F, OK),  # changelogs; mainline 6.10, commit dfe6d190f38f
        ("6.1.93", "psci02+el1_32bit", 0x1F, EINVAL),
        ("6.6", "psci02+el1_32bit", 0x1F, None),
        ("6.12", "psci02+el1_32bit", 0x1F, OK),
    ],
)
def test_which_modes_a_vcpu_can_be_in(name: str, features: str, mode: int, errno: int | None) -> None:
    """guest.c, set_core_reg."""
    fresh = {PFR0: 0x1100_0000_1011_1112}
    assert pstate_mode(0x3C0 | mode, feature_bits(features), fresh, release(name))[0] == errno


def test_a_host_without_aarch32_refuses_a_32_bit_program() -> None:
    """guest.c, set_core_reg: kvm_supports_32bit_el0."""
    assert pstate_mode(0x10, 4, {PFR0: 0x1101_0110_2111_1111}, release("6.12"))[0] == EINVAL
    assert pstate_mode(0x10, 4, {}, release("6.12"))[0] is None
