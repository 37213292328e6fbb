"""What the tracepoints of KVM print of a hypercall, and of the exits of guests that called.

Sources: Linux arch/arm64/kvm/trace_handle_exit.h, TRACE_EVENT(kvm_hvc_arm64): "HVC at 0x%016lx (r0: 0x%016lx, imm:
0x%lx)"; trace_arm.h, TRACE_EVENT(kvm_exit) and TRACE_EVENT(kvm_inject_nested_exception), "%s: esr_el2 0x%lx elr_el2:
0x%lx ...", of which no line was recorded; include/trace/events/kvm.h, TRACE_EVENT(kvm_userspace_exit); the exception
classes in arch/arm64/include/asm/esr.h; KVM_EXIT_* in include/uapi/linux/kvm.h. Without the kernel's own format, tools
print the fields: vcpu_pc, r0, imm.
"""

from __future__ import annotations

import re

from fastsmc.calls.vel2 import VEL2

EVENT = "kvm_hvc_arm64"
CALLS = frozenset({EVENT, f"kvm:{EVENT}"})
"""Names that tools give the tracepoint of hypercalls."""
_LEFT = ("kvm_exit", "kvm_userspace_exit", "kvm_inject_nested_exception")
EXITS = frozenset({*_LEFT, *(f"kvm:{name}" for name in _LEFT)})
"""Names of the tracepoints that tell why a guest left, and what became of it in a guest's own EL2."""

# The immediate of an HVC is 16 bits (ESR_ELx.ISS), printed as an unsigned long.
_HVC = re.compile(
    r"HVC at 0x([0-9a-fA-F]{1,16}) \(r0: 0x([0-9a-fA-F]{1,16}), imm: 0x(0{0,12}[0-9a-fA-F]{1,4})\)", re.ASCII
)
_NUMBER = r"(0x[0-9a-fA-F]{1,16}|-?\d{1,20})(?![0-9a-zA-Z])(?:\s{1,8}\(-?\d{1,20}\))?"
_FIELD = re.compile(rf"(\w{{1,64}})(?:=|: | = ){_NUMBER}", re.ASCII)
_UNFORMATTED = "[FAILED TO PARSE]"
_EC = re.compile(r"(?:\w+: )?[HE]SR_EC: (0x[0-9a-fA-F]{1,8})\b|.{0,200}?\besr_ec(?:=|: | = )(0x[0-9a-f]{1,8}|\d{1,9})")
_REASON = re.compile(
    r"reason (?!restart|error)\w+ \((\d{1,9})\)|.{0,200}?\breason(?:=|: | = )(0x[0-9a-f]{1,8}|\d{1,9})"
)
_ESR = re.compile(r"(?:\w+: |.{0,200}?\b)esr_el2(?:=|: | = | )(0x[0-9a-f]{1,16}|\d{1,20})\b")
_EC_SHIFT, _EC_MASK = 26, 0x3F
_CLASSES = {0x12: "HVC32", 0x13: "SMC32", 0x16: "HVC64", 0x17: "SMC64"}
_REASONS = {3: "KVM_EXIT_HYPERCALL", 24: "KVM_EXIT_SYSTEM_EVENT"}

_MAX_BODY = 2048
"""Characters of fields that are looked at: a call has a hundred, with a tracer's context some hundred."""

Body = tuple[int, int, int]
"""pc, r0, imm."""


def tracepoint(event: str | None) -> str:
    """The name of an event without what perf writes behind it, the modifiers that it was recorded with.

    >>> tracepoint("kvm:kvm_hvc_arm64:H"), tracepoint("kvm_exit"), tracepoint(None)
    ('kvm:kvm_hvc_arm64', 'kvm_exit', '')
    """
    return event.rpartition(":")[0] if event and event.startswith("kvm:") and event.count(":") == 2 else event or ""


def call_of(line: str, start: int, *, is_perf: bool, is_perf_trace: bool = False) -> Body | None:
    """What is printed of a hypercall from a column on; None if it is malformed.

    Args:
        is_perf: addresses and symbols may follow, as with `perf script -F +ip,sym`.
        is_perf_trace: fields that are zero are left out, and a bracket closes.
    """
    if hvc := _HVC.match(line, start):
        rest = line[hvc.end() :].strip()
        if rest and rest != "*/" and (not is_perf or EVENT in rest):  # function_graph has events as comments
            return None
        pc, r0, imm = hvc.groups()
        return int(pc, 16), int(r0, 16), int(imm, 16)
    text = line[start : start + _MAX_BODY].strip().removeprefix(_UNFORMATTED)
    begins = text.rfind("{")  # Babeltrace has the context of the event before it, in braces of its own
    if (is_perf_trace and not text.endswith(")")) or (begins >= 0 and not text.endswith("}")):
        return None
    return _of_fields(text[max(0, begins) :], has_all=not is_perf_trace)


def _of_fields(text: str, *, has_all: bool) -> Body | None:
    """The same where the fields are printed by name."""
    if _FIELD.sub("", text).strip(" \t,{}()"):
        return None
    fields = {field[1]: _number(field[2]) for field in _FIELD.finditer(text)}
    if has_all and not fields.keys() >= {"vcpu_pc", "r0", "imm"}:
        return None
    pc, r0, imm = (fields.get(name, 0) for name in ("vcpu_pc", "r0", "imm"))
    pc, r0 = (value + (1 << 64) if value < 0 else value for value in (pc, r0))
    return (pc, r0, imm) if 0 <= pc < 1 << 64 and 0 <= r0 < 1 << 64 and 0 <= imm <= 0xFFFF else None


def _number(text: str) -> int:
    return int(text, 16) if text.startswith("0x") else int(text)


def field_of(line: str, start: int, *names: str) -> int | None:
    """The first field that has one of the names, as a number; None where there is none."""
    for field in _FIELD.finditer(line, start):
        if field[1] in names:
            return _number(field[2])
    return None


def exit_of(event: str, line: str, start: int) -> str | None:
    """What a line of one of EXITS says of calls: HVC64, SMC64, KVM_EXIT_HYPERCALL, vEL2 HVC64; None: nothing."""
    if "nested" in event:
        esr = _ESR.match(line, start)
        kind = _CLASSES.get(_number(esr[1]) >> _EC_SHIFT & _EC_MASK) if esr else None
        return kind and f"{VEL2} {kind}"
    pattern, names = (_REASON, _REASONS) if "userspace" in event else (_EC, _CLASSES)
    found = pattern.match(line, start)
    if found is None:
        return None
    return names.get(_number(found[1] or found[2]))
