"""What a traced guest was answered, beside what fastsmc says it is answered; and its calls beside a committed trace's.

The tracepoint has no answers. The guest's kernel tells what it made of some of them in its log, and which ids it calls
later follows from others: it asks for random words only where TRNG_VERSION was answered. What is expected is computed
by the reference, as rules of a guest's Linux on what KVM would answer (its drivers/firmware/{psci,smccc} and
arch/arm64/kernel/paravirt.c, drivers/ptp/ptp_kvm_arm.c, by behaviour).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from fastsmc.calls.trace import Trace
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host
from fastsmc.facts.services import VENDOR_UID
from fastsmc.facts.smccc import Verdict
from fastsmc.reference.vm import Vm

PSCI_VERSION, PSCI_FEATURES, SMCCC_VERSION, ARCH_FEATURES = 0x84000000, 0x8400000A, 0x80000000, 0x80000001
PV_TIME_FEATURES, PV_TIME_ST, TRNG_VERSION, TRNG_RND64 = 0xC5000020, 0xC5000021, 0x84000050, 0xC4000053
CALL_UID, VENDOR_FEATURES, PTP = 0x8600FF01, 0x86000000, 0x86000001
PTP_BIT = 1 << 1
EOPNOTSUPP = 95
PSCI_1_0 = 0x10000
FIRST_WITH_DISCOVERY = 0x10001
"""SMCCC 1.1, from which on a guest looks for services at all."""
LOOKS_FOR_TRNG, LOOKS_FOR_SERVICES = (5, 12), (5, 14)
"""Since which Linux a guest asks for TRNG and for the vendor's services, the host's clock among them; a guest with 5.10
asks for neither (recorded, 5.10-5.10.ftrace.txt)."""
VARYING = {
    "TRNG_RND64": "the kernel mixes fresh random words in as time passes, so a slower boot asks for more",
    "VENDOR_HYP_PTP": "one call per reading of the host's clock, and one more where the guest's own ticked meanwhile",
}
"""Functions whose number of calls is the guest's time or init, with why."""


class Answer(NamedTuple):
    """One thing a guest told of an answer."""

    what: str
    seen: str
    expected: str

    @property
    def ok(self) -> bool:
        """Whether the guest saw what fastsmc says."""
        return self.seen == self.expected

    def __str__(self) -> str:
        end = "as fastsmc says" if self.ok else f"fastsmc says {self.expected}"
        return f"{self.what}: {self.seen}, {end}"


def modelled(
    release: str,
    *,
    mode: str | None = None,
    bitmaps: Mapping[str, int],
    psci: int | None,
    filters: tuple[tuple[int, int, int], ...],
    n_cpu: int,
) -> Vm:
    """The VM as fastsmc has it, given the same policy as the traced one, after its first KVM_RUN.

    Args:
        release: the host's, such as "7.3.4".
        mode: its kvm-arm.mode.
        bitmaps: firmware bitmaps by name.
        psci: the word written to PSCI_VERSION; None: nothing was.
        filters: inserts into the SMCCC filter: base, number of functions, action.
    """
    vm = Vm(Host.of(release, kvm_arm_mode=mode or "default"), n_vcpu=n_cpu)
    for name, value in {**bitmaps, **({} if psci is None else {"PSCI_VERSION": psci})}.items():
        assert vm.set_one_reg(0, register(name), value) == 0, name
    for base, count, action in filters:
        assert vm.insert_filter(base, count, action) == 0, hex(base)
    vm.steal_base = [0x90A0000 + 64 * number for number in range(n_cpu)]
    vm.run(0)
    return vm


def answers(console: str, trace: Trace, vm: Vm) -> list[Answer]:
    """What the guest told, beside what the reference answers.

    Args:
        console: what the guest's init said on its serial port.
        trace: its calls.
        vm: the VM as fastsmc has it, see `modelled`.
    """
    version = _x0(vm, PSCI_VERSION)
    smccc = _smccc(vm, version)
    told = _dotted(smccc) if version >= PSCI_1_0 else "nothing"  # no guest asks for it before PSCI 1.0 (recorded)
    guest = tuple(map(int, re.findall(r"\d+", _found(r"guest: Linux (\d+\.\d+)", console))))
    services = _services(vm) if smccc >= FIRST_WITH_DISCOVERY and guest >= LOOKS_FOR_SERVICES else None
    stolen = smccc >= FIRST_WITH_DISCOVERY and all(
        _x0(vm, *call) == 0 for call in ((ARCH_FEATURES, PV_TIME_FEATURES), (PV_TIME_FEATURES, PV_TIME_ST))
    )
    random = smccc >= FIRST_WITH_DISCOVERY and guest >= LOOKS_FOR_TRNG and 0x10000 <= _x0(vm, TRNG_VERSION) < 1 << 31
    has_clock = services is not None and bool(services[0] & PTP_BIT)
    clock = (0 if _x0(vm, PTP) < 1 << 63 else EOPNOTSUPP) if has_clock else None
    called = set(trace.func_id.tolist())
    return [
        Answer("PSCI_VERSION", _found(r"psci: PSCIv(\d+\.\d+) detected", console), _dotted(version)),
        Answer("SMCCC_VERSION", _found(r"psci: SMC Calling Convention v(\d+\.\d+)", console), told),
        Answer(
            "VENDOR_HYP_FEATURES",
            _found(r"hypervisor services detected \((.*?)\)", console),
            "nothing" if services is None else " ".join(f"0x{word:08x}" for word in reversed(services)),
        ),
        Answer("stolen time", _yes("using stolen time PV" in console), _yes(stolen)),
        Answer("TRNG, by what is called later", _yes(TRNG_RND64 in called), _yes(random)),
        Answer("the host's clock, by errno", _clock(console), "no /dev/ptp0" if clock is None else str(clock)),
    ]


def _x0(vm: Vm, func_id: int, x1: int = 0) -> int:
    """x0 as the guest sees it: a call that is forwarded is answered NOT_SUPPORTED by our VMM."""
    outcome = vm.call(0, func_id, x1)
    return (1 << 64) - 1 if outcome.verdict is Verdict.FORWARDED else outcome.x[0]


def _smccc(vm: Vm, psci: int) -> int:
    """The SMCCC version a guest comes to: it asks only where PSCI 1.0 or later says that it may."""
    if psci < PSCI_1_0 or _x0(vm, PSCI_FEATURES, SMCCC_VERSION) >= 1 << 31:
        return 0x10000
    version = _x0(vm, SMCCC_VERSION)
    return version if version < 1 << 31 else 0x10000


def _services(vm: Vm) -> tuple[int, ...] | None:
    """The words of VENDOR_HYP_FEATURES, which is asked only where the vendor says that it is KVM."""
    uid, features = vm.call(0, CALL_UID), vm.call(0, VENDOR_FEATURES)
    if uid.verdict is not Verdict.HANDLED or tuple(uid.x) != VENDOR_UID:
        return None
    if features.verdict is not Verdict.HANDLED:
        return (0xFFFFFFFF, 0, 0, 0)
    return tuple(word & 0xFFFFFFFF for word in features.x)


def _clock(console: str) -> str:
    found = re.search(r"/dev/ptp0: \d+ times, errno of gettime (\d+), of precise (\d+)", console)
    if found is None:
        return "no /dev/ptp0" if re.search(r"/dev/ptp0: errno \d+", console) else "not told"
    return found[1] if found[1] == found[2] else f"{found[1]} and {found[2]}"


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else "nothing"


def _dotted(word: int) -> str:
    """A version as Linux prints it; PSCI 0.2 is 2.

    >>> _dotted(0x10003), _dotted(2)
    ('1.3', '0.2')
    """
    return f"{word >> 16}.{word & 0xFFFF}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def beside(trace: Trace, committed: Trace) -> tuple[list[str], list[str]]:
    """What differs from a trace of the same host and guest.

    Returns:
        Functions that only one of the two called, and those called another number of times; a sentence each.
    """
    ours, theirs = trace.by_service(), committed.by_service()
    sets, counts = [], []
    for key in sorted({*ours, *theirs}):
        here, there = ours.get(key, 0), theirs.get(key, 0)
        if not here or not there:
            sets.append(f"{key[1]}: {here} calls here, {there} there")
        elif here != there:
            why = f" ({VARYING[key[1]]})" if key[1] in VARYING else ""
            counts.append(f"{key[1]}: {here} calls here, {there} there{why}")
    return sets, counts
