"""Text that tools print of guests' exits without any single call: what it is, and what to do instead."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fastsmc.calls.vel2 import NOT_HERE
from fastsmc.checks import cut
from fastsmc.results.units import number_of

RECORD_COMMAND = "trace-cmd record -e kvm:kvm_hvc_arm64"
_ENABLE = "/sys/kernel/tracing/events/kvm/kvm_hvc_arm64/enable"
SMC_SAYS = (
    "an SMC exit tells that a guest called, when and on which vCPU, but not which function: kvm_hvc_arm64 does not "
    "fire for SMC, so the id has to be read from x0 where KVM has it (handle_smc of arch/arm64/kvm/handle_exit.c)"
)

_KVM_STAT_ROW = re.compile(r"\s*(HVC32|HVC64|SMC32|SMC64)\s+(\d{1,18})\s+[\d.]+%.*", re.ASCII)
_HEADS = (
    (r"\s*Analyze events for (?:all VMs|pid).*|\s*VM-EXIT\s+Samples\b.*", "perf kvm stat"),
    (r"\s*<(?:!DOCTYPE html|html)\b.*", "HTML"),
    (r'\s*\{\s*"linux-perf-json-version".*', "perf JSON"),
    (r'\s*[\[{].{0,20}"(?:traceEvents|ph|pid|displayTimeUnit)".*', "Chrome JSON"),
    (r"\s*Performance counter stats for .*", "perf stat"),
    (r"# (?:To display the perf\.data header info|Overhead ).*|#\s+Overhead\s.*", "perf report"),
    (r"CPU: ?\d+\s*|Kernel buffer statistics:.*|entries: \d+\s*", "trace-cmd report --stat"),
)
_HEAD = tuple((re.compile(pattern, re.ASCII | re.IGNORECASE), kind) for pattern, kind in _HEADS)
_RECORD = f"record single calls with `{RECORD_COMMAND}`"
_WHAT = {
    "perf kvm stat": ("a table of perf kvm stat, which counts exits by reason and has no function ids", _RECORD),
    "HTML": ("a web page, as systrace writes it, not a trace", "take its lines out with `grep kvm_ {} > trace.txt`"),
    "perf JSON": ("JSON of perf data convert, not text", "make text of the recording with `perf script -i perf.data`"),
    "Chrome JSON": ("JSON of Chrome's trace viewer or Perfetto, not text", "make text with `traceconv systrace`"),
    "perf stat": ("totals of perf stat, without function ids", _RECORD),
    "perf report": ("a table of perf report, not single calls", "print those with `perf script -i perf.data`"),
    "trace-cmd report --stat": (
        "statistics of trace-cmd's buffers, not events",
        "print those with `trace-cmd report -i trace.dat`",
    ),
}


@dataclass(slots=True)
class Recognised:
    """Which of these formats the lines read so far have.

    Attributes:
        kind: "" while none is recognised.
        exits: how many exits a table of perf kvm stat counts, by reason, where the guest called.
    """

    kind: str = ""
    exits: dict[str, int] = field(default_factory=dict)

    def takes(self, line: str) -> bool:
        """Whether the line belongs to such a format."""
        if not self.kind:
            self.kind = next((kind for pattern, kind in _HEAD if pattern.fullmatch(line)), "")
        if self.kind == "perf kvm stat" and (row := _KVM_STAT_ROW.fullmatch(line)):
            self.exits[row[1]] = self.exits.get(row[1], 0) + int(row[2])
        return bool(self.kind)

    def sentence(self, where: str) -> str:
        """What the file is, and the command that makes a readable one."""
        what, hint = _WHAT[self.kind]
        counted = ", ".join(f"{name} {n}" for name, n in self.exits.items())
        held = f" (it has {counted})" if counted else ""
        says = f"; {SMC_SAYS}" if any(name.startswith("SMC") for name in self.exits) else ""
        return f"{where}: {what}{held}; {hint.format(where)}{says}"


def nothing_in(where: str, *, is_blank: bool) -> str:
    """The sentence about a text that has no event at all.

    Args:
        is_blank: it has no header either.
    """
    if is_blank:
        return (
            f"{where}: it is empty, so it has no call; see whether the command that should write it failed, and record "
            f"with `{RECORD_COMMAND}`, then print with `trace-cmd report`"
        )
    return (
        f"{where}: a tracer's header and no event at all, so no call; either the event was not enabled, or no guest "
        f"made a hypercall meanwhile: enable it with `echo 1 > {_ENABLE}`, or record with `{RECORD_COMMAND}`, while "
        "the guest boots"
    )


def no_call(where: str, other: dict[str, int], exits: dict[str, int], missing: str, *, el2: bool) -> str:
    """The sentence about a trace without calls: what it holds, and what that does and does not tell.

    Args:
        el2: the guest has EL2, so that of its calls KVM answers SMCs.
    """
    held = [f"{count} {cut(event)}" for event, count in sorted(other.items(), key=lambda item: -item[1])[:5]]
    if len(other) > 5:
        held.append(number_of(len(other) - 5, "more kind"))
    text = f"{where}: no kvm_hvc_arm64 event in it (it holds {', '.join(held) or 'no event at all'}{missing})"
    if exits:
        told = ", ".join(f"{n} {name}" for name, n in exits.items())
        text += f"; of the exits, {told} {'was a call' if sum(exits.values()) == 1 else 'were calls'}"
    if el2:
        return f"{text}; {NOT_HERE}"
    if any(name.startswith("SMC") for name in exits):
        return f"{text}: {SMC_SAYS}; HVCs are recorded with `{RECORD_COMMAND}`"
    if "KVM_EXIT_HYPERCALL" in exits:
        text += ", which went to the VMM; its log knows their function ids"
    return f"{text}; record it with `{RECORD_COMMAND}`"
