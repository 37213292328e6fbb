"""Traces: real samples against a reading that shares nothing with the parser, and a round trip through each format."""

from __future__ import annotations

import gzip
import lzma
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fastsmc.calls.trace import Trace
from fastsmc.errors import TraceError
from fastsmc.traces.text import parse_trace
from fastsmc.traces.text import trace as read_trace
from tests.support.places import ROOT, TESTS

HERE = TESTS / "recordings" / "guest-traces"
SAMPLES = ["5.10-5.10.ftrace.txt", "6.1-6.1.ftrace.txt", "7.3-7.3.ftrace.txt", "tools-6.1.ftrace.txt"]
CUT = HERE / "6.12-6.12-allkvm-cut.ftrace.txt.gz"
BODY = "HVC at 0xffffa22fb984a580 (r0: 0x00000000c4000053, imm: 0x0)"
LINE = f"            init-85      [000] .....     5.329998: kvm_hvc_arm64: {BODY}"

Event = tuple[str, int, int, int, int, int, int]  # comm, pid, cpu, time_ns, pc, r0, imm


def events_of(trace: Trace) -> list[tuple[int, ...]]:
    columns = (trace.pid, trace.cpu, trace.time_ns, trace.pc, trace.r0, trace.imm)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def stamp(time_ns: int, *, nano: bool) -> str:
    digits = f"{time_ns // 10**9:5d}.{time_ns % 10**9:09d}"
    return digits if nano else digits[:-3]


def hvc(event: Event) -> str:
    return f"HVC at 0x{event[4]:016x} (r0: 0x{event[5]:016x}, imm: 0x{event[6]:x})"


def as_ftrace(event: Event, *, nano: bool = False, flags: str = ".....", tgid: str = "") -> str:
    comm, pid, cpu, time_ns = event[:4]
    return f"{comm:>16}-{pid:<7d} {tgid}[{cpu:03d}] {flags} {stamp(time_ns, nano=nano)}: kvm_hvc_arm64: {hvc(event)}\n"


def as_trace_cmd(event: Event, *, nano: bool = False) -> str:
    comm, pid, cpu, time_ns = event[:4]
    return f"{comm:>16}-{pid:<5d} [{cpu:03d}] {stamp(time_ns, nano=nano)}: kvm_hvc_arm64:        {hvc(event)}\n"


def as_perf(event: Event, *, nano: bool = False, process: int | None = None) -> str:
    comm, pid, cpu, time_ns = event[:4]
    task = f"{pid:5d}" if process is None else f"{process:5d}/{pid:<5d}"
    return f"{comm:>16} {task} [{cpu:03d}] {stamp(time_ns, nano=nano)}: kvm:kvm_hvc_arm64: {hvc(event)}\n"


# What the kernel keeps of a comm is 15 bytes of nearly anything; the text cannot show spaces at its ends.
SPACE = " \t\r\f\v"
COMM = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\0"), min_size=1, max_size=15),
    st.text("-[]0123456789./: #kvm()", min_size=1, max_size=15),
).filter(lambda comm: comm == comm.strip(SPACE) and len(comm.encode()) <= 15)
EVENT = st.tuples(
    COMM,
    st.integers(0, 4_194_304),
    st.integers(0, 4095),
    st.integers(0, 4 * 10**18),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 0xFFFF),
)
AWKWARD = ("kvm_hvc_arm64", "CPU 0/KVM", "a-5 (6)", "x [001] 1.0: a:", "[000] 1.000000:", "-", "7", "8/9", "#", "a 5/6")


@pytest.mark.parametrize("name", [*SAMPLES, "tools-6.1.trace-cmd.txt"])
def test_sample_agrees_with_splitting_at_spaces(name: str) -> None:
    lines = [line for line in (HERE / name).read_text().splitlines() if "HVC at" in line]
    trace = read_trace(HERE / name)
    words = [line.replace("(", " ").replace(",", " ").replace(")", " ").split() for line in lines]
    assert len(trace) == len(lines) > 0
    assert trace.name == name
    assert trace.pc.tolist() == [int(word[word.index("at") + 1], 16) for word in words]
    assert trace.func_id.tolist() == [int(word[word.index("r0:") + 1][-8:], 16) for word in words]
    assert trace.pid.tolist() == [int(word[0].removeprefix("init-")) for word in words]
    stamps = [word[word.index("kvm_hvc_arm64:") - 1].strip(":").replace(".", "") for word in words]
    assert trace.time_ns.tolist() == [int(s) * 1000 for s in stamps]
    assert (trace.n_other_event, trace.n_lost, trace.n_skipped, trace.first_skipped_line) == (0, 0, 0, 0)
    assert set(trace.comm.values()) == {("init",)}


def test_ftrace_and_trace_cmd_of_one_boot_are_the_same_calls() -> None:
    ftrace, trace_cmd = read_trace(HERE / "tools-6.1.ftrace.txt"), read_trace(HERE / "tools-6.1.trace-cmd.txt")
    assert events_of(ftrace) == events_of(trace_cmd)
    assert ftrace.comm == trace_cmd.comm


def test_perf_lines_of_a_real_trace_are_the_same_calls() -> None:
    trace = read_trace(HERE / "7.3-7.3.ftrace.txt")
    lines = [as_perf(("CPU 0/KVM", *event)) for event in events_of(trace)]  # type: ignore[arg-type]
    perf = parse_trace(lines)
    assert events_of(perf) == events_of(trace)
    assert set(perf.comm.values()) == {("CPU 0/KVM",)}


def test_packaged_trace_is_the_sample() -> None:
    packaged = ROOT / "fastsmc" / "data" / "linux-7.3-guest-boot.ftrace.txt"
    assert packaged.read_bytes() == (HERE / "7.3-7.3.ftrace.txt").read_bytes()


def test_other_events_are_counted_and_passed_over() -> None:
    text = gzip.decompress(CUT.read_bytes()).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    n_call = sum(" kvm_hvc_arm64: " in line for line in lines)
    trace = read_trace(CUT)
    assert 0 < len(trace) == n_call < trace.n_other_event
    assert trace.n_other_event == len(lines) - n_call
    assert events_of(parse_trace(text)) == events_of(trace)


def test_columns_have_their_dtypes() -> None:
    trace = parse_trace(LINE)
    columns = (trace.time_ns, trace.cpu, trace.pid, trace.pc, trace.r0, trace.imm, trace.func_id)
    assert [c.dtype.name for c in columns] == ["int64", "int32", "int32", "uint64", "uint64", "uint32", "uint32"]


def test_by_service_counts_every_call_most_frequent_first() -> None:
    trace = read_trace(HERE / "7.3-7.3.ftrace.txt")
    text = (HERE / "7.3-7.3.ftrace.txt").read_text()
    table = trace.by_service()
    assert table["TRNG", "TRNG_RND64"] == text.count("c4000053,")
    assert table["PSCI", "PSCI_VERSION"] == text.count("84000000,")
    assert table["VENDOR_HYP", "VENDOR_HYP_PTP"] == text.count("86000001,")
    assert sum(table.values()) == text.count("HVC at")
    assert list(table.values()) == sorted(table.values(), reverse=True)


def test_unknown_id_is_shown_as_hex_of_its_low_half() -> None:
    assert parse_trace(LINE.replace("00000000c4000053", "ffffffff0600abcd")).by_service() == {
        ("UNKNOWN", "0x0600abcd"): 1
    }


@given(st.lists(EVENT, min_size=1, max_size=5), st.booleans(), st.sampled_from(["....", ".....", "d..1.", "dNh2..."]))
@example([(comm, 85, 1, 5_329_998_123, 0x40, 0xFFFFFFFF84000000, 1) for comm in AWKWARD], False, "....")
@example([(comm, 85, 1, 5_329_998_123, 0x40, 0xFFFFFFFF84000000, 1) for comm in AWKWARD], True, ".....")
def test_every_form_reads_back_what_was_written(events: list[Event], nano: bool, flags: str) -> None:
    assume(not any(re.match(r"[0-9]{1,9}[:-]", comm) for comm, *_ in events))  # as grep -n writes before a line
    unit = 1 if nano else 1000
    expected = [(pid, cpu, t - t % unit, *rest) for _, pid, cpu, t, *rest in events]
    names: dict[int, list[str]] = {}
    for comm, pid, *_ in events:
        if comm not in names.setdefault(pid, []):
            names[pid].append(comm)
    forms = [
        [as_ftrace(event, nano=nano, flags=flags) for event in events],
        [as_ftrace(event, nano=nano, flags=flags, tgid="(     85) ") for event in events],
        [as_ftrace(event, nano=nano, flags=flags, tgid="(-------) ") for event in events],
        [as_trace_cmd(event, nano=nano) for event in events],
        [as_perf(event, nano=nano) for event in events],
        [as_perf(event, nano=nano, process=17) for event in events],
    ]
    for lines in forms:
        trace = parse_trace(lines)
        assert events_of(trace) == expected
        assert trace.comm == {pid: tuple(comms) for pid, comms in names.items()}


@given(st.integers(1, len(LINE) - 1))
def test_a_line_cut_anywhere_is_an_error_or_harmless_blank(length: int) -> None:
    cut = LINE[:length]
    if not cut.strip():
        return
    with pytest.raises(TraceError, match=r"<text>:2: .*lenient"):
        parse_trace([LINE, cut])
    trace = parse_trace([LINE, cut, cut], lenient=True)
    assert (len(trace), trace.n_skipped, trace.first_skipped_line) == (1, 2, 2)


NEAR_MISSES = {
    "uneven hex": LINE.replace("0xffffa22fb984a580", "0xffffa22fb984a58g"),
    "r0 past 64 bits": LINE.replace("0x00000000c4", "0x000000000c4"),
    "imm past 16 bits": LINE.replace("imm: 0x0", "imm: 0x10000"),
    "imm without 0x": LINE.replace("imm: 0x0", "imm: 0"),
    "no imm": LINE.replace(", imm: 0x0", ""),
    "text after": LINE + " x",
    "two on one line": LINE + LINE,
    "no pid": LINE.replace("init-85 ", "init "),
    "no cpu": LINE.replace("[000] ", ""),
    "no timestamp": LINE.replace("5.329998:", ""),
    "milliseconds": LINE.replace("5.329998:", "5.329:"),
    "digits of another script": LINE.replace("[000]", "[\u0660\u0660\u0660]"),
    "not a trace": "Dear all,",
    "binary": "\x00\x01\x02",
    "lost, no grammar": "CPU:0 [LOST many EVENTS]",
    "perf lost, no grammar": "perf 1 [000] 5.329998: PERF_RECORD_LOST unexpected",
}


@pytest.mark.parametrize("line", NEAR_MISSES.values(), ids=NEAR_MISSES.keys())
def test_a_near_miss_is_an_error_and_a_counted_skip_when_lenient(line: str) -> None:
    with pytest.raises(TraceError) as caught:
        parse_trace(["# tracer: nop", LINE, line], name="a.txt")
    assert "a.txt:3: " in str(caught.value)
    assert "lenient" in str(caught.value)
    trace = parse_trace([line, LINE, line], lenient=True)
    assert (len(trace), trace.n_skipped, trace.first_skipped_line) == (1, 2, 1)


def test_an_error_quotes_the_line_cut_to_120_characters() -> None:
    with pytest.raises(TraceError) as caught:
        parse_trace([LINE, "y" * 500])
    assert "'" + "y" * 120 + "...'" in str(caught.value)
    assert "y" * 121 not in str(caught.value)


OTHER = {
    "comm like the event": LINE.replace("init", "kvm_hvc_arm64").replace(f"kvm_hvc_arm64: {BODY}", "kvm_exit: TRAP"),
    "marker that quotes a call": f"  sh-9 [000] ..... 5.3: x\n{LINE}".split("\n")[1].replace(
        "kvm_hvc_arm64:", "tracing_mark_write: init-85 [000] ..... 5.329998: kvm_hvc_arm64:"
    ),
    "longer event name": LINE.replace("kvm_hvc_arm64:", "kvm_hvc_arm64_x:"),
    "other system": LINE.replace("init-85 ", "init 85 ").replace("kvm_hvc_arm64:", "mine:kvm_hvc_arm64:"),
    "perf event with a period": "  swapper     0 [001] 12.000001:     250000 cpu-clock:pppH:  ffff8000 x ([kernel])",
    "no payload": "  sh-9 [000] d..1. 5.329998: my_event:",
}


@pytest.mark.parametrize("line", OTHER.values(), ids=OTHER.keys())
def test_another_event_is_not_taken_for_a_call(line: str) -> None:
    trace = parse_trace([line, LINE])
    assert (len(trace), trace.n_other_event, trace.n_lost) == (1, 1, 0)


@pytest.mark.parametrize(
    ("line", "n_lost"),
    [
        ("", 0),
        ("   \n", 0),
        ("\r\n", 0),
        ("# tracer: nop", 0),
        ("cpus=8", 0),
        ("version = 6", 0),
        ("CPU 3 is empty", 0),
        ("##### CPU 1 buffer started ####", 0),
        ("# entries-in-buffer/entries-written: 89/89   #P:1", 0),
        ("# entries-in-buffer/entries-written: 89/100   #P:1", 11),
        ("CPU:0 [LOST 123 EVENTS]", 123),
        ("CPU:7 [204600 EVENTS DROPPED]", 204600),
        ("  qemu   85 [000]  5.329998: PERF_RECORD_LOST lost 9", 9),
        ("  qemu   85 [000]  5.329998: unknown: PERF_RECORD_LOST lost 9", 9),
        ("  qemu   85 [000]  5.329998: PERF_RECORD_LOST_SAMPLES lost 4", 4),
    ],
)
def test_notices_are_understood_and_losses_counted(line: str, n_lost: int) -> None:
    trace = parse_trace([line, LINE, line])
    assert (len(trace), trace.n_lost, trace.n_skipped, trace.n_other_event) == (1, 2 * n_lost, 0, 0)


def test_time_may_run_backwards_and_nothing_is_sorted() -> None:
    earlier = LINE.replace("5.329998", "4.000000")
    assert parse_trace([LINE, earlier]).time_ns.tolist() == [5_329_998_000, 4_000_000_000]


def test_short_hex_capital_digits_and_windows_line_ends_are_read() -> None:
    trace = parse_trace(LINE.replace("0x00000000c4000053", "0xC4000053") + "\r\n")
    assert trace.func_id.tolist() == [0xC4000053]


def test_a_thread_that_was_renamed_keeps_both_names() -> None:
    renamed = LINE.replace("init", "CPU 1/KVM")
    assert parse_trace([LINE, renamed, LINE]).comm == {85: ("init", "CPU 1/KVM")}


def test_a_trace_without_calls_says_what_it_holds_and_how_to_record() -> None:
    lines = [line for line in gzip.decompress(CUT.read_bytes()).decode().splitlines() if "hvc" not in line]
    (event, count), *_ = Counter(line.split(": ")[1] for line in lines if not line.startswith("#")).most_common(1)
    with pytest.raises(TraceError) as caught:
        parse_trace(lines, name="boot.txt")
    for part in ("boot.txt", f"{count} {event}", "trace-cmd record -e kvm:kvm_hvc_arm64"):
        assert part in str(caught.value)


def test_a_trace_of_only_skipped_lines_is_an_error_even_when_lenient() -> None:
    with pytest.raises(TraceError, match=r"no event at all, 1 line not understood, 3 events lost"):
        parse_trace(["gibberish", "CPU:0 [LOST 3 EVENTS]"], lenient=True)


@pytest.mark.parametrize("name", ["t.txt", "t.gz", "t.xz", "no-suffix"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress], ids=["plain", "gz", "xz"])
def test_compression_is_told_from_the_content(tmp_path: Path, name: str, pack: object) -> None:
    path = tmp_path / name
    path.write_bytes(pack(LINE.encode()))  # type: ignore[operator]
    trace = read_trace(str(path))
    assert (len(trace), trace.name) == (1, name)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gz", "xz"])
@pytest.mark.parametrize("harm", ["cut", "flip"])
def test_damaged_compression_is_an_error(tmp_path: Path, pack: object, harm: str) -> None:
    packed = bytearray(pack("\n".join([LINE] * 50).encode()))  # type: ignore[operator]
    if harm == "cut":
        packed = packed[:-10]
    else:
        packed[-6] ^= 0xFF  # gzip: checksum; xz: size of the index
    path = tmp_path / "t"
    path.write_bytes(packed)
    with pytest.raises(TraceError, match=r"(damaged|cut off) after \d+ unpacked bytes"):
        read_trace(path)


@pytest.mark.parametrize(
    ("head", "command"),
    [
        (b"\x17\x08\x44tracing6\0", "trace-cmd report -i"),
        (b"PERFILE2\x68\0", "perf script -i"),
    ],
)
def test_a_binary_recording_names_the_command_that_makes_text(tmp_path: Path, head: bytes, command: str) -> None:
    for data in (head + bytes(100), gzip.compress(head + bytes(100))):
        path = tmp_path / "recording"
        path.write_bytes(data)
        with pytest.raises(TraceError) as caught:
            read_trace(path, lenient=True)
        assert f"{command} {path}" in str(caught.value)


def test_missing_file_and_directory_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nothing\.txt: cannot be read .No such file"):
        read_trace(tmp_path / "nothing.txt")
    with pytest.raises(TraceError, match="is a folder; give a file in it"):
        read_trace(tmp_path)


@pytest.mark.parametrize("text", ["", "\n\n", " \r\n"])
def test_an_empty_file_says_so_and_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.txt").write_bytes(text.encode())
    with pytest.raises(TraceError, match=r"e.txt: it is empty, so it has no call; .*`trace-cmd record -e") as caught:
        read_trace(tmp_path / "e.txt")
    assert "enable" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["# tracer: nop\n#\n", "cpus=8\n", "Attaching 1 probe...\n^C\n\n", "$ cat trace\n", "# only a comment"]
)
def test_a_header_alone_says_that_the_event_may_not_be_enabled(text: str) -> None:
    with pytest.raises(TraceError, match=r"no event at all, so no call; either .* not enabled.*`echo 1 > /sys"):
        parse_trace(text)


@pytest.mark.parametrize("bad", [LINE.encode().replace(b"init", b"in\xe9t"), b"# \xff", b"\xff\xfea\0"])
def test_bytes_that_are_not_utf8_are_an_error_with_their_line(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(LINE.encode() + b"\n" + bad + b"\n")
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(caught.value).startswith(f"{path}:2: bytes that are not UTF-8")
    trace = read_trace(path, lenient=True)
    assert (len(trace), trace.n_skipped, trace.first_skipped_line) == (1, 1, 2)


def test_a_carriage_return_in_a_comm_does_not_end_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(LINE.replace("init", "in\rit").encode())
    assert read_trace(path).comm == {85: ("in\rit",)}


def test_values_at_the_top_of_their_range_are_kept() -> None:
    event = ("x", 4_194_304, 4095, 8_999_999_999_999_999_999, 2**64 - 1, 2**64 - 1, 0xFFFF)
    trace = parse_trace([as_ftrace(event, nano=True)])
    assert events_of(trace) == [event[1:]]
    assert trace.func_id.tolist() == [0xFFFF_FFFF]
    assert np.iinfo(np.int64).max > event[3]


def test_a_trace_says_what_it_holds_as_text_as_json_and_in_one_line() -> None:
    read = parse_trace([LINE, "gibberish", LINE, "CPU:0 [LOST 3 EVENTS]"], name="x" * 500, lenient=True)
    told = read.as_dict()
    assert (told["calls"], told["lost"], told["skipped"]) == (2, 3, 1)
    assert told["rows"] == [
        {
            "service": "TRNG",
            "function": "TRNG_RND64",
            "func_id": "0xc4000053",
            "immediate": 0,
            "calls": 2,
            "percent": 100.0,
            "per_second": None,
            "to_vel2": None,
            "vcpus": {"init-85": 2},
        }
    ]
    assert str(read).splitlines()[2].split() == ["TRNG", "TRNG_RND64", "2", "100.00%", "-", "2"]
    first = "2 calls (recorded), 3 lost by the tracer, 1 line skipped, the first at line 2"
    assert str(read).splitlines()[0] == first
    assert "2 calls, 3 lost, 1 line skipped (0 calls)" in repr(read)
    assert len(repr(read)) <= 200
