"""What stands before a call in each tool's text and under its options, and what stands between the calls.

The forms are those of the tools' sources (fastsmc/traces/context.py names them); the lines are written for these tests.
"""

from __future__ import annotations

import pytest

from fastsmc.calls.trace import Trace
from fastsmc.errors import TraceError
from fastsmc.traces.text import parse_trace

PC, ID = 0xFFFF_8000_1234_50AC, 0xC400_0053
HVC = f"HVC at {PC:#x} (r0: 0x{ID:016x}, imm: 0x7)"
SIGNED = PC - (1 << 64)
WHO = ("vcpu 3", 4711)
NS = 90_210_123_456_000
US = NS % 10**9 // 1000

FULL = {
    "ftrace": f"          vcpu 3-4711    [012] d..2. 90210.123456: kvm_hvc_arm64: {HVC}",
    "ftrace, tgid and RT flags": f"   vcpu 3-4711    (   4700) [012] d..h2.1 90210.123456: kvm_hvc_arm64: {HVC}",
    "ftrace, no flags": f"          vcpu 3-4711    [012] 90210.123456: kvm_hvc_arm64: {HVC}",
    "ftrace fields": "          vcpu 3-4711    [012] d..2. 90210.123456: kvm_hvc_arm64: "
    f"vcpu_pc={PC:#x} ({SIGNED}) r0={ID:#x} ({ID}) imm=0x7 (7)",
    "trace-cmd": f"          vcpu 3-4711  [012] 90210.123456: kvm_hvc_arm64:        {HVC}",
    "trace-cmd --ts-diff": f"          vcpu 3-4711  [012] 90210.123456: (+3930)   kvm_hvc_arm64:  {HVC}",
    "trace-cmd -l": f"  vcpu 3-4711    12d..2    90210.123456: kvm_hvc_arm64:        {HVC}",
    "trace-cmd -R": f"          vcpu 3-4711  [012] 90210.123456: kvm_hvc_arm64:  vcpu_pc={PC:#x} r0={ID:#x} imm=7",
    "trace-cmd, no format": "          vcpu 3-4711  [012] 90210.123456: kvm_hvc_arm64:  [FAILED TO PARSE] "
    f"vcpu_pc={PC:#x} r0={ID:#x} imm=0x7",
    "Perfetto": f"   vcpu 3-4711    (   4700) [012] .... 90210.123456: kvm_hvc_arm64: vcpu_pc={PC} r0={ID} imm=7",
    "perf": f"          vcpu 3  4711 [012] 90210.123456: kvm:kvm_hvc_arm64: {HVC}",
    "perf pid/tid, ns, period": f"  vcpu 3  4700/4711  [012] 90210.123456000:     1 kvm:kvm_hvc_arm64: {HVC}",
    "perf misc": f"          vcpu 3  4711 [012] K   90210.123456: kvm:kvm_hvc_arm64: {HVC}",
    "perf +ip,sym": f"   vcpu 3  4711 [012] 90210.123456: kvm:kvm_hvc_arm64: {HVC}  ffffd1 handle_hvc+0xe0 ([kernel])",
    "dmesg": f"[  112.345] vcpu 3-4711    [012] d..2. 90210.123456: kvm_hvc_arm64: {HVC}".replace("345]", "345678]"),
    "journalctl": f"Nov 24 10:00:00 h1 kernel: vcpu 3-4711  [012] d..2. 90210.123456: kvm_hvc_arm64: {HVC}".replace(
        "kernel: ", "kernel: [  112.345678] "
    ),
    "journalctl, as it is": f"Nov 24 10:00:00 h1 kernel: vcpu 3-4711  [012] d..2. 90210.123456: kvm_hvc_arm64: {HVC}",
    "journalctl -o short-iso": f"2026-11-24T10:00:00+00 h kernel: vcpu 3-4711 [012] 90210.123456: kvm_hvc_arm64: {HVC}",
    "grep -n": f"12:          vcpu 3-4711    [012] d..2. 90210.123456: kvm_hvc_arm64: {HVC}",
    "cat -n": f"    12\t          vcpu 3-4711    [012] d..2. 90210.123456: kvm_hvc_arm64: {HVC}",
    "perf, recorded with a modifier": f"  vcpu 3  4711 [012] 90210.123456: kvm:kvm_hvc_arm64:H: {HVC}",
    "kubectl logs --timestamps": f"2026-11-24T10:00:00.123456789Z vcpu 3-4711 [012] 90210.123456: kvm_hvc_arm64: {HVC}",
    "kubectl logs --prefix": f"[pod/tracer-x/tracer]  vcpu 3-4711 [012] 90210.123456: kvm_hvc_arm64: {HVC}",
    "docker compose": f"tracer-1  |   vcpu 3-4711 [012] 90210.123456: kvm_hvc_arm64: {HVC}",
    "ts": f"Nov 24 10:00:00   vcpu 3-4711 [012] 90210.123456: kvm_hvc_arm64: {HVC}",
    "ts -i": f"00:00:01   vcpu 3-4711 [012] 90210.123456: kvm_hvc_arm64: {HVC}",
    "journalctl of a service": f"Nov 24 10:00:00 h1 tracer[123]: vcpu 3-4711 [012] 90210.123456: kvm_hvc_arm64: {HVC}",
    "syslog": f"<13>1 2026-11-24T10:00:00Z h1 trace-cmd 123 - - vcpu 3-4711 [012] 90210.123456: kvm_hvc_arm64: {HVC}",
    "colours": f"\x1b[32mvcpu 3-4711 [012] 90210.123456: \x1b[01;31m\x1b[Kkvm_hvc_arm64\x1b[m\x1b[K: {HVC}\x1b[0m",
    "CRLF": f"          vcpu 3-4711    [012] d..2. 90210.123456: kvm_hvc_arm64: {HVC}\r\n",
}
"""Lines that tell everything: comm, pid, CPU 12, time, pc, id and immediate."""

LESS = {
    "ftrace latency-format": (f"  vcpu 3-4711     12d..2. 2478779us+: kvm_hvc_arm64: {HVC}", WHO, 12, 2_478_779_000),
    "ftrace latency-format, verbose": (
        f"          vcpu 3    4711  12 1 00000001 00000000 [00025d2a] 2478.778ms (+0.001ms): kvm_hvc_arm64: {HVC}",
        WHO, 12, 2_478_778_000,
    ),
    "dmesg of a dump": (
        f"[  112.345678] vcpu 3-4711     12d..2. 2478779us : kvm_hvc_arm64: {HVC}", WHO, 12, 2_478_779_000
    ),
    "ftrace, a counter as clock": (f"   vcpu 3-4711  [012] d..2. 1183942201: kvm_hvc_arm64: {HVC}", WHO, 12, None),
    "ftrace, no context": (f"kvm_hvc_arm64: {HVC}", ("", -1), -1, None),
    "function_graph": (f" 12)               |  /* kvm_hvc_arm64: {HVC} */", ("", -1), 12, None),
    "function_graph, proc and abstime": (
        f"90210.123456 |  12)   vcpu 3-4711  |               |    /* kvm_hvc_arm64: {HVC} */", WHO, 12, NS
    ),
    "perf -F time,event,trace": (f"90210.123456: kvm:kvm_hvc_arm64: {HVC}", ("", -1), -1, NS),
    "perf -F time,trace": (f"90210.123456: {HVC}", ("", -1), -1, NS),
    "perf -F trace": (f"  {HVC}", ("", -1), -1, None),
    "perf -F event,trace": (f"kvm:kvm_hvc_arm64: {HVC}", ("", -1), -1, None),
    "perf -F comm,tid,time,event,trace": (f"  vcpu 3 4711 90210.123456: kvm:kvm_hvc_arm64: {HVC}", WHO, -1, NS),
    "perf -F comm,tid,event,trace": (f"  vcpu 3 4711 kvm:kvm_hvc_arm64: {HVC}", WHO, -1, None),
    "perf -F comm,cpu,time,event,trace": (
        f"   CPU 3/KVM [012] 90210.123456: kvm:kvm_hvc_arm64: {HVC}", ("CPU 3/KVM", -1), 12, NS
    ),
    "perf -F cpu,time,event,trace": (f"[012] 90210.123456: kvm:kvm_hvc_arm64: {HVC}", ("", -1), 12, NS),
    "perf, no such thread": (f"  :4711 4711 [012] 90210.123456: kvm:kvm_hvc_arm64: {HVC}", (":4711", 4711), 12, NS),
    "perf trace": (
        f"   0.412 vcpu 3/4711 kvm:kvm_hvc_arm64(vcpu_pc: {PC}, r0: {ID}, imm: 7)", WHO, -1, 412_000
    ),
    "perf trace of one thread": (
        f"   0.412 (         ): kvm:kvm_hvc_arm64(vcpu_pc: {PC}, r0: {ID}, imm: 7)", ("", -1), -1, 412_000
    ),
    "old perf trace": (f"   0.412 vcpu 3/4711 kvm:kvm_hvc_arm64:{HVC})".replace("7))", "7)"), WHO, -1, 412_000),
    "Babeltrace, LTTng": (
        "[14:02:11.483920115] (+?.?????????) h1 kvm_hvc_arm64: { cpu_id = 12 }, "
        f"{{ vcpu_pc = 0x{PC:X}, r0 = 0x{ID:X}, imm = 0x7 }}",
        ("", -1), 12, 50_531_483_920_115,
    ),
    "Babeltrace, perf": (
        "[90210.123456000] (+0.000010000) kvm:kvm_hvc_arm64: { cpu_id = 12 }, { perf_ip = 0xFFFF, perf_tid = 4711, "
        f"perf_pid = 4700, vcpu_pc = {PC}, r0 = {ID}, imm = 7 }}",
        ("", 4711), 12, NS,
    ),
}  # fmt: skip
"""Lines that lack something: who, on which CPU (-1: not told), and when (None: not told)."""


def only(line: str) -> Trace:
    trace = parse_trace([line])
    assert (len(trace), trace.n_other_event, trace.n_lost) == (1, 0, 0)
    assert (trace.pc.tolist(), trace.r0.tolist(), trace.imm.tolist()) == ([PC], [ID], [7])
    return trace


@pytest.mark.parametrize("line", FULL.values(), ids=FULL)
def test_a_whole_line_is_read_whole(line: str) -> None:
    trace = only(line)
    assert trace.comm == {WHO[1]: (WHO[0],)}
    assert (trace.cpu.tolist(), trace.pid.tolist(), trace.time_ns.tolist()) == ([12], [WHO[1]], [NS])
    assert trace.has_times
    assert trace.files == {}


@pytest.mark.parametrize(("line", "who", "cpu", "time_ns"), LESS.values(), ids=LESS)
def test_what_a_line_lacks_is_not_made_up(line: str, who: tuple[str, int], cpu: int, time_ns: int | None) -> None:
    trace = only(line)
    assert (trace.pid.tolist(), trace.cpu.tolist()) == ([who[1]], [cpu])
    assert trace.comm.get(who[1], ("",)) in ((who[0],), ())
    assert trace.has_times == (time_ns is not None)
    assert trace.time_ns.tolist() == [time_ns or 0]


def test_perf_trace_leaves_out_what_is_zero() -> None:
    trace = parse_trace(["  0.412 vcpu 3/4711 kvm:kvm_hvc_arm64()", f"  0.500 vcpu 3/4711 kvm:kvm_hvc_arm64(r0: {ID})"])
    assert (trace.r0.tolist(), trace.imm.tolist()) == ([0, ID], [0, 0])


def test_one_call_without_a_time_leaves_the_trace_without() -> None:
    trace = parse_trace([FULL["perf"], LESS["perf -F trace"][0]])
    assert not trace.has_times
    assert trace.time_ns.tolist() == [0, 0]


def test_a_clock_of_the_day_goes_on_at_midnight() -> None:
    line = LESS["Babeltrace, LTTng"][0]
    lines = [line.replace("14:02:11.483920115", stamp) for stamp in ("23:59:59.999999999", "00:00:00.000000001")]
    first, second = parse_trace(lines).time_ns.tolist()
    assert second - first == 2


def test_the_file_that_a_tool_put_before_a_line_is_no_part_of_the_comm() -> None:
    call = FULL["ftrace"]
    trace = parse_trace([f"a.txt:12:{call}", f"b.txt:7:{call}", f"  b.txt: {call}", f"b.txt-8-{call}"])
    assert trace.comm == {WHO[1]: (WHO[0],)}
    assert trace.files == {"a.txt": 1, "b.txt": 3}
    assert "from 2 files: 1 call in a.txt, 3 calls in b.txt" in str(trace)


BETWEEN = {
    "perf call chain": "\tffffd1c2a0b4 handle_hvc+0xe0 ([kernel.kallsyms])",
    "perf call chain, unresolved": "\t    ffffa2c3d9cb [unknown] ([unknown])",
    "perf inlined": "            handle_hvc (inlined)",
    "perf srcline": "  arch/arm64/kvm/handle_exit.c:41",
    "ftrace stack": " => trace_event_raw_event_kvm_hvc_arm64",
    "function_graph function": " 12)   1.204 us    |  }",
    "function_graph switch": " 12)   bash-99  =>  vcpu 3-4711",
    "grep between groups": "--",
    "Markdown": "```text",
    "head of several files": "==> b.txt <==",
    "perf record": "[ perf record: Woken up 1 times to write data ]",
    "several files of trace-cmd": "trace.dat: cpus=2",
    "systrace": "TRACE:",
    "log of the kernel": "[  112.345678] Dumping ftrace buffer:",
}


@pytest.mark.parametrize("line", BETWEEN.values(), ids=BETWEEN)
def test_what_says_nothing_is_passed_over(line: str) -> None:
    trace = parse_trace([FULL["ftrace"], line, FULL["ftrace"]])
    assert (len(trace), trace.n_other_event, trace.n_lost, trace.n_skipped) == (2, 0, 0, 0)


OTHERS = {
    "side-band": "vcpu 3 4711 [012] 90210.123400: PERF_RECORD_COMM exec: vcpu 3:4711/4711",
    "switch": "vcpu 3 4711 [012] 90210.123420: PERF_RECORD_SWITCH_CPU_WIDE OUT          next pid/tid:     0/0",
    "function tracer": "  vcpu 3-4711    [012] d..2. 90210.123456: handle_hvc <-handle_exit",
    "stack trace": "  vcpu 3-4711    [012] d..2. 90210.123456: <stack trace>",
    "marker": f"  bash-99    [001] ..... 90210.123456: tracing_mark_write: kvm_hvc_arm64: {HVC}",
    "raw marker": "  bash-99    [001] ..... 90210.123456: 0xffffffff9100: end",
    "latency-format": "  bash-99     1d..2. 2478779us+: sched_switch: prev_comm=x",
    "perf trace": "   0.412 vcpu 3/4711 kvm:kvm_exit(ret: 2, esr_ec: 22)",
    "no task": "[012] 90210.123456: hyp_enter: reason=1",
    "Babeltrace": "[14:02:11.483920115] (+?.?????????) h1 syscall_entry_ioctl: { cpu_id = 12 }, { fd = 3 }",
}


@pytest.mark.parametrize("line", OTHERS.values(), ids=OTHERS)
def test_other_events_of_every_form_are_counted_as_such(line: str) -> None:
    trace = parse_trace([FULL["ftrace"], line, FULL["ftrace"]])
    assert (len(trace), trace.n_other_event, trace.n_lost) == (2, 1, 0)


DAMAGED = {
    "no closing bracket": LESS["perf trace"][0][:-1],
    "no imm among fields": FULL["ftrace fields"].replace("imm=", "im="),
    "imm past 16 bits": FULL["trace-cmd -R"].replace("imm=7", "imm=65536"),
    "r0 past 64 bits": FULL["Perfetto"].replace(str(ID), str(1 << 64)),
    "two calls after perf": FULL["perf"] + FULL["perf"],
    "a field that is no number": FULL["trace-cmd -R"].replace("imm=7", "imm=x7"),
    "Babeltrace cut": LESS["Babeltrace, LTTng"][0][:-3],
    "milliseconds": FULL["perf"].replace("123456", "123"),
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_call_is_told_as_a_call(line: str) -> None:
    with pytest.raises(TraceError, match=r"<text>:2: damaged kvm_hvc_arm64 line.*--lenient"):
        parse_trace([FULL["ftrace"], line])
    trace = parse_trace([FULL["ftrace"], line, "gibberish", line], lenient=True)
    assert (len(trace), trace.n_skipped, trace.n_skipped_call) == (1, 3, 2)
    assert str(trace).splitlines()[0].endswith("2 calls and 1 line skipped, the first at line 2")
    assert trace.as_dict()["skipped_calls"] == 2


@pytest.mark.parametrize(("line", "who", "cpu", "time_ns"), LESS.values(), ids=LESS)
def test_a_line_of_any_form_cut_short_is_never_another_call(
    line: str, who: tuple[str, int], cpu: int, time_ns: int | None
) -> None:
    for end in range(len(line)):
        try:
            read = parse_trace([line[:end]])
        except TraceError:
            continue
        assert (read.r0.tolist(), read.pc.tolist(), read.imm.tolist()) == ([ID], [PC], [7]), line[:end]


def test_a_call_without_its_function_id_says_how_to_print_it() -> None:
    line = "  vcpu 3  4711 [012] 90210.123456: kvm:kvm_hvc_arm64:  ffffd1c2a0b4 handle_hvc+0xe0 ([kernel.kallsyms])"
    with pytest.raises(TraceError, match=r"<text>:1: a call without its function id.*perf script with `-F \+trace`"):
        parse_trace([line])
    assert parse_trace([FULL["perf"], line], lenient=True).n_skipped_call == 1


LOST = {
    "ftrace": ("CPU:0 [LOST EVENTS]", None),
    "trace-cmd": ("CPU:7 [EVENTS DROPPED]", None),
    "perf, chunks": ("Processed 99 events and lost 4 chunks!", None),
    "perf, samples": ("Processed 99 samples and lost 12.50%!", None),
    "perf, records": ("  qemu 85 [000]  5.329998: PERF_RECORD_LOST lost 9", 9),
    "perf trace": ("LOST 9 events!", 9),
    "LTTng": ("[warning] Tracer discarded 9 events between [1] and [2]", 9),
    "LTTng, packets": ("WARNING: Tracer discarded 9 packets between [1] and [2]", None),
    "LTTng, perhaps": ("WARNING: Tracer may have discarded events between [1] and [2]", None),
}
"""Notices, and how many events they say are missing; None: they do not say how many."""


@pytest.mark.parametrize(("notice", "n"), LOST.values(), ids=LOST)
def test_what_is_lost_without_a_number_is_never_told_as_one(notice: str, n: int | None) -> None:
    trace = parse_trace([FULL["perf"], "Warning:", notice])
    assert (trace.n_lost, trace.is_lost_least, trace.n_skipped) == (n or 0, n is None, 0)
    told = trace.as_dict()
    assert (told["lost"], told["lost_at_least"]) == (n, n or 0)
    words = "an unknown number" if n is None else str(n)
    assert str(trace).startswith(f"1 call (recorded), {words} lost by the tracer")
    assert f"1 call, {words} lost" in repr(trace)
    more = parse_trace([FULL["perf"], notice, "CPU:0 [LOST 3 EVENTS]"])
    assert str(more).splitlines()[0].endswith(f"{'at least 3' if n is None else 12} lost by the tracer")
    with pytest.raises(TraceError, match=f"no event at all, {words}( of)? events lost"):
        parse_trace([notice])


PROMPTS = [
    "$ sudo perf record -e kvm:kvm_hvc_arm64",
    "root@host:~# cat trace | grep kvm_hvc_arm64",
    "[root@host tracing]# grep kvm_hvc_arm64: trace",
    "(venv) user@host:/sys/kernel/tracing$ echo 1 > events/kvm/kvm_hvc_arm64/enable",
    "host:/sys/kernel/tracing # cat set_event",
    "sh-5.1$ perf script -F +trace",
    "user@mac ~ % scp host:kvm_hvc_arm64.txt .",
    "~ # cat trace_pipe",
    "$",
]


@pytest.mark.parametrize("line", PROMPTS)
def test_a_command_that_names_the_event_is_no_call(line: str) -> None:
    trace = parse_trace([line, FULL["ftrace"], f"{line}\r\n"])
    assert (len(trace), trace.n_skipped, trace.n_other_event) == (1, 0, 0)


@pytest.mark.parametrize("form", ["ftrace", "ftrace fields", "perf", "trace-cmd -R"])
def test_a_damaged_call_behind_what_looks_like_a_prompt_is_not_passed_over(form: str) -> None:
    with pytest.raises(TraceError, match="<text>:1: damaged kvm_hvc_arm64 line"):
        parse_trace([f"$ {FULL[form]}".replace("imm", "im"), FULL[form]])


@pytest.mark.parametrize("line", ["sudo perf record -e kvm:kvm_hvc_arm64", "name: kvm_hvc_arm64", "kvm_hvc_arm64 x"])
def test_a_line_that_names_the_event_is_not_counted_as_a_call(line: str) -> None:
    with pytest.raises(TraceError, match="<text>:2: not a line of ftrace"):
        parse_trace([FULL["ftrace"], line])
    trace = parse_trace([FULL["ftrace"], line], lenient=True)
    assert (trace.n_skipped, trace.n_skipped_call) == (1, 0)


@pytest.mark.parametrize("form", ["ftrace", "perf", "ftrace fields", "trace-cmd -R"])
def test_a_last_line_that_is_cut_says_so(form: str) -> None:
    whole = f"{FULL[form]}\n"
    assert len(parse_trace(whole + whole)) == 2
    for end in range(len(whole) - 40, len(whole) - 1):
        cut = whole[:end]
        if cut[-1] in " ,(" and "imm=" in cut:  # the number is whole
            continue
        with pytest.raises(TraceError, match=r"<text>:2: the file ends in the middle of a line.*--lenient"):
            parse_trace(whole + cut)
        trace = parse_trace(whole + cut, lenient=True)
        assert (len(trace), trace.n_skipped, trace.n_skipped_call) == (1, 1, 1)


def test_a_last_line_without_its_end_is_read_where_nothing_can_be_missing() -> None:
    assert len(parse_trace(f"{FULL['ftrace']}\n{FULL['ftrace']}")) == 2
    with pytest.raises(TraceError, match="ends in the middle"):
        parse_trace(f"{FULL['trace-cmd -R']}\n{FULL['trace-cmd -R']}")  # imm=7 may be imm=71


@pytest.mark.parametrize(
    "form", ["perf -F event,trace", "perf -F trace", "perf -F comm,tid,event,trace", "ftrace, no context"]
)
def test_a_count_of_uniq_is_not_taken_for_a_thread(form: str) -> None:
    line = LESS[form][0]
    with pytest.raises(TraceError, match=r"<text>:2: .*begins with is a count of `uniq -c` or a thread's.*`-F \+time`"):
        parse_trace([line, f"     41 {line}"])
    trace = parse_trace([line, f"     41 {line}", f"  12\t{line}"], lenient=True)
    assert (len(trace), trace.n_skipped_call) == (2, 1)


def test_a_call_cut_within_its_body_is_damaged_and_not_without_its_fields() -> None:
    with pytest.raises(TraceError, match="<text>:1: damaged kvm_hvc_arm64 line"):
        parse_trace([FULL["perf"][:-40], FULL["perf"]])


CALL = "init    85 [000]     5.329998: kvm:kvm_hvc_arm64: HVC at 0x40 (r0: 0x84000000, imm: 0x0)"


@pytest.mark.parametrize(
    ("records", "samples", "n", "is_least"),
    [(42, 42, 42, False), (42, 0, 42, False), (0, 7, 7, False), (40, 42, 42, True)],
)
def test_a_loss_that_perf_tells_twice_is_counted_once(records: int, samples: int, n: int, is_least: bool) -> None:
    """By the buffer that was full, and by the event whose samples did not fit."""
    told = [f"  qemu   85 [000]  5.1: PERF_RECORD_LOST lost {records}"] * bool(records)
    told += [f"  qemu   85 [000]  5.2: PERF_RECORD_LOST_SAMPLES lost {samples}  (BPF)"] * bool(samples)
    read = parse_trace("\n".join([CALL, *told]) + "\n")
    assert (read.n_lost, read.is_lost_least) == (n, is_least)
