#!/usr/bin/env python3
"""Records what the KVM of this arm64 host answers, in the format that fastsmc verifies.

This is the second half of the probe. It lies beside fastsmc_probe.py, whose option --record FOLDER loads
it. It needs nothing else, and no compiler: what guests run stands here in words, each with its meaning beside it.
"""

from __future__ import annotations

import array
import contextlib
import errno
import itertools
import json
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastsmc.probing.standalone import (
    API_VERSION,
    BITMAPS,
    CAP_EL1_32BIT,
    CAP_EL2,
    CAP_EL2_E2H0,
    CAP_SYSTEM_SUSPEND,
    CODE,
    CONDUITS,
    DEVICES,
    E2H0,
    EL1_32BIT,
    EL2,
    END,
    ENTRY_IN,
    ENTRY_OUT,
    EXCEPTION,
    EXIT,
    EXIT_DATA,
    EXIT_HYPERCALL,
    EXIT_MMIO,
    EXIT_SYSTEM_EVENT,
    FINALIZE_SVE,
    FIRMWARE,
    GUEST,
    HYPERCALL_RET,
    KVM_ARM_VCPU_FINALIZE,
    KVM_CREATE_DEVICE,
    KVM_CREATE_VCPU,
    KVM_CREATE_VM,
    KVM_ENABLE_CAP,
    KVM_GET_DEVICE_ATTR,
    KVM_GET_MP_STATE,
    KVM_GET_ONE_REG,
    KVM_GET_REG_LIST,
    KVM_HAS_DEVICE_ATTR,
    KVM_SET_DEVICE_ATTR,
    KVM_SET_MP_STATE,
    KVM_SET_ONE_REG,
    MMIO,
    N_CAPABILITY,
    PAUTH,
    PC,
    PMU,
    POWER_OFF,
    PSCI_0_2,
    PSTATE,
    PVTIME_CTRL,
    SCTLR_CACHED_32,
    SCTLR_EL1,
    SVE,
    TABLE,
    VBAR_EL1,
    VECTOR,
    VECTORS,
    VM_TYPE_PROTECTED,
    X0,
    Descriptor,
    Guest,
    ProbeError,
    Stop,
    System,
    _module,
    _refused,
    fresh_vm,
    inserted,
    mode_asked,
    mode_of,
    opened_kvm,
    words,
)

# -- records of what KVM does, in the format of the recordings -----------------------------------------------------

ONES, X19, X20 = (1 << 64) - 1, X0 + 2 * 19, X0 + 2 * 20
KEPT = (0xA5A50004, 0xA5A50005, 0xA5A50006, 0xA5A50007)
"""x4..x7 of a call."""
SILENT = (1, ONES, 0, 0, 0, *KEPT)
"""What the table has of a call without arguments that was refused and changed nothing."""
CODE_32 = """
e3590000 cmp r9, #0         0a000006 beq 36             e89800ff ldm r8, {r0-r7}
e1400070 hvc #0             e288c020 add r12, r8, #32   e88c00ff stm r12, {r0-r7}
e2888040 add r8, r8, #64    e2499001 sub r9, r9, #1     eafffff6 b 0
e58a9000 str r9, [r10]      eafffffd b 36
"""
"""The guest for AArch32: r8 is the entry of a call, 64 bytes, r9 how many are left, r10 the MMIO address."""
SMC_32 = "e1600070 smc #0"
ENTRY_32 = struct.Struct("<8I8I")
PAGES_32 = 0x4000
SECTIONS_32 = {MMIO >> 20: MMIO | 0xC16, **{(GUEST >> 20) + n: GUEST + (n << 20) | 0x11C0E for n in range(4)}}
"""Its page table, by number: 1 MiB of device memory that is not executed, 4 MiB of shared write-back memory."""
CACHED_32 = {0x603000000013E180: 0x55555555, 0x603000000013C102: 0, 0x603000000013C100: GUEST + PAGES_32 | 0x4A}
"""DACR (all domains checked), TTBCR (short descriptors), TTBR0 (walks shared and write-back), for the same reason."""
FAST, FAST64 = 0x84000000, 0xC4000000
"""PSCI's functions with arguments of 32 and of 64 bits."""
PSCI_01 = range(0x95C1BA5E, 0x95C1BA62)
"""CPU_SUSPEND, CPU_OFF, CPU_ON and MIGRATE of PSCI 0.1 by KVM's numbers (arch/arm64/include/uapi/asm/kvm.h)."""
DANGER = [base | n for n in (1, 2, 3, 8, 9, 0xC, 0xD, 0xE, 0x12, 0x15) for base in (FAST, FAST64)] + list(PSCI_01)
"""Functions that may stop a VM: each is called on a fresh one."""
QUERIES = (0x8400000A, 0x80000001, 0x84000051, 0xC5000020)
"""PSCI_FEATURES, ARCH_FEATURES, TRNG_FEATURES and PV_TIME_FEATURES, which are asked about functions."""


def _ids(text: str) -> list[int]:
    """Hex numbers; 84000050+4 is four of them."""
    pairs = (word.partition("+") for word in text.split())
    return [int(first, 16) + n for first, _, count in pairs for n in range(int(count or 1))]


STEMS = _ids("""80000000+3 80003fff 80008000 80007fff 8000ffff c0000000+3 c0003fff c0008000 c0007fff 84000000+23
    8400001f 84000020 84000050+4 c4000053 8400ff00+2 8400ff03 8000ff00+2 8000ff03 c5000020+2 85000020+2 8500ff01
    8500ff03 8500ff00 8600ff00+2 8600ff03 86000000+9 c6000000+9 8600003f+4 c600003f+4 c600ff01 95c1ba5e+4 82000000
    8200ff01 c2000000 83000000 8300ff01 c3000000 81000000 c1000000 87000000 b0000000 b000ff01 b1000000 b2000000
    b200ff01 bf000000 bf00ff01 84000060 84000063 84000080 8400009b c4000060 840000a0 c4000131 c4000130 c5000030
    c5000040 00000000 04000000 06000001 44000003 46000001 7fffffff ffffffff fffffffe 00000001""")
NEAR = [near & 0xFFFFFFFF for n in STEMS for near in (n ^ 0x40000000, n - 1, n + 1, n & 0x7FFFFFFF)]
KNOWN = list(dict.fromkeys(STEMS + NEAR))
"""Functions that are called and asked about: those of services, and their neighbours."""
NUMBERS = _ids("0+384 1ff 200 3ff 400 fff 1000 3ffe+3 7ffe+4 feff ff00+5 ff10 ffff 10000+2 20000 80000 800000 ff0000")
"""What is swept of every type, convention and owner."""
FEATURES = {
    **{"none": 0, "psci02": PSCI_0_2, "psci02+pmu": PSCI_0_2 | PMU, "psci02+sve": PSCI_0_2 | SVE},
    **{"psci02+pauth": PSCI_0_2 | PAUTH, "psci02+pmu+sve+pauth": PSCI_0_2 | PMU | SVE | PAUTH},
    **{"psci02+el1_32bit": PSCI_0_2 | EL1_32BIT, "psci02+el2": PSCI_0_2 | EL2},
    **{"pauth_address_only": PSCI_0_2 | 0x20, "power_off+psci02": PSCI_0_2 | POWER_OFF},
}
"""Feature sets whose registers are listed; the first N_RESTORED are written with another host's values."""
N_RESTORED = 6
VERSIONS = (2, 0x10000, 0x10001, 0x10002, 0x10003)
"""PSCI_VERSIONs of configurations."""
STOLEN_TIME = 0x40380000
"""Where a vCPU's stolen time is told in the guest's memory; 64 bytes further for the next vCPU."""
OVERLAPS = """84000000 10 1 84000010 10 2, 84000000 10 1 8400000f 1 2, 84000000 10 1 83fffff0 10 2,
    84000000 10 1 83fffff0 11 2, 84000000 10 1 84000004 2 1, 84000004 2 1 84000000 10 2, 84000004 2 0 84000000 10 2,
    84000004 2 0 84000004 2 0, 86000000 10000 2 8600ff01 1 0, 8600ff01 1 0 86000000 10000 2"""
"""Two inserts each: base, how many and action, in hex."""
PSCI_ALL, TRNG_ALL = ((FAST, 0x20), (FAST64, 0x20)), ((0x84000050, 4), (0xC4000053, 1))
ABOVE_ARCH = ((0x80010000, 0x3FFF0000), (0xC0010000, 0x3FFF0000), (0, 1 << 31))
FILTERS = {
    "deny_psci_range": [(*one, 1) for one in PSCI_ALL],
    "fwd_psci_range": [(*one, 2) for one in PSCI_ALL],
    "deny_trng": [(*one, 1) for one in TRNG_ALL],
    "deny_psci_version_only": [(FAST, 1, 1)],
    "fwd_vendor": [(0x86000000, 0x10000, 2), (0xC6000000, 0x10000, 2)],
    "fwd_vendor_bm_zero": [(0x86000000, 0x10000, 2)],
    "handle_vendor_bm_zero": [(0x86000000, 0x10000, 0)],
    "handle_trng_bm_zero": [(*one, 0) for one in TRNG_ALL],
    "fwd_unknown": [(0x82000000, 0x1000000, 2), (0x83000000, 0x1000000, 1), (0, 1 << 31, 2)],
    "deny_pvtime": [(0xC5000020, 2, 1)],
    "fwd_pvtime": [(0xC5000020, 2, 2)],
    "fwd_yielding_and_all_above_arch": [(*one, 2) for one in ABOVE_ARCH],
    "deny_all_but_arch": [(*one, 1) for one in ABOVE_ARCH],
    "fwd_psci01": [(PSCI_01[0], 4, 2), (FAST, 0x20, 2)],
    "handle_only": [(FAST, 0x10, 0)],
}
"""Filters under which calls are made."""
BASES = _ids("""84000000 84000050 c4000000 c4000053 c5000020 86000000 8600ff01 c6000000 c6000040 80000000 80008000
    8000ffff c0000000 c000ffff 82000000 0 40000000 ffffffff 95c1ba5e bf00ff00""")
"""Where random ranges of a filter begin."""


class Config(NamedTuple):
    """How a VM is set up: registers that are set, stolen time, suspend, inserts into the filter (see inserted)."""

    name: str
    features: int = PSCI_0_2
    sets: tuple[tuple[int, int], ...] = ()
    has_time: bool = False
    can_suspend: bool = False
    ranges: tuple[tuple[int, ...], ...] = ()


class Bitmap(NamedTuple):
    """A register of bitmaps: the bits that it takes, tried one at a time, and its value after reset."""

    reg: int
    bits: int
    default: int


class Calls:
    """Calls (x0, x1, x2, x3, number of the conduit), and the guest's table of them."""

    def __init__(self, calls: Iterable[tuple[int, ...]]) -> None:
        self.calls = list(calls)
        self.packed = b"".join([ENTRY_IN.pack(x0, x1, x2, x3, *KEPT, c) for x0, x1, x2, x3, c in self.calls])


def _head(name: str, call: tuple[int, ...]) -> str:
    """How the record of a call begins."""
    x0, x1, x2, x3, conduit = call
    return f'{{"cfg":"{name}","id":"{x0:#x}","c":"{CONDUITS[conduit]}","a":[{x1},{x2},{x3}]'


def _line(**fields: Any) -> str:
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _random(state: int, shift: int) -> Callable[[], int]:
    """Marsaglia's xorshift generator of 64 bits (13, 7, 17), of which 32 bits are given."""

    def give() -> int:
        nonlocal state
        state ^= state << 13 & ONES
        state ^= state >> 7
        state ^= state << 17 & ONES
        return state >> shift & 0xFFFFFFFF

    return give


def _known(conduits: Iterable[int]) -> list[tuple[int, ...]]:
    return [(one, 0, 0, 0, conduit) for one in KNOWN if one not in DANGER for conduit in conduits]


def _queries(conduit: int = 0, step: int = 1) -> list[tuple[int, ...]]:
    return [(query, one, 0, 0, conduit) for query in QUERIES for one in KNOWN[::step]]


def _special() -> Iterator[tuple[int, ...]]:
    """Arguments at the edges of each service's own, garbage in upper halves of x0 and x1, and all conduits."""
    for bits in (0, 1, 31, 32, 33, 64, 95, 96, 97, 128, 191, 192, 193, 256, 0x100000020, ONES):
        yield from ((0x84000053, bits, 0x1111, 0x2222, 0), (0xC4000053, bits, 0x1111, 0x2222, 0))
        yield (0xC4000053, bits, 0, 0, 1)
    for counter in (0, 1, 2, 3, 1 << 32, 1 << 32 | 1, ONES):
        yield from ((0x86000001, counter, 7, 9, 0), (0xC6000001, counter, 7, 9, 0))
    some = _ids("84000000 80000000+2 84000050 8600ff01 86000000 c5000020+2 c4000053 84000006 8400000a c6000040+2")
    for conduit in range(4):
        for one in some:
            for garbage in (0, 0x10000, 0x20000, 0x800000, 0xDEAD00000000):
                yield (one | garbage, 0x80000001, 0, 0, conduit)
            yield (one | 0xFFFFFFFF00000000, 0xFFFFFFFF80000001, 0, 0, conduit)
            yield (one, 0x180000001, 0xDEADBEEF, 0xCAFE, conduit)
    for query in QUERIES:
        for one in _ids("80000000 80008000 80007fff 80003fff c5000020+2 84000053 c4000053 84000052 c6000040"):
            yield from ((query, one | garbage, 0, 0, 0) for garbage in (1 << 32, 0xFFFFFFFF00000000, 0x10000))
            yield (query, one, 0, 0, 1)
    targets = (0, 1, 2, 0x100, 0x80000000, 0x80000001, 0xFF00000000, ONES)
    yield from ((base | 4, one, level, 0, 0) for one in targets for level in range(5) for base in (FAST, FAST64))
    yield from ((base | 3, 5 if one == 1 else one, GUEST, 0, 0) for one in targets for base in (FAST, FAST64))


def _random_calls() -> Iterator[tuple[int, ...]]:
    give = _random(0x123456789ABCDEF, 16)
    for number in range(4000):
        one = give()
        if number % 3:
            mask, owners = (0xFFFF, 8) if number % 3 == 1 else (0xFF, 64)
            one = one & mask | 1 << 31 | give() % owners << 24 | (give() & 1) << 30
        if one not in DANGER:
            yield (one, give(), give(), give(), give() & 1)


class Recorder:
    """What the sections have in common: whom they ask, and what its firmware registers are."""

    def __init__(self, kvm: Descriptor, others: Sequence[Path] = ()) -> None:
        self.kvm, self.others = kvm, others
        self.payloads: dict[str, bytes] = {}
        self.bitmaps: list[Bitmap] = []
        with Guest(kvm) as guest:
            if guest.init_errno:
                raise ProbeError(_refused("KVM_ARM_VCPU_INIT of a vCPU with PSCI 0.2", guest.init_errno))
            vcpu = guest.vcpus[0]
            self.has_filter = not guest.vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 0, 0)
            self.psci = vcpu.get(FIRMWARE)[1]
            for reg in range(BITMAPS, BITMAPS + 8):
                code, value = vcpu.get(reg)
                if not code:
                    bits = sum(1 << bit for bit in range(64) if not vcpu.set(reg, 1 << bit))
                    self.bitmaps.append(Bitmap(reg, bits, value))
        self.fuzz = Fuzz(self)

    def zero(self) -> tuple[tuple[int, int], ...]:
        """Sets of all bitmaps to 0."""
        return tuple((one.reg, 0) for one in self.bitmaps)

    def configs(self) -> list[Config]:
        """Every firmware register's values, by themselves and together; without bitmaps, those that need none."""
        all_bits = tuple((one.reg, one.bits) for one in self.bitmaps)
        bits = [
            (reg, bit, f"bm{reg - BITMAPS}_bit{bit}") for reg, has in all_bits for bit in range(64) if has >> bit & 1
        ]
        found = [Config("default"), Config("all_zero", sets=self.zero()), Config("all_supported", sets=all_bits)]
        for at, bit, name in bits:
            found.append(Config(f"only_{name}", sets=tuple((reg, (reg == at) << bit) for reg, _ in all_bits)))
        for at, bit, name in bits:
            less = tuple((reg, has & ~((reg == at) << bit)) for reg, has in all_bits)
            found.append(Config(f"allsup_minus_{name}", sets=less))
        found += [Config(f"default_but_bm{reg - BITMAPS}_zero", sets=((reg, 0),)) for reg, _ in all_bits]
        found += [Config(f"psci_{one:x}", sets=((FIRMWARE, one),)) for one in VERSIONS]
        found += [Config(f"psci_{one:x}_bm_zero", sets=((FIRMWARE, one), *self.zero())) for one in VERSIONS[:2]]
        found += [Config("psci01_feature_off", 0), Config("psci01_feature_off_bm_zero", 0, self.zero())]
        found += [Config("pvtime", has_time=True), Config("pvtime_bm1_zero", sets=((BITMAPS + 1, 0),), has_time=True)]
        found.append(Config("suspend_cap", can_suspend=True))
        for one in VERSIONS[:2]:
            found.append(Config(f"suspend_cap_psci_{one:x}", sets=((FIRMWARE, one),), can_suspend=True))
        for n, level in ((n, level) for n in (1, 2, 3) for level in range(3)):
            found.append(Config(f"workaround{n}_{level}", sets=((FIRMWARE + n, level),)))
        return [one for one in found if self.bitmaps or not re.search("zero|all_", one.name)]


def _low(vcpu: Descriptor, reg: int) -> tuple[int, int]:
    """KVM_GET_ONE_REG: errno and the first 64 bits of the value."""
    code, value = vcpu.get(reg)
    return code, value & ONES


def _hex(vcpu: Descriptor, reg: int) -> str:
    return f"{_low(vcpu, reg)[1]:#x}"


def _ran(guest: Guest, number: int = 0) -> int:
    """Runs a vCPU that makes no calls: 0 where it came to the end mark."""
    guest.start(0, number)
    stop = guest.run(3000, number)
    return 100 + stop.kind if stop.kind else 0


def _set_up(guest: Guest, config: Config) -> str:
    """Sets a VM up; gives its header."""
    if guest.init_errno:
        return _line(cfg=config.name, setup_error=guest.init_errno)
    told: dict[str, Any] = {"cfg": config.name, "features": f"{config.features:#x}", "nvcpu": len(guest.vcpus)}
    if config.can_suspend:
        capability = bytearray(struct.pack("=I100x", CAP_SYSTEM_SUSPEND))
        told["enable_system_suspend_errno"] = guest.vm.errno(KVM_ENABLE_CAP, capability)
    for number, vcpu in enumerate(guest.vcpus if config.has_time else []):
        where = array.array("Q", [STOLEN_TIME + 64 * number])
        told[f"pvtime_errno_v{number}"] = vcpu.attribute_errno(
            KVM_SET_DEVICE_ATTR, PVTIME_CTRL, 0, where.buffer_info()[0]
        )
    vcpu = guest.vcpus[0]
    told["sets"] = [{"reg": f"{reg:#x}", "val": f"{val:#x}", "errno": vcpu.set(reg, val)} for reg, val in config.sets]
    if config.ranges:
        told["filter"] = [
            {"base": f"{one[0]:#x}", "nr": one[1], "action": one[2], "errno": inserted(guest.vm, *one)}
            for one in config.ranges
        ]
    asked = ((reg, _low(vcpu, reg)) for n in range(8) for reg in (FIRMWARE + n, BITMAPS + n))
    told["fw"] = {f"{reg:#x}": f"{value:#x}" for reg, (code, value) in asked if not code}
    return _line(**told)


def _told_of(stop: Stop, run: Any) -> str:
    """The part of a record that says why a vCPU stopped."""
    if stop.kind == EXIT and stop.reason == EXIT_HYPERCALL:
        nr, one, two, three, ret, flags = struct.unpack_from("=4Q24x2Q", run, EXIT_DATA)
        return f',"exit":3,"hc_nr":"{nr:#x}","hc_flags":"{flags:#x}","hc_args":[{one},{two},{three}],"hc_ret":{ret}'
    if stop.kind == EXIT and stop.reason == EXIT_SYSTEM_EVENT:
        kind, n_data, data = struct.unpack_from("=IIQ", run, EXIT_DATA)
        return f',"exit":24,"sev_type":{kind},"sev_ndata":{n_data},"sev_data0":"{data:#x}"'
    exception, refused = f',"guest_exc_esr":"{stop.esr:#x}"', f',"run_errno":{stop.errno}'
    return ("", exception, f',"exit":{stop.reason}', refused, ',"blocked":true')[stop.kind]


def _made(guest: Guest, name: str, calls: Calls, *, is_sparse: bool = False) -> Iterator[str]:
    """Has vCPU 0 make the calls: records of those that left the guest, then of all that came back, then a summary.

    A sparse list leaves out what was refused and changed nothing.
    """
    vcpu, size = guest.vcpus[0], ENTRY_IN.size
    room = (len(guest.memory) - TABLE) // size - 1
    n_refused = n_other = 0
    for first in range(0, len(calls.calls), room):
        some = calls.calls[first : first + room]
        end = TABLE + len(some) * size
        guest.memory[TABLE:end] = calls.packed[first * size : first * size + end - TABLE]
        guest.start(len(some))
        stop = guest.run(20000)
        while stop.kind != END:
            place = (_low(vcpu, X19)[1] - GUEST - TABLE) // size
            where = f',"pc_off":{_low(vcpu, PC)[1] - GUEST},"x0_at_exit":"{_hex(vcpu, X0)}"'
            yield f"{_head(name, some[place])}{_told_of(stop, guest.runs[0])}{where}}}\n"
            if stop.kind == EXIT and stop.reason == EXIT_HYPERCALL:
                struct.pack_into("=Q", guest.runs[0], HYPERCALL_RET, 0x5151)
            elif stop.kind == EXCEPTION:
                guest.start(len(some) - place - 1)
                vcpu.set(X19, GUEST + TABLE + size * (place + 1))
                vcpu.set(PSTATE, 0x3C5)
            else:
                break
            stop = guest.run(20000)
        for number, entry in enumerate(ENTRY_OUT.iter_unpack(guest.memory[TABLE:end])):
            is_done, x0, x1, x2, x3 = entry[:5]
            n_refused += is_done and x0 == ONES
            n_other += is_done and x0 != ONES
            if is_done and not (is_sparse and entry == SILENT):
                changed = "" if entry[5:] == KEPT else ',"x4_7_changed":true'
                yield f'{_head(name, some[number])},"x":["{x0:#x}","{x1:#x}","{x2:#x}","{x3:#x}"]{changed}}}\n'
        if stop.kind != END:
            yield _line(cfg=name, aborted_at=first)
            break
    yield _line(cfg=name, summary=True, calls=len(calls.calls), not_supported=n_refused, other=n_other)


def _listed_calls(host: Recorder, configs: Iterable[Config], calls: Calls, *, is_sparse: bool = False) -> Iterator[str]:
    for config in configs:
        with Guest(host.kvm, config.features, 2) as guest:
            yield _set_up(guest, config)
            if not guest.init_errno:
                yield from _made(guest, config.name, calls, is_sparse=is_sparse)


def _named(host: Recorder, *names: str) -> list[Config]:
    return [one for one in host.configs() if one.name in names]


def _calls(host: Recorder) -> Iterator[str]:
    return _listed_calls(host, host.configs(), Calls([*_known((0, 1)), *_queries(), *_special()]))


def _random_list(host: Recorder) -> Iterator[str]:
    return _listed_calls(host, _named(host, "default", "all_zero", "all_supported"), Calls(_random_calls()))


def _sweep(host: Recorder) -> Iterator[str]:
    yield _line(
        note="sweep = fast{0,1} x smc64{0,1} x owner 0..63 x func {0..0x17f, list}; args 0; hvc0; "
        "only lines whose x0!=-1 or whose x1-x7 changed are listed"
    )
    functions = (kind << 30 | owner << 24 | number for kind in range(4) for owner in range(64) for number in NUMBERS)
    danger = set(DANGER)
    calls = Calls((one, 0, 0, 0, 0) for one in functions if one not in danger)
    configs = _named(host, "default", "all_zero", "all_supported", "psci_2")
    yield from _listed_calls(host, configs, calls, is_sparse=True)


def _dangers() -> list[tuple[int, ...]]:
    """Functions that may stop a VM, with arguments: four targets of CPU_ON and the like, nothing for most."""
    found: list[tuple[int, ...]] = []
    for one in DANGER:
        number = 3 if one == PSCI_01[2] else -1 if one in PSCI_01 else one & 0xFF
        some = {
            **{3: [(at, GUEST, 0x77) for at in (1, 0, 1, 7)], 0xE: [(GUEST, 0x33, 0)]},
            **{0x12: [(at, 0x55, 0) for at in (0, 1, 1 << 31, 1 << 31 | 1)], 0x15: [(at, 0, 0) for at in range(4)]},
        }
        found += [(one, *arguments) for arguments in some.get(number, [(0, 0, 0)])]
    return found


def _danger(host: Recorder) -> Iterator[str]:
    """One call on a fresh VM; the second CPU_ON of vCPU 1 is made twice, and its state asked about."""
    for config in host.configs():
        seen: list[tuple[int, ...]] = []
        for call in _dangers() if re.match("default$|all_zero|psci|suspend_cap", config.name) else []:
            is_twice = call in seen and call[0] not in PSCI_01
            seen.append(call)
            for milliseconds in (250, 1000, 4000):
                with Guest(host.kvm, config.features, 2) as guest:
                    _set_up(guest, config)
                    told = _endangered(guest, config.name, call, is_twice=is_twice, milliseconds=milliseconds)
                if not guest.is_busy:
                    break
            yield told


def _endangered(guest: Guest, name: str, call: tuple[int, ...], *, is_twice: bool, milliseconds: int) -> str:
    """The record of a call that may stop its VM."""
    calls = [call, call, (FAST64 | 4, 1, 0, 0)] if is_twice else [call]
    end = TABLE + ENTRY_IN.size * len(calls)
    guest.memory[TABLE:end] = b"".join(ENTRY_IN.pack(*one, 0, 0, 0, 0, 0) for one in calls)
    guest.start(len(calls))
    # The end mark's store is left pending, as in the first recordings, so PC stays there.
    stop = guest.run(milliseconds, completes=False, patience=0)
    (is_done, x0, *_), *more = ENTRY_OUT.iter_unpack(guest.memory[TABLE:end])
    states = [bytearray(4), bytearray(4)]
    for number, state in enumerate(states):
        guest.vcpus[number].errno(KVM_GET_MP_STATE, state)
    told = _hex(guest.vcpus[0], X0) if stop.kind else f"{x0:#x}"
    return (
        f'{{"cfg":"{name}","id":"{call[0]:#x}","a":[{call[1]},{call[2]},{call[3]}],"kind":{stop.kind}'
        f'{_told_of(stop, guest.runs[0])},"completed":{is_done},"x0":"{told}"'
        f',"pc_off":{guest.vcpus[0].get(PC)[1] - GUEST},"mp":[{states[0][0]},{states[1][0]}]'
        + (f',"second_x0":"{more[0][1]:#x}","affinity_info":"{more[1][1]:#x}"' if is_twice else "")
        + "}\n"
    )


def _setreg(host: Recorder) -> Iterator[str]:
    bitmaps = host.bitmaps
    supported, defaults = ([f"{one[at]:#x}" for one in bitmaps] for at in (1, 2))
    yield _line(t="discover", nbm=len(bitmaps), supported=supported, defaults=defaults, psci_default=f"{host.psci:#x}")
    with Guest(host.kvm) as guest:
        vcpu = guest.vcpus[0]
        for reg in (first + index for first in (FIRMWARE, BITMAPS) for index in (*range(8), 0xFF, 0xFFFF)):
            code, value = _low(vcpu, reg)
            told = {"set_same_errno": vcpu.set(reg, value), "set0_errno": vcpu.set(reg, 0)}
            for power in (2, 4, 0):  # the size of a register is a power of two, in bits 52 to 55 of its id
                other, n_bit = reg & ~(0xF << 52) | power << 52, 8 << power
                told[f"get{n_bit}_errno"] = vcpu.get(other)[0]
                told[f"set{n_bit}_errno"] = vcpu.set(other, value)
            yield _line(t="index", reg=f"{reg:#x}", get_errno=code, val=f"{value:#x}", **told)
        bad = bytearray(struct.pack("=QQ", BITMAPS, 8))  # no address of this process
        codes = [vcpu.errno(request, bad) for request in (KVM_SET_ONE_REG, KVM_GET_ONE_REG)]
        yield _line(t="badptr", set_errno=codes[0], get_errno=codes[1])
        others = {"get_0015": 0x6030000000150000, "get_0017": 0x6030000000170000}
        others.update(get_arm32arch=0x4030000000160000, get_reserved_bits=0x6030001000160000)
        yield _line(t="otherclass", **{name: vcpu.get(reg)[0] for name, reg in others.items()})
    with fresh_vm(host.kvm) as vm, vm.new("KVM_CREATE_VCPU", KVM_CREATE_VCPU) as vcpu:
        yield _line(t="uninit_vcpu", get_errno=vcpu.get(BITMAPS)[0], set_errno=vcpu.set(BITMAPS, 1))
    for part in (_bitmaps_before, _bitmaps_after, _bitmaps_around, _versions, _workarounds):
        yield from part(host)


def _bitmaps_before(host: Recorder) -> Iterator[str]:
    """Writes before any run, read back through both vCPUs."""
    for reg, bits, default in host.bitmaps:
        some = (bits, ONES, default, bits | (bits << 1 & ONES) | 1, bits | 1 << 63, 0xFFFFFFFF, 0xFFFFFFFF00000000)
        with Guest(host.kvm, n_vcpu=2) as guest:
            for value in (0, *(1 << bit for bit in range(64)), *some):
                guest.vcpus[0].set(reg, default)
                code = guest.vcpus[0].set(reg, value)
                back = [_hex(vcpu, reg) for vcpu in guest.vcpus]
                yield _line(t="pre", reg=f"{reg:#x}", val=f"{value:#x}", errno=code, rb_v0=back[0], rb_v1=back[1])


def _bitmaps_after(host: Recorder) -> Iterator[str]:
    """Writes through both vCPUs after one of them ran."""
    cases = [(one, first, runner) for one in host.bitmaps for first in (one[2], 0, one[1]) for runner in range(2)]
    for (reg, bits, default), first, runner in cases:
        with Guest(host.kvm, n_vcpu=2) as guest:
            code = guest.vcpus[0].set(reg, first)
            if runner:
                guest.vcpus[1].errno(KVM_SET_MP_STATE, bytearray(4))  # KVM_MP_STATE_RUNNABLE
            head = {"t": "post", "reg": f"{reg:#x}", "init": f"{first:#x}", "init_errno": code, "ran_vcpu": runner}
            head["run"] = _ran(guest, runner)
            for value in (first, 0, 1, 2, 3, bits, default, ONES, 1 << 63, 4, 8, first ^ 1):
                for writer in range(2):
                    code = guest.vcpus[writer].set(reg, value)
                    back = _hex(guest.vcpus[0], reg)
                    yield _line(**head, writer=writer, val=f"{value:#x}", errno=code, rb=back)


def _bitmaps_around(host: Recorder) -> Iterator[str]:
    """What a run that ends before the guest runs freezes, and what a second KVM_ARM_VCPU_INIT does."""
    for reg, _, default in host.bitmaps:
        with Guest(host.kvm) as guest:
            guest.start(0)
            codes = [guest.complete(), guest.vcpus[0].set(reg, default ^ 1), guest.vcpus[0].set(reg, default)]
            told = {"run_errno": codes[0], "set_diff_errno": codes[1], "set_back_errno": codes[2]}
            yield _line(t="immediate_exit", reg=f"{reg:#x}", **told)
    for reg, _, default in host.bitmaps[:1]:
        with Guest(host.kvm) as guest:
            guest.vcpus[0].set(reg, 0)
            _ran(guest)
            code, value = guest.init(0, PSCI_0_2), _hex(guest.vcpus[0], reg)
            different = guest.vcpus[0].set(reg, default)
            yield _line(t="reinit_after_run", init_errno=code, val_after=value, set_diff_errno=different)
        with Guest(host.kvm) as guest:
            guest.vcpus[0].set(reg, 0)
            guest.vcpus[0].set(FIRMWARE, 0x10000)
            code, after = guest.init(0, PSCI_0_2), [_hex(guest.vcpus[0], at) for at in (reg, FIRMWARE)]
            yield _line(t="reinit_before_run", init_errno=code, bm0_after=after[0], psci_after=after[1])


def _versions(host: Recorder) -> Iterator[str]:
    """PSCI_VERSION with the feature and without, before a run and after."""
    high = (0x100000000, 0x100000002, 0x100010000, 0x8000000000010001, ONES)
    tried = (0, 1, 2, 3, *range(0x10000, 0x10006), 0x1FFFF, 0x20000, 0xFFFFFFFF, *high)
    for has, phase in ((has, phase) for has in range(2) for phase in ("pre", "post")):
        with Guest(host.kvm, PSCI_0_2 * has, 2) as guest:
            default = _hex(guest.vcpus[0], FIRMWARE)
            if phase == "post":
                _ran(guest)
            for value in tried:
                code = guest.vcpus[0].set(FIRMWARE, value)
                back = [_hex(vcpu, FIRMWARE) for vcpu in guest.vcpus]
                told = {"val": f"{value:#x}", "errno": code, "rb_v0": back[0], "rb_v1": back[1]}
                yield _line(t="psci_version", psci02=has, phase=phase, default=default, **told)


def _workarounds(host: Recorder) -> Iterator[str]:
    """Levels of workarounds, before a run and after."""
    tried = (*range(9), 0xF, 0x10, 0x11, 0x12, 0x13, 0x1F, 0x20, 0x100000000, 0x100000002, ONES)
    for n, phase in ((n, phase) for n in (1, 2, 3) for phase in ("pre", "post")):
        with Guest(host.kvm, n_vcpu=2) as guest:
            default = _hex(guest.vcpus[0], FIRMWARE + n)
            if phase == "post":
                _ran(guest)
            for value in tried:
                code = guest.vcpus[0].set(FIRMWARE + n, value)
                told = {"val": f"{value:#x}", "errno": code, "rb": _hex(guest.vcpus[0], FIRMWARE + n)}
                yield _line(t="workaround", n=n, phase=phase, default=default, **told)


def _filters(host: Recorder) -> Iterator[str]:
    with Guest(host.kvm) as guest:
        one, vm = array.array("B", struct.pack("=IIB15x", FAST, 1, 1)), guest.vm
        empty = array.array("B", bytes(24))
        told = {"has_errno": vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 0, 0), "set_errno": inserted(vm, FAST, 1, 1)}
        told["has_attr1_errno"] = vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 0, 1)
        told["has_group1_errno"] = vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 1, 0)
        told["get_errno"] = vm.attribute_errno(KVM_GET_DEVICE_ATTR, 0, 0, empty.buffer_info()[0])
        told["badptr_errno"] = vm.attribute_errno(KVM_SET_DEVICE_ATTR, 0, 0, 8)
        flagged = bytearray(struct.pack("=IIQQ", 1, 0, 0, one.buffer_info()[0]))
        yield _line(t="has", **told, flags1_errno=vm.errno(KVM_SET_DEVICE_ATTR, flagged))
    if host.has_filter:
        yield from _inserts(host)
        yield from _filtered_calls(host)


def _inserts(host: Recorder) -> Iterator[str]:
    """Inserts into the filter of a fresh VM."""

    def fresh(*inserts: Sequence[int]) -> list[int]:
        with Guest(host.kvm) as guest:
            return [inserted(guest.vm, *one) for one in inserts]

    bases = """0+2 3fffffff 7fffffff 7fff0000 80000000+2 80008000 8000ffff 80010000 80ffffff 81000000 84000000 84000053
        86000000 8600ff01 bfffffff c0000000 c000ffff c0010000 c0ffffff c1000000 c4000000 c5000020 c6000001 fffffffe+2"""
    sizes = _ids("0+3 100 ffff+3 1000000 40000000 7fffffff+2 ffffffff")
    for base, nr, action in ((base, nr, action) for base in _ids(bases) for nr in sizes for action in range(3)):
        code, again = fresh((base, nr, action), (base, nr, action))
        yield _line(t="single", base=f"{base:#x}", nr=nr, action=action, errno=code, again_errno=again)
    for action in (3, 4, 5, 6, 11, 21, 41, 81, 161):
        yield _line(t="badaction", action=action, errno=fresh((FAST, 1, action))[0])
    for byte in range(15):
        yield _line(t="pad", byte=byte, errno=fresh((FAST, 1, 1, byte))[0])
    codes = fresh((FAST, 0, 9, 0), (FAST, 0, 9), (FAST, 1, 9), (1 << 31, 1, 9))
    names = ("pad_and_nr0", "nr0_and_badaction", "badaction", "reserved_and_badaction")
    yield _line(t="precedence", **{name: codes[n] for n, name in enumerate(names)})
    with fresh_vm(host.kvm) as vm:
        yield _line(t="before_vcpu_create", errno=inserted(vm, FAST, 1, 1))
    with Guest(host.kvm, n_vcpu=2) as guest:
        _ran(guest)
        tried = {"deny": (FAST, 1, 1), "reserved": (1 << 31, 1, 1), "pad": (FAST, 1, 1, 0), "nr0": (FAST, 0, 1)}
        tried.update(badaction=(FAST, 1, 7), handle=(FAST, 1, 0))
        yield _line(t="after_run", **{name: inserted(guest.vm, *one) for name, one in tried.items()})
    with Guest(host.kvm) as guest:
        guest.start(0)
        yield _line(t="after_immediate_exit", run_errno=guest.complete(), errno=inserted(guest.vm, FAST, 1, 1))
    for one in map(_ids, OVERLAPS.split(",")):
        codes = fresh(one[:3], one[3:])
        first, second = ([f"{base:#x}", nr, action] for base, nr, action in (one[:3], one[3:]))
        yield _line(t="overlap", first=first, e1=codes[0], second=second, e2=codes[1])


def _filtered_calls(host: Recorder) -> Iterator[str]:
    """Calls of VMs with a filter; those that may stop a VM only where the filter takes all of PSCI."""
    stems = _ids("84000000 80000000+2 84000050 8600ff01 86000001 c5000020")
    garbage = (0xDEAD00000000, 0x10000, 0)
    calls = [*_known((0, 1)), *_queries(0, 3)]
    calls += [(one | high, 1 << 31 | 1, 3, 4, c) for one in stems for c in range(4) for high in garbage]
    psci = _ids("84000001 c4000001 84000002 84000008+2 8400000e 84000012 84000015 c4000003")
    stopping = [(one, 1, 2, 3, 0) for one in psci]
    for name, ranges in FILTERS.items():
        more = stopping if re.search("psci_range|all_", name) else []
        if name == "fwd_psci01":
            more = [(one, 1, 2, 3, 0) for one in PSCI_01]
        sets = host.zero() if name.endswith("bm_zero") else ()
        config = Config(name, 0 if name == "fwd_psci01" else PSCI_0_2, sets, ranges=tuple(ranges))
        yield from _listed_calls(host, [config], Calls([*calls, *more]))


def _a32(host: Recorder) -> Iterator[str]:
    """Calls of AArch32 guests, by HVC and by SMC; nothing where the host has none."""
    if host.kvm.capability(CAP_EL1_32BIT) <= 0:
        return
    chosen = "(default|psci|pvtime).*|all_zero|all_supported|suspend_cap"
    for config in (one for one in host.configs() if re.fullmatch(chosen, one.name)):
        for conduit in range(2):
            bits = (0, 1, 32, 64, 95, 96, 97, 128, 192, 193)
            calls = [*_known([conduit]), *_queries(conduit)]
            calls += [(one, n, 1, 2, conduit) for n in bits for one in (0x84000053, 0xC4000053)]
            yield from _made_32(host, config, Calls([*calls, *((0x86000001, n, 0, 0, conduit) for n in range(4))]))


def _made_32(host: Recorder, config: Config, calls: Calls) -> Iterator[str]:
    blank = (0xDDDDDDDD,) * 8
    code = words(re.sub("e1400070 hvc #0", SMC_32, CODE_32) if calls.calls[0][4] else CODE_32)
    with Guest(host.kvm, config.features | EL1_32BIT, 2, code=code) as guest:
        yield _set_up(guest, config._replace(features=config.features | EL1_32BIT))
        if guest.init_errno:
            return
        kept = tuple(0xA5A50000 + n for n in range(4, 8))
        end = TABLE + ENTRY_32.size * len(calls.calls)
        guest.memory[TABLE:end] = b"".join(ENTRY_32.pack(*call[:4], *kept, *blank) for call in calls.calls)
        for number, section in SECTIONS_32.items():
            struct.pack_into("<I", guest.memory, PAGES_32 + 4 * number, section)
        registers = {X0 + 16: GUEST + TABLE, X0 + 18: len(calls.calls), X0 + 20: MMIO, PC: GUEST}
        for reg, value in {**registers, **CACHED_32, SCTLR_EL1: SCTLR_CACHED_32}.items():
            guest.vcpus[0].set(reg, value)
        stop = guest.run(20000)
        if stop.kind:
            place = (_low(guest.vcpus[0], X0 + 16)[1] - GUEST - TABLE) // ENTRY_32.size
            told_of = _told_of(stop, guest.runs[0])
            yield f'{{"cfg":"{config.name}","a32_stopped_at":{place},"kind":{stop.kind}{told_of}}}\n'
        for number, entry in enumerate(ENTRY_32.iter_unpack(guest.memory[TABLE:end])):
            if entry[8:] != blank:
                r = ",".join(f'"{one:#x}"' for one in entry[8:12])
                changed = "" if entry[12:] == kept else ',"r4_7_changed":true'
                yield f'{_head(config.name, calls.calls[number])},"r":[{r}]{changed}}}\n'


class Fuzz:
    """Random calls and sequences, the same on every host with the same bitmaps: one generator for all three files."""

    def __init__(self, host: Recorder) -> None:
        self.host, self.give = host, _random(0x9E3779B97F4A7C15 + 1, 20)
        for _ in range(8):
            self.give()

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        return self.give() % n

    def wide(self) -> int:
        """64 bits."""
        high = self.give()
        return high << 32 | self.give()

    def base(self) -> int:
        """Where a range begins."""
        one = BASES[self.below(20)]
        kind = self.below(4)
        if kind in (1, 2):
            one += self.below(16) * (1 if kind == 1 else -1)
        elif kind == 3 and not self.below(4):
            one = self.give()
        return one & 0xFFFFFFFF

    def size(self) -> int:
        """How many functions a range has."""
        kind = self.below(8)
        if kind in (0, 3):
            return 0x10000 if kind else 1
        if kind == 5:
            return 1 << self.below(32)
        if kind == 6:
            return self.give()
        return self.below(3) if kind == 4 else 1 + self.below({1: 4, 2: 64, 7: 256}[kind])

    def config(self, name: str) -> Config:
        """A VM's registers, stolen time, suspend and filter."""
        features = PSCI_0_2 if self.below(12) else 0
        sets = []
        for reg, bits, _ in self.host.bitmaps:
            if self.below(4):
                value = self.wide() & bits
                if not self.below(16):
                    value |= 1 << self.below(64)
                sets.append((reg, value))
        if self.below(2):
            sets.append((FIRMWARE, VERSIONS[self.below(5)]))
        has_time, can_suspend, ranges = self.below(2) == 1, self.below(3) == 0, []
        if self.host.has_filter and self.below(2):
            for _ in range(1 + self.below(7)):
                one = [self.base(), self.size(), self.below(3) if self.below(16) else self.below(8)]
                ranges.append((*one, *([] if self.below(32) else [self.below(15)])))
        return Config(name, features, tuple(sets), has_time, can_suspend, tuple(ranges))

    def call(self, ranges: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
        """A call, known ones mostly; None for one that may stop the VM."""
        one = KNOWN[self.below(len(KNOWN))]
        kind = self.below(8)
        if kind == 6:
            one = one & 0xFF000000 | self.give() & 0xFF
        elif kind == 7:
            one = self.give()
        elif kind == 5 and ranges:
            base, nr = ranges[self.below(len(ranges))][:2]
            inside = self.below(2)
            one = base + (self.below(nr or 1) if inside else nr if self.below(2) else -1) & 0xFFFFFFFF
        if one in DANGER:
            return None
        x1 = KNOWN[self.below(len(KNOWN))]
        kind = self.below(8)
        if kind < 2:
            x1 = self.give() if kind else self.below(260)
        elif kind == 2:
            x1 |= self.give() << 32
        one |= 0 if self.below(16) else self.give() << 32
        x2, x3 = self.below(4), self.below(3)
        return (one, x1, x2, x3, (0 if self.below(3) else 1) if self.below(8) else self.below(4))

    def calls(self) -> Iterator[str]:
        """250 VMs of 300 calls."""
        for number in range(250):
            config = self.config(f"fz{number}")
            calls: list[tuple[int, ...]] = []
            while len(calls) < 300:
                one = self.call(config.ranges)
                calls += [one] if one else []
            yield from _listed_calls(self.host, [config], Calls(calls))

    def registers(self) -> Iterator[str]:
        """200 sequences of writes and runs on a VM of three vCPUs."""
        for number in range(200):
            features = PSCI_0_2 if self.below(8) else 0
            with Guest(self.host.kvm, features, 3) as guest:
                ops = [self.register_op(guest, features, is_first=not n) for n in range(24)]
            yield _line(seq=number, features=features, ops=ops)

    def register_op(self, guest: Guest, features: int, *, is_first: bool) -> dict[str, Any]:
        """A vCPU runs, or a register is written through it."""
        vcpu = self.below(3)
        if not is_first and not self.below(12):
            vcpu = 0 if self.below(2) else vcpu
            if vcpu and features:
                guest.vcpus[vcpu].errno(KVM_SET_MP_STATE, bytearray(4))
            return {"op": "run", "vcpu": vcpu, "res": _ran(guest, vcpu)}
        reg, value = self.register_value()
        code = guest.vcpus[vcpu].set(reg, value)
        get_errno, back = _low(guest.vcpus[self.below(3)], reg)
        told = {"op": "set", "vcpu": vcpu, "reg": f"{reg:#x}", "val": f"{value:#x}", "errno": code}
        return {**told, "get_errno": get_errno, "rb": f"{back:#x}"}

    def register_value(self) -> tuple[int, int]:
        """A register to write and what to write."""
        kind = self.below(10)
        if kind < 2:
            return FIRMWARE, (0, 1, 2, 3, 0x10000, 0x10001, 0x10002, 0x10003, 0x10004, 0x20000)[self.below(10)]
        if kind == 2:
            reg, value = FIRMWARE + 1 + self.below(3), self.below(6)
            bit = 0 if self.below(6) else 1 << self.below(32)
            return reg, value | (bit | 0xFFFFFFFF00000000 if bit >> 31 else bit)  # bit 31 with all above it
        if kind == 3:
            reg = (FIRMWARE if self.below(2) else BITMAPS) + self.below(10)
            return reg, self.below(4)
        reg, bits, _ = self.host.bitmaps[self.below(len(self.host.bitmaps))] if self.host.bitmaps else (BITMAPS, 0, 0)
        value = self.wide() & bits
        return reg, value if self.below(5) else value | 1 << self.below(64)

    def inserts(self) -> Iterator[str]:
        """200 sequences of inserts into a filter; nothing where there is none."""
        for number in range(200 if self.host.has_filter else 0):
            with Guest(self.host.kvm) as guest:
                near = self.base()
                ops = [self.insert_op(guest, near, can_run=n == 17) for n in range(20)]
            yield _line(seq=number, ops=ops)

    def insert_op(self, guest: Guest, near: int, *, can_run: bool) -> dict[str, Any]:
        """A range is inserted, or the VM runs."""
        base = near + self.below(64) - 32 & 0xFFFFFFFF if self.below(3) else self.base()
        nr = 1 + self.below(12) if self.below(3) else self.size()
        action = self.below(3) if self.below(12) else self.give() & 0xFF
        pad = [] if self.below(24) else [self.below(15)]
        if can_run and not self.below(4):
            return {"op": "run", "res": _ran(guest)}
        code = inserted(guest.vm, base, nr, action, *pad)
        return {"op": "ins", "base": f"{base:#x}", "nr": nr, "action": action, "pad": len(pad), "errno": code}


def _misc(host: Recorder) -> Iterator[str]:
    if host.bitmaps:
        with Guest(host.kvm) as guest:
            guest.vcpus[0].set(BITMAPS, 0)
            _ran(guest)
            told = {"init": guest.add(PSCI_0_2), "val": _hex(guest.vcpus[1], BITMAPS)}
            codes = [guest.vcpus[1].set(BITMAPS, value) for value in range(2)]
            yield _line(t="late_vcpu", **told, set_same=codes[0], set_diff=codes[1])
        with Guest(host.kvm) as guest, Guest(host.kvm) as other:
            guest.vcpus[0].set(BITMAPS, 0)
            yield _line(t="other_vm", val=_hex(other.vcpus[0], BITMAPS))
        with Guest(host.kvm) as guest:
            guest.vcpus[0].set(BITMAPS + 2, 1)
            guest.add(PSCI_0_2)
            yield _line(t="late_init_before_run", bm2=_hex(guest.vcpus[1], BITMAPS + 2))
            guest.vcpus[0].set(FIRMWARE, 2)
            guest.add(PSCI_0_2)
            versions = [_hex(guest.vcpus[number], FIRMWARE) for number in (0, 2)]
            yield _line(t="psci_after_late_init", v0=versions[0], v2=versions[1])
    with Guest(host.kvm) as guest:
        if not inserted(guest.vm, 0x86000000, 0x100, 2):
            yield from (_forwarded(guest, mode, conduit) for mode in range(3) for conduit in range(2))


def _forwarded(guest: Guest, mode: int, conduit: int) -> str:
    """A call that is forwarded, answered by nothing, by hypercall.ret or by x0 and x1; what the guest sees then."""
    vcpu, run = guest.vcpus[0], guest.runs[0]
    guest.memory[TABLE : TABLE + 160] = ENTRY_IN.pack(0x86000009, 11, 12, 13, 14, 15, 16, 0, conduit)
    guest.start(1)
    stop = guest.run(3000)
    nr, *args, _, flags = struct.unpack_from("=9Q", run, EXIT_DATA)
    if mode == 1:
        struct.pack_into("=Q", run, HYPERCALL_RET, 0x777)
    if mode == 2:
        vcpu.set(X0, 0x888)
        vcpu.set(X0 + 2, 0x999)
    end = guest.run(3000)
    _, x0, x1, *_ = ENTRY_OUT.unpack_from(guest.memory, TABLE)
    told = {"t": "fwd_ret", "mode": mode, "c": CONDUITS[conduit], "kind": stop.kind, "reason": stop.reason}
    told.update(nr=f"{nr:#x}", flags=f"{flags:#x}", args=args, end_kind=end.kind, x0=f"{x0:#x}", x1=f"{x1:#x}")
    return _line(**told)


def _read(vcpu: Descriptor, n_room: int) -> tuple[int, int, list[int]]:
    """KVM_GET_REG_LIST with room for so many: errno, the number it tells, and the ids."""
    room = bytearray(struct.pack("=Q", n_room) + bytes(8 * n_room))
    code = vcpu.errno(KVM_GET_REG_LIST, room)
    (n_told,) = struct.unpack_from("=Q", room)
    return code, n_told, [] if code else list(struct.unpack_from(f"={n_told}Q", room, 8))


def _finalized(guest: Guest, features: int) -> int:
    """KVM_ARM_VCPU_FINALIZE where there is SVE: its errno; -1 where there is none."""
    if not features & SVE:
        return -1
    return guest.vcpus[0].errno(KVM_ARM_VCPU_FINALIZE, bytearray(struct.pack("=i", FINALIZE_SVE)))


def _reglist(host: Recorder) -> Iterator[str]:
    """Register lists, and what another vCPU says when it is given the values."""
    for name, features in FEATURES.items():
        with Guest(host.kvm, features) as guest:
            if guest.init_errno:
                yield _line(feat=name, init_errno=guest.init_errno)
                continue
            before, final = _read(guest.vcpus[0], 8192), _finalized(guest, features)
            (code, n, regs), none = _read(guest.vcpus[0], 8192), _read(guest.vcpus[0], 0)
            values = [(reg, *guest.vcpus[0].get(reg)) for reg in regs]
        told: dict[str, Any] = {"prefinal_errno": before[0], "prefinal_n": before[1], "finalize_errno": final}
        told.update(errno=code, n=n, n0_errno=none[0], n0_n=none[1])
        classes: dict[str, list[int]] = {}
        sizes: dict[str, int] = {}
        for reg in sorted(regs, key=lambda reg: (reg >> 16 & 0xFFF, reg >> 52 & 0xF)):
            of = classes.setdefault(f"0x{reg >> 16 & 0xFFF:04x}", [0, 0])
            of[:] = of[0] + 1, of[1] + (1 << (reg >> 52 & 0xF))
        for reg in sorted(regs, key=lambda reg: reg >> 52 & 0xF):
            sizes[f"{1 << (reg >> 52 & 0xF)}"] = sizes.get(f"{1 << (reg >> 52 & 0xF)}", 0) + 1
        told.update(payload_bytes=sum(n for _, n in classes.values()), by_class=classes, by_size_bytes=sizes)
        told["regs"] = [[f"0x{reg:016x}", f"{value & ONES:#x}", code] for reg, code, value in values]
        yield _line(feat=name, init_errno=0, **told)
        if not code:
            host.payloads[name] = struct.pack("<Q", n) + b"".join(
                struct.pack("<Q", reg) + value.to_bytes(1 << (reg >> 52 & 0xF), "little") for reg, _, value in values
            )
            fails = _restored(host, features, ((reg, value) for reg, code, value in values if not code))
            yield _line(feat=name, self_restore=fails[1], failed=len(fails[1]), n=n)


def _restored(host: Recorder, features: int, values: Iterable[tuple[int, int]]) -> tuple[int, list[list[Any]]]:
    """Writes values into a fresh vCPU: the errno of its KVM_ARM_VCPU_INIT, and which writes fail."""
    with Guest(host.kvm, features) as guest:
        _finalized(guest, features)
        codes = ((reg, guest.vcpus[0].set(reg, value)) for reg, value in values)
        return guest.init_errno, [[f"0x{reg:016x}", code] for reg, code in codes if code]


def _restores(host: Recorder) -> Iterator[str]:
    """What another host's values do here."""
    for folder in host.others:
        for name in list(FEATURES)[:N_RESTORED]:
            told: dict[str, Any] = {"src": folder.resolve().name, "feat": name}
            values = _payload(folder, name)
            if values is None:
                told["nofile"] = True
            else:
                code, fails = _restored(host, FEATURES[name], values)
                told.update({"init_errno": code} if code else {"n": len(values), "fails": fails, "failed": len(fails)})
            yield _line(**told)


def _payload(folder: Path, features: str) -> list[tuple[int, int]] | None:
    """The registers of another host, None where it has none with these features; raises ProbeError."""
    path = folder / f"payload-{features}.bin"
    path = path if path.is_file() else path.with_name(f"{path.name}.xz")
    if not path.is_file():
        return None
    lzma, values, at = _module("lzma"), [], 8
    try:
        data = path.read_bytes()
        data = lzma.decompress(data) if path.suffix == ".xz" else data
        for _ in range(int.from_bytes(data[:8], "little")):
            (reg,) = struct.unpack_from("<Q", data, at)
            end = at + 8 + (1 << (reg >> 52 & 0xF))
            values.append((reg, int.from_bytes(data[at + 8 : end], "little")))
            at = end
        if at != len(data):
            msg = f"{len(data)} bytes where its registers have {at}"
            raise ValueError(msg)
    except (OSError, ValueError, EOFError, struct.error, lzma.LZMAError) as error:
        msg = f"{path} cannot be read ({error}): name the folder of a recorded host"
        raise ProbeError(msg) from error
    return values


def _meta(host: Recorder) -> str:
    """What the host is: kernel, CPUs, mitigations and capabilities."""
    system, kvm = host.kvm.system, host.kvm
    _, release, version, _ = system.uname()
    mode = mode_asked(system)
    cpu = (system.read("/proc/cpuinfo") or "")[:2000].replace("\n", ";").replace("\t", " ")
    names = ("spectre_v1", "spectre_v2", "spec_store_bypass", "meltdown", "l1tf")
    told = {one: (system.read(f"/sys/devices/system/cpu/vulnerabilities/{one}") or "").strip() for one in names}
    with fresh_vm(kvm) as vm:
        asked = {str(n): [max(-1, kvm.capability(n)), max(-1, vm.capability(n))] for n in range(N_CAPABILITY)}
        code = vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 0, 0)
    meta = {"release": release, "version": version, **({"cmdline": f"kvm-arm.mode={mode}"} if mode else {})}
    caps = {number: both for number, both in asked.items() if any(both)}
    more = {"api_version": API_VERSION, "caps": caps, "has_smccc_filter_errno": code}
    return json.dumps({**meta, "cpuinfo": cpu, "vulnerabilities": told, **more}, indent=1) + "\n"


SECTIONS: dict[str, dict[str, Callable[[Recorder], Iterator[str]]]] = {
    "reglist": {"reglist": _reglist},
    "setreg": {"setreg": _setreg},
    "calls": {"calls": _calls},
    "random": {"random": _random_list},
    "sweep": {"sweep": _sweep},
    "danger": {"danger": _danger},
    "filter": {"filter": _filters},
    "a32": {"a32": _a32},
    "fuzz": {
        "fuzz_calls": lambda host: host.fuzz.calls(),
        "fuzz_regs": lambda host: host.fuzz.registers(),
        "fuzz_filter": lambda host: host.fuzz.inserts(),
    },
    "misc": {"misc": _misc},
    "restore": {"restore": _restores},
}
"""Sections in their order: for each of its files, what gives its lines."""


def record(
    folder: str,
    system: System | None = None,
    *,
    only: Sequence[str] = (),
    others: Sequence[str] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Records what this host's KVM does into a new folder; raises ProbeError.

    Each file takes its name when it is whole, and meta.json comes last: without it the folder is unfinished.
    """
    system = system or System()
    for one in others:
        if not Path(one).is_dir():
            msg = f"{one} is no folder: name that of a recorded host"
            raise ProbeError(msg)
    with opened_kvm(system) as kvm:
        target = _new_folder(folder)
        host = Recorder(kvm, [Path(one) for one in others])
        for section in only or SECTIONS:
            start = system.seconds()
            for name, lines in SECTIONS[section].items():
                _written(target / f"{name}.jsonl.xz", (line.encode() for line in lines(host)))
            for name, data in host.payloads.items():
                _written(target / f"payload-{name}.bin.xz", [data])
            host.payloads.clear()
            progress(f"{section}: {system.seconds() - start:.1f} s")
        _written(target / "meta.json", [_meta(host).encode()])


def _new_folder(folder: str) -> Path:
    """Makes it; raises ProbeError where it has files."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        has_files = any(Path(folder).iterdir())
    except (OSError, ValueError) as error:
        raise ProbeError(_unwritten(folder, error)) from error
    if has_files:
        msg = f"{folder} has files already: name a new or empty folder"
        raise ProbeError(msg)
    return Path(folder)


def _unwritten(path: str, error: Exception) -> str:
    why = getattr(error, "strerror", None) or error
    return f"{path} cannot be written ({why}): name a new or empty folder of yours"


def _written(path: Path, parts: Iterable[bytes]) -> None:
    """Writes a file whole or not at all, compressed where it is named so; none where there is nothing to write."""
    hidden = path.with_name(f".{path.name}.tmp")
    packer = _module("lzma").LZMACompressor(preset=1) if path.suffix == ".xz" else None
    parts, is_empty = iter(parts), True
    try:
        with hidden.open("wb") as file:
            for first in parts:
                is_empty = False
                some = first + b"".join(itertools.islice(parts, 1000))
                file.write(packer.compress(some) if packer else some)
            file.write(packer.flush() if packer else b"")
            file.flush()
            os.fsync(file.fileno())
        if not is_empty:
            hidden.replace(path)
    except OSError as error:
        raise ProbeError(_unwritten(str(path), error)) from error
    finally:
        with contextlib.suppress(OSError):
            hidden.unlink()


# -- guests with EL2, and protected VMs --------------------------------------------------------------------------

EL2_START = """
10004001 adr x1, 2048       d51cc001 msr vbar_el2, x1  b40000da cbz x26, 32      d53c1101 mrs x1, hcr_el2
aa170021 orr x1, x1, x23    8a380021 bic x1, x1, x24   d51c1101 msr hcr_el2, x1  d5033fdf isb
d53c111b mrs x27, hcr_el2   b40000f9 cbz x25, 64       d28078a1 mov x1, #0x3c5   d51c4001 msr spsr_el2, x1
10000081 adr x1, 64         d51c4021 msr elr_el2, x1   d5033fdf isb              d69f03e0 eret
d538425e mrs x30, currentel d342ffde lsr x30, x30, #2
"""
"""Goes before CODE. If x26, HCR_EL2 gets the bits of x23 and loses those of x24; if x25, calls come from EL1.

x27 tells HCR_EL2, x30 the level. There is no page table (see CACHED): hosts of such guests have FEAT_NV2, which came
with Armv8.4, as did FEAT_S2FWB.
"""
EL2_ON = "d5384241 mrs x1, currentel  f9000aa1 str x1, [x21, #16]  17fffffe b 192"
"""Goes behind CODE, at 192: a vCPU that was switched on tells its level."""
EL2_VECTOR = """
f9380276 str x22, [x19, #0x7000]  d53c5216 mrs x22, esr_el2   f9380676 str x22, [x19, #0x7008]
d53c403c mrs x28, elr_el2         f9380a7c str x28, [x19, #0x7010]
d53c401d mrs x29, spsr_el2        f9380e7d str x29, [x19, #0x7018]
d35afedd lsr x29, x22, #26        f1005bbf cmp x29, #0x16     540000a0 b.eq 60 (an HVC)
f10083bf cmp x29, #0x20           54000082 b.hs 64 (an abort) 9100139c add x28, x28, #4
d51c403c msr elr_el2, x28         d69f03e0 eret               f90006b6 str x22, [x21, #8]  17ffffff b 64
"""
"""An exception to EL2 is told, x22 being the vector's offset, and the guest goes on behind the call."""
EL1_VECTOR = EL2_VECTOR.replace("d53c", "d538").replace("d51c", "d518").replace("f9380", "f9381")
"""The same of EL1, told 32 bytes further on."""
PROTECTED_CODE = """
b40001f4 cbz x20, 60             a9400660 ldp x0, x1, [x19]       a9410e62 ldp x2, x3, [x19, #16]
f9402276 ldr x22, [x19, #64]     b5000076 cbnz x22, 28
d4000002 hvc #0                  14000002 b 32                    d4000003 smc #0
f90082a0 str x0, [x21, #0x100]   f90086a1 str x1, [x21, #0x108]
f9008aa2 str x2, [x21, #0x110]   f9008ea3 str x3, [x21, #0x118]
91028273 add x19, x19, #160      d1000694 sub x20, x20, #1        17fffff2 b 0
f90002b4 str x20, [x21]          17ffffff b 60
"""
"""What CODE does, of a guest whose memory is its own: it tells the results by stores to MMIO."""
TAKEN_AT, TAKEN = 0x7000, struct.Struct("<4Q")
"""Where an exception is told, from the call's entry; vector, ESR, ELR and SPSR, all ONES where there was none."""
HCR = {"TSC": 1 << 19, "TGE": 1 << 27, "HCD": 1 << 29, "RW": 1 << 31}
EL2_MODES = ["vEL2, HCR_EL2 untouched", "vEL2, RW=1 TGE=0", "vEL2, TSC=1", "vEL2, HCD=1", "vEL2, TGE=1"]
EL2_MODES += ["vEL1, RW=1", "vEL1, TSC=1", "vEL1, HCD=1"]
"""Where calls come from, and which bits of HCR_EL2 the guest sets; RW it sets in all but the first."""
EL2_GIVEN = ("default", "bitmaps all 0", "filter: DENY 0x84000050+4, FWD 0x86000000+0x10000, FWD 0x82000000+0x10000")
EL2_SETS = [PSCI_0_2 | more for more in (EL2, EL2 | E2H0)]
EL2_STATE = {"pstate": PSTATE, "pc": PC, "hcr_el2": 0x603000000013E088, "id_aa64mmfr4": 0x603000000013C03C}
EL2_STATE.update(id_aa64pfr0=0x603000000013C020, id_aa64mmfr2=0x603000000013C03A)
GIC_STEPS = ((0, 2, 0x8000000, 1000), (0, 3, 0x80A0000, 2000), (3, 0, 96, 0), (9, 0, 25, 0), (4, 0, 0, 3000))
"""How a GICv3 is made: group, attribute, value, and what is added to its errno, 0 where it may fail.

Addresses of distributor and redistributors, how many interrupts, which is for maintenance, initialisation. Source:
Documentation/virt/kvm/devices/arm-vgic-v3.rst.
"""
LEFT_OPEN: list[Guest] = []
"""VMs with EL2, which stay until the process ends: on an emulated host KVM takes 40 s to close one."""


def _listed_words(text: str) -> list[tuple[int, ...]]:
    """x0..x3 of calls, in hex; those that are not given are 0."""
    given = ([int(word, 16) for word in one.split(",")] for one in text.split())
    return [tuple(one + [0] * (4 - len(one))) for one in given]


EL2_CALLS = _listed_words("""84000000 84000004 c4000004,1 84000006 8400000a,84000003 8400000a,c400000e 8400000a,80000000
    84000003,7,40000000 80000000 80000001,80000000 80000001,80008000 80000001,80007fff 80000001,80003fff
    80000001,c5000020 80008000 80007fff 80003fff 84000050 84000051,c4000053 84000052 c4000053,40 c5000020,c5000021
    c5000021 8600ff01 86000000 86000001 86000001,1 c6000040 c6000041 c6000007 8600dead 82000000 95c1ba5e 0 ffffffff""")
EL2_POWER = _listed_words("""84000001 84000002 c4000003,1,400000c0,77 84000008 84000009 c4000012,0,55
    c4000012,80000000,55 84000015,1 c400000e,0,33""")
PROTECTED_CALLS = _listed_words("""84000000 80000000 80000001,80008000 80000001,80003fff 80000001,c5000020
    8400000a,80000000 8400000a,84000003 c4000004 84000006 84000050 84000051,c4000053 84000052 c4000053,40
    c5000020,c5000021 c5000021 8600ff01 86000000 86000001 c6000002 c6000003,40003000 c6000004,40003000 c6000005
    c6000006 c6000007,10000000 c6000008 c6000040 c6000041 80008000 80007fff 80003fff 8600dead 95c1ba5e 0""")


def _called(call: tuple[int, ...]) -> str:
    """What a record tells of a call: x0 and the conduit, and then x1 to x3."""
    return f'"id":"{call[0]:#x}","c":"{CONDUITS[call[4]]}","a":[{call[1]},{call[2]},{call[3]}]'


class El2Guest(Guest):
    """Two vCPUs with EL2, and calls (x0 .. x3, conduit) that vCPU 0 makes."""

    def __init__(
        self, kvm: Descriptor, features: int, mode: str, calls: list[tuple[int, ...]], *, has_gic: bool = True
    ) -> None:
        code = words(EL2_START + CODE + EL2_ON)
        for text in (EL2_VECTOR, EL1_VECTOR):
            table = (words(f"{0xD2800016 | at << 5:x} mov x22, #at {text}") for at in range(0, VECTORS, 128))
            code = code.ljust(VECTORS, b"\0") + b"".join(one.ljust(128, b"\0") for one in table)
        super().__init__(kvm, features, 2, code=code, size=1 << 17)
        LEFT_OPEN.append(self)
        gic = self._gic_errno() if has_gic else 0
        self.head = [_line(t="vgic", features=f"{features:#x}", errno=gic)] if gic else []
        for number, call in enumerate(calls):
            at = TABLE + ENTRY_IN.size * number
            ENTRY_IN.pack_into(self.memory, at, *call[:4], *KEPT, call[4])
            self.memory[at + TAKEN_AT : at + TAKEN_AT + 64] = b"\xff" * 64
        bits = sum(bit for name, bit in HCR.items() if f"{name}=1" in mode)
        start = {19: GUEST + TABLE, 20: len(calls), 21: MMIO, 23: HCR["RW"] | bits, 24: HCR["TGE"] & ~bits}
        start.update({25: mode.startswith("vEL1"), 26: "untouched" not in mode})
        state = {**{X0 + 2 * n: value for n, value in start.items()}, PC: GUEST, VBAR_EL1: GUEST + 2 * VECTORS}
        for reg, value in state.items():
            self.vcpus[0].set(reg, value)

    def _gic_errno(self) -> int:
        """Makes a GICv3 inside KVM, without which KVM_RUN is EAGAIN; 0, or an errno and which of GIC_STEPS it is of."""
        device = bytearray(struct.pack("=III", DEVICES["gicv3"], 0, 0))
        code = self.vm.errno(KVM_CREATE_DEVICE, device)
        if code:
            return code
        with Descriptor(self.system, struct.unpack("=III", device)[1]) as gic:
            for group, attribute, value, added in GIC_STEPS:
                room = array.array("Q", [value])
                code = gic.attribute_errno(KVM_SET_DEVICE_ATTR, group, attribute, room.buffer_info()[0])
                if code and added:
                    return code + added
        return 0

    def taken(self, number: int, *, is_whole: bool) -> str:
        """The exceptions to which a call led."""
        told = ""
        for level in (2, 1):
            at = TABLE + ENTRY_IN.size * number + TAKEN_AT + TAKEN.size * (2 - level)
            vector, esr, elr, spsr = TAKEN.unpack_from(self.memory, at)
            more = f',"elr_off":{elr - GUEST}' + (f',"spsr":"{spsr:#x}"' if level == 2 else "") if is_whole else ""
            told += f',"to_vEL{level}":{{"vector":"{vector:#x}","esr":"{esr:#x}"{more}}}' if vector != ONES else ""
        return told


def _nested(host: Recorder) -> Iterator[str]:
    """Guests with EL2: capabilities, vCPUs after reset, calls from EL2 and EL1 of the guest, calls that stop it."""
    host.kvm.system.allow_files(1024)  # for LEFT_OPEN
    with fresh_vm(host.kvm) as vm:
        caps = (("KVM_CAP_ARM_EL2(240)", CAP_EL2), ("KVM_CAP_ARM_EL2_E2H0(241)", CAP_EL2_E2H0))
        yield _line(t="caps", **{name: [host.kvm.capability(cap), vm.capability(cap)] for name, cap in caps})
    refused = set()
    for features in (*EL2_SETS, EL2, EL2_SETS[0] | PMU | SVE | PAUTH, EL2_SETS[0] | EL1_32BIT, PSCI_0_2 | E2H0):
        guest = Guest(host.kvm, features, size=1 << 17)
        yield _line(t="init", features=f"{features:#x}", errno=guest.init_errno)
        if not guest.init_errno:
            _finalized(guest, features)
            yield from _el2_vcpu(guest.vcpus[0], features)
        if guest.init_errno or not features & EL2:
            guest.close()
            refused.add(features)
        else:
            LEFT_OPEN.append(guest)
    usable = [features for features in EL2_SETS if features not in refused]
    for features, has_gic in ((features, has_gic) for features in usable for has_gic in (True, False)):
        for given in EL2_GIVEN if has_gic else EL2_GIVEN[:1]:
            for mode in EL2_MODES if has_gic else (EL2_MODES[0], EL2_MODES[5]):
                yield from _el2_calls(host, features, mode, given, has_gic=has_gic)
    for features, mode in ((features, mode) for features in usable for mode in (EL2_MODES[1], EL2_MODES[5])):
        for call in ((*call, conduit) for conduit in (0, 1) for call in EL2_POWER):
            for milliseconds in (400, 1600, 6400):  # as in _danger
                power = El2Guest(host.kvm, features, mode, [call])
                told = [*power.head, _el2_power(power, features, mode, call, milliseconds)]
                if not power.is_busy:
                    break
            yield from told


def _fw_default(vcpu: Descriptor, features: int) -> str:
    """Firmware registers that are there: [errno, value]."""
    regs = {reg: vcpu.get(reg) for first in (FIRMWARE, BITMAPS) for reg in range(first, first + 8)}
    told = {f"{reg:#x}": [code, f"{value:#x}"] for reg, (code, value) in regs.items() if code != errno.ENOENT}
    return _line(t="fw_default", features=f"{features:#x}", regs=told)


def _el2_vcpu(vcpu: Descriptor, features: int) -> Iterator[str]:
    """A fresh vCPU: its state, its registers, and what its firmware registers accept."""
    of = {"features": f"{features:#x}"}
    state: dict[str, Any] = {"t": "reset_state", **of}
    for name, (code, value) in {name: vcpu.get(reg) for name, reg in EL2_STATE.items()}.items():
        state.update({f"{name}_errno": code} if name in ("hcr_el2", "id_aa64mmfr4") else {})
        state[name] = f"{value:#x}"
    yield _line(**state)
    yield _fw_default(vcpu, features)
    code, n, regs = _read(vcpu, 8192)
    values = [(reg, *_low(vcpu, reg)) for reg in regs]
    told = [[f"0x{reg:016x}", f"{value:#x}", code] for reg, code, value in values]
    yield _line(t="reg_list", **of, errno=code, n=n, regs=told)
    for number, (reg, (code, value)) in enumerate((reg, vcpu.get(reg)) for reg in range(BITMAPS, BITMAPS + 4)):
        if not code:
            bits = sum(1 << bit for bit in range(64) if not vcpu.set(reg, 1 << bit))
            head = {"t": "bitmap", **of, "n": number, "default": f"{value:#x}", "supported": f"{bits:#x}"}
            zero, back = vcpu.set(reg, 0), _hex(vcpu, reg)
            yield _line(**head, set0_errno=zero, rb=back, set_default_errno=vcpu.set(reg, value))
    for value in (0, 1, 2, 0x10000, 0x10001, 0x10002, 0x10003, 0x10004):
        code = vcpu.set(FIRMWARE, value)
        yield _line(t="psci_version", **of, val=f"{value:#x}", errno=code, rb=_hex(vcpu, FIRMWARE))
    for number, value in ((number, value) for number in (1, 2, 3) for value in range(6)):
        code = vcpu.set(FIRMWARE + number, value)
        yield _line(t="workaround", **of, n=number, val=value, errno=code, rb=_hex(vcpu, FIRMWARE + number))


def _el2_calls(host: Recorder, features: int, mode: str, given: str, *, has_gic: bool) -> Iterator[str]:
    """All calls by all conduits: why the guest was left, then each call that was made."""
    calls = [(*call, conduit) for call in EL2_CALLS for conduit in range(4)]
    guest = El2Guest(host.kvm, features, mode, calls, has_gic=has_gic)
    vcpu = guest.vcpus[0]
    yield from guest.head
    for reg in range(BITMAPS, BITMAPS + 4) if "all 0" in given else ():
        vcpu.set(reg, 0)
    codes = [0, 0, 0]
    for number, (action, base, nr) in enumerate(re.findall("(DENY|FWD) (0x[0-9a-f]+)[+]([0-9a-fx]+)", given)):
        codes[number] = inserted(guest.vm, int(base, 0), int(nr, 0), 1 if action == "DENY" else 2)
    head = {"t": "calls", "features": f"{features:#x}", "vgic": int(has_gic), "cfg": given, "mode": mode}
    yield _line(**head, filter_errnos=codes, calls=len(calls))
    stop = guest.run(5000)
    while stop.kind != END:
        index = (vcpu.get(X19)[1] - GUEST - TABLE) // ENTRY_IN.size
        of = "," + _called(calls[index]).partition(',"a"')[0] if 0 <= index < len(calls) else ""
        where = f'"pc_off":{vcpu.get(PC)[1] - GUEST},"pstate":"{_hex(vcpu, PSTATE)}","x0":"{_hex(vcpu, X0)}"'
        yield f'{{"t":"stop","index":{index},"kind":{stop.kind}{of}{_told_of(stop, guest.runs[0])},{where}}}\n'
        if (stop.kind, stop.reason) != (EXIT, EXIT_HYPERCALL):
            break
        stop = guest.run(5000)
    if stop.kind == END:
        yield _line(t="end", hcr_el2_seen_by_guest=_hex(vcpu, X0 + 54), pstate=_hex(vcpu, PSTATE))
    level = vcpu.get(X0 + 60)[1]
    for number, call in enumerate(calls):
        is_done, x0, x1, x2, x3, *_ = ENTRY_OUT.unpack_from(guest.memory, TABLE + ENTRY_OUT.size * number)
        taken = guest.taken(number, is_whole=True)
        if is_done or taken:
            yield f'{{{_called(call)},"el":{level},"x":["{x0:#x}","{x1:#x}","{x2:#x}","{x3:#x}"]{taken}}}\n'


def _el2_power(guest: El2Guest, features: int, mode: str, call: tuple[int, ...], milliseconds: int) -> str:
    """A call that may stop the guest, and how the other vCPU begins where it is switched on."""
    stop = guest.run(milliseconds, patience=0)
    states = [bytearray(4), bytearray(4)]
    for number, state in enumerate(states):
        guest.vcpus[number].errno(KVM_GET_MP_STATE, state)
    is_done, x0, *_ = ENTRY_OUT.unpack_from(guest.memory, TABLE)
    x0 = x0 if is_done else guest.vcpus[0].get(X0)[1]
    told = f'{{"t":"power","features":"{features:#x}","el":{1 if "vEL1" in mode else 2},"c":"{CONDUITS[call[4]]}"'
    told += f',"id":"{call[0]:#x}","a1":"{call[1]:#x}","kind":{stop.kind}{_told_of(stop, guest.runs[0])}'
    told += f',"done":{is_done},"x0":"{x0:#x}","mp":[{states[0][0]},{states[1][0]}]{guest.taken(0, is_whole=False)}'
    if call[0] == FAST64 | 3 and is_done and not x0:
        vcpu = guest.vcpus[1]
        vcpu.set(X0 + 42, MMIO)
        stop = guest.run(1000, 1)
        address, level = struct.unpack_from("=QQ", guest.runs[1], EXIT_DATA)
        told += f',"cpu1":{{"kind":{stop.kind},"mmio":"{address:#x}","currentel":"{level:#x}"'
        told += f',"pstate":"{_hex(vcpu, PSTATE)}","pc_off":{vcpu.get(PC)[1] - GUEST},"x0":"{_hex(vcpu, X0)}"}}'
    return told + "}\n"


def _protected(host: Recorder) -> Iterator[str]:
    """Protected VMs beside ordinary ones: which there are, what they have, and their calls."""
    if mode_of(host.kvm.system, host.kvm, {}) != "protected":
        return
    for kind in (0, VM_TYPE_PROTECTED, 1 << 30):
        try:
            vm = Descriptor(host.kvm.system, host.kvm.call(KVM_CREATE_VM, kind))
        except OSError as error:
            yield _line(t="create", type=f"{kind:#x}", errno=error.errno)
            continue
        yield _line(t="create", type=f"{kind:#x}", errno=0)
        with vm:
            asked = ((str(cap), max(-1, vm.capability(cap))) for cap in range(N_CAPABILITY))
            caps, code = {cap: told for cap, told in asked if told}, vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 0, 0)
            yield _line(t="caps", type=f"{kind:#x}", caps=caps, has_filter_errno=code)
    text = words(PROTECTED_CODE).ljust(VECTORS, b"\0") + words(VECTOR).ljust(128, b"\0") * 16
    for kind, conduit in ((kind, conduit) for kind in (0, VM_TYPE_PROTECTED) for conduit in (0, 1)):
        with Guest(host.kvm, n_vcpu=0, vm_type=kind, code=text, has_slot=False) as guest:
            yield from _protected_calls(guest, Calls((*call, conduit) for call in PROTECTED_CALLS), kind, conduit)


def _protected_calls(guest: Guest, calls: Calls, kind: int, conduit: int) -> Iterator[str]:
    """One VM: what it says to its memory, filter, vCPU and firmware registers, and to the calls by one conduit."""
    guest.memory[TABLE : TABLE + len(calls.packed)] = calls.packed
    told: dict[str, Any] = {"t": "vm", "protected": int(kind > 0), "c": CONDUITS[conduit]}
    told.update(memslot_errno=guest.slot_errno(), filter_errno=inserted(guest.vm, 0x82000000, 4, 2))
    yield _line(**told, vcpu_errno=0, init_errno=guest.add(PSCI_0_2))
    vcpu = guest.vcpus[0]
    yield _fw_default(vcpu, PSCI_0_2)
    for number, reg in enumerate(range(BITMAPS, BITMAPS + 4) if not conduit else ()):
        zero, (code, value) = vcpu.set(reg, 0), vcpu.get(reg)
        head = {"t": "bitmap", "n": number, "set0_errno": zero, "rb_errno": code, "rb": f"{value:#x}"}
        yield _line(**head, set1_errno=vcpu.set(reg, 1))
    if not conduit:  # the second name is an old one: what is set is 1.3
        codes = [vcpu.set(FIRMWARE, value) for value in (0x10000, 0x10003)]
        yield _line(t="psci", set_10000_errno=codes[0], set_10001_errno=codes[1])
    code, n, _ = _read(vcpu, 8192)
    yield _line(t="reg_list", errno=code, n=n)
    guest.start(len(calls.calls))
    number, results = 0, [0, 0, 0, 0]
    stop = guest.run(20000)
    while stop.kind == EXIT and stop.reason == EXIT_MMIO and number < len(calls.calls):
        address, value = struct.unpack_from("=QQ", guest.runs[0], EXIT_DATA)
        results[(address - MMIO - 0x100) // 8 & 3] = value
        if address == MMIO + 0x118:
            x = ",".join(f'"{one:#x}"' for one in results)
            yield f'{{{_called(calls.calls[number])},"x":[{x}],"protected":{int(kind > 0)}}}\n'
            number += 1
        stop = guest.run(20000)
    if stop.kind == END:
        yield _line(t="end", calls=number)
    else:
        yield f'{{"t":"stop","call":{number}{_told_of(stop, guest.runs[0])}}}\n'


SECTIONS.update(nested={"nested": _nested}, protected={"protected": _protected})
