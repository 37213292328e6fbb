"""Guests that called without the tracepoint of hypercalls telling it: by SMC, and what went to the VMM."""

from __future__ import annotations

import pytest

from fastsmc.errors import TraceError
from fastsmc.traces.text import parse_trace

CALL = "  CPU 0/KVM-71 [000] ...1. 2.478778: kvm_hvc_arm64: HVC at 0x40 (r0: 0x84000000, imm: 0x0)"


def event(text: str) -> str:
    return f"  CPU 0/KVM-71 [000] d..1. 2.478790: {text}"


EXITS = {
    "kvm_exit: TRAP: HSR_EC: 0x0017 (SMC64), PC: 0xffffb523b702a0b0": "SMC64",
    "kvm_exit: TRAP: HSR_EC: 0x0013 (SMC32), PC: 0xffffb523b702a0b0": "SMC32",
    "kvm_exit: TRAP: HSR_EC: 0x0016 (HVC64), PC: 0xffffb523b702a0b0": "HVC64",
    "kvm_exit: TRAP: ESR_EC: 0x12 (HVC32), PC: 0xffffb523b702a0b0": "HVC32",
    "kvm_exit: ret=2 esr_ec=0x17 vcpu_pc=0xffffb523b702a0b0": "SMC64",
    "kvm_exit: ret=0x2 (2) esr_ec=0x17 (23) vcpu_pc=0x1 (1)": "SMC64",
    "kvm_userspace_exit: reason KVM_EXIT_HYPERCALL (3)": "KVM_EXIT_HYPERCALL",
    "kvm_userspace_exit: reason=3 errno=0": "KVM_EXIT_HYPERCALL",
    "kvm_userspace_exit: reason KVM_EXIT_SYSTEM_EVENT (24)": "KVM_EXIT_SYSTEM_EVENT",
    "kvm_exit: IRQ: HSR_EC: 0x0000 (UNKNOWN), PC: 0xffffb523b702a0b0": "",
    "kvm_exit: TRAP: HSR_EC: 0x0024 (DABT_LOW), PC: 0xffffb523b702a0b0": "",
    "kvm_userspace_exit: reason KVM_EXIT_MMIO (6)": "",
    "kvm_userspace_exit: reason restart (4)": "",
}


@pytest.mark.parametrize(("text", "name"), EXITS.items())
def test_exits_of_guests_that_called_are_counted(text: str, name: str) -> None:
    trace = parse_trace([CALL, event(text), event(text)])
    assert trace.exits == ({name: 2} if name else {})
    assert (len(trace), trace.n_other_event) == (1, 2)


def test_exits_of_perf_are_counted() -> None:
    line = "CPU 0/KVM 71 [000] 2.478790: kvm:kvm_exit: TRAP: HSR_EC: 0x0017 (SMC64), PC: 0xffffb523b702a0b0"
    assert parse_trace([CALL, line, "  0.1 x/1 kvm:kvm_exit(ret: 2, esr_ec: 23)".replace("0.1", "0.100")]).exits == {
        "SMC64": 2
    }


def test_the_text_and_the_json_name_them() -> None:
    smc, hvc, forwarded = (event(text) for text in list(EXITS)[:7:3])
    del hvc
    trace = parse_trace([CALL, smc, smc, forwarded, event("kvm_userspace_exit: reason KVM_EXIT_SYSTEM_EVENT (24)")])
    told = parse_trace([CALL, smc, event("kvm_userspace_exit: reason=3"), smc])
    assert told.as_dict()["exits"] == {"KVM_EXIT_HYPERCALL": 1, "SMC64": 2}
    assert "2 SMC exits besides: calls by SMC, whose function ids" in str(told)
    assert "1 KVM_EXIT_HYPERCALL: a call by HVC or SMC that a filter forwarded to the VMM" in str(told)
    assert "1 KVM_EXIT_SYSTEM_EVENT: a PSCI call that" in str(trace)
    assert "1 SMC exit besides: a call by SMC, whose function id this" in str(parse_trace([CALL, smc]))


def test_only_smc_exits_say_what_they_do_and_do_not_tell() -> None:
    lines = [event("kvm_exit: TRAP: HSR_EC: 0x0017 (SMC64), PC: 0x10")] * 3
    with pytest.raises(TraceError, match=r"3 SMC64 were calls: an SMC exit tells that .* but not which function"):
        parse_trace(lines)
    with pytest.raises(TraceError, match=r"1 KVM_EXIT_HYPERCALL was a call, which went to the VMM"):
        parse_trace([event("kvm_userspace_exit: reason KVM_EXIT_HYPERCALL (3)")])


def test_an_immediate_is_shown_and_kept_apart() -> None:
    trace = parse_trace([CALL, CALL.replace("imm: 0x0", "imm: 0x42"), CALL])
    assert [(row["function"], row["immediate"], row["calls"]) for row in trace.as_dict()["rows"]] == [
        ("PSCI_VERSION", 0, 2),
        ("PSCI_VERSION", 0x42, 1),
    ]
    assert "PSCI_VERSION (hvc #0x42)" in str(trace)


def test_calls_are_told_as_perf_kvm_stat_does_by_part_rate_and_vcpu() -> None:
    later = CALL.replace("CPU 0/KVM-71", "CPU 1/KVM-72").replace("2.478778", "4.478778")
    trace = parse_trace([CALL, later, CALL.replace("84000000", "c4000053"), CALL])
    first, second = trace.as_dict()["rows"]
    assert (first["percent"], first["per_second"]) == (75.0, 1.5)
    assert first["vcpus"] == {"CPU 0/KVM-71": 2, "CPU 1/KVM-72": 1}
    assert second["vcpus"] == {"CPU 0/KVM-71": 1, "CPU 1/KVM-72": 0}
    _, head, row, *_ = str(trace).splitlines()
    assert head.split()[2:] == ["calls", "calls%", "calls/s", "CPU", "0/KVM-71", "CPU", "1/KVM-72"]
    assert row.split()[2:] == ["3", "75.00%", "1.50", "2", "1"]


def test_many_vcpus_have_their_least_and_most() -> None:
    lines = [CALL.replace("KVM-71", f"KVM-{71 + k}") for k in range(20)]
    trace = parse_trace([*lines, CALL])
    assert str(trace).splitlines()[2].split()[-3:] == ["20", "1", "2"]
    assert max(map(len, str(trace).splitlines())) < 120
    assert len(trace.as_dict()["rows"][0]["vcpus"]) == 20
