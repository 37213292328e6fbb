"""Counts instead of calls: bpftrace's maps and the kernel's hist triggers, and tables in which no function id is.

The forms are those of bpftrace's output and of Documentation/trace/histogram.rst; the numbers are of these tests.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastsmc.calls.counts import Counts
from fastsmc.errors import TraceError
from fastsmc.traces.text import parse_trace, timed_trace
from fastsmc.traces.text import trace as read_trace

MAP = "Attaching 1 probe...\n^C\n\n@[0x84000000]: 2\n@[0xc4000053]: 41\n@[0x12345678]: 3\n"
HIST = """# event histogram
#
# trigger info: hist:keys=r0.hex:vals=hitcount:sort=hitcount:size=2048 [active]
#

{ r0:         84000000 } hitcount:          2
{ r0:         12345678 } hitcount:          3
{ r0:         c4000053 } hitcount:         41

Totals:
    Hits: 46
    Entries: 3
    Dropped: 0
"""
EXPECTED = {0xC400_0053: 41, 0x1234_5678: 3, 0x8400_0000: 2}


def counts(tmp_path: Path, text: str, *, lenient: bool = False) -> Counts:
    path = tmp_path / "counts.txt"
    path.write_text(text)
    read = read_trace(path, lenient=lenient)
    assert isinstance(read, Counts)
    return read


@pytest.mark.parametrize(
    "text",
    [
        MAP,
        MAP.replace("0x84000000", str(0x8400_0000)).replace("0xc4000053", str(0xC400_0053)),
        MAP.replace("0xc4000053", "0xffffffffc4000053"),
        MAP.replace("@[0x84000000]: 2", "@[0x84000000]: 1\n@[0x100000084000000]: 1"),
        MAP.replace("@[", "@calls[").replace("]:", ", CPU 0/KVM]:"),
        MAP.replace("@[", "@calls[71, "),
        re.sub(r"\]: (\d+)", r"]: count \1, average 5, total 5", MAP),
        "@other[1]: 5\n" + MAP,
        MAP.replace("41\n", "41 \n"),
        MAP.replace("@", "    @"),
        re.sub("^(?=[^#])", "\t", HIST, flags=re.M),
        "@total: 7\n" + MAP + "@name[71]: CPU 0/KVM\n@ns:\n[1, 2)      5 |@@@@|\n",
        '{"type": "attached_probes", "data": {"probes": 1}}\n'
        '{"type": "map", "data": {"@": {"0x84000000": 2, "3288334419": 41, "0x12345678": 3}}}\n',
        HIST,
        HIST.replace("hitcount:         41", "hitcount:         41  imm:          0"),
        HIST.replace("r0:         c4000053 ", "r0:         c4000053, imm:          0 "),
        HIST[HIST.index("{") :],
        re.sub(r"r0: +([0-9a-f]{8})", lambda key: f"r0: {int(key[1], 16)}", HIST.replace("r0.hex", "r0")),
    ],
)  # fmt: skip
def test_counts_by_function_id_are_read(tmp_path: Path, text: str) -> None:
    read = counts(tmp_path, text)
    assert dict(zip(read.func_id.tolist(), read.n_call.tolist(), strict=True)) == EXPECTED
    assert (read.total, read.n_lost, read.n_skipped) == (46, 0, 0)


JSON = '{"type": "map", "data": {"@": {"0x84000000": 2, "0xc4000053": 41, "0x12345678": 3}}}\n'
BUCKETS = '[{{"min": 256, "max": 511, "count": 1}}, {{"min": 512, "max": 1023, "count": {}}}]'
AS_JSON = {
    "other messages": "".join(
        f'{{"type": "{kind}", "data": "x"}}\n' for kind in ("printf", "time", "cat", "join", "syscall", "value")
    )
    + '{"type":"attached_probes", "count":1}\n'
    + '{"type": "value", "data": 5}\n'
    + JSON,
    "no keys": '{"type": "map", "data": {"@total": 46}}\n' + JSON,
    "other maps": '{"type": "stats", "data": {"@s": {"count": 3, "average": 5, "total": 15}}}\n'
    '{"type": "stats", "data": {"@avg": {"0x84000000": 5}}}\n'
    '{"type": "map", "data": {"@comm": {"71": "CPU 0/KVM"}}}\n'
    '{"type": "hist", "data": {"@h": [{"min": 1, "max": 1, "count": 9}]}}\n'
    '{"type": "tseries", "data": {"@t": {"0x84000000": [{"interval_start":1,"value":2}]}}}\n' + JSON,
    "hist": '{"type": "hist", "data": {"@": {'
    f'"0x84000000": {BUCKETS.format(1)}, "0xc4000053": {BUCKETS.format(40)}, "0x12345678": {BUCKETS.format(2)}}}}}}}\n',
    "stats": '{"type": "stats", "data": {"@": {"0x84000000": {"count": 2, "average": 1, "total": 2}, '
    '"0xc4000053": {"count": 41, "average": 1, "total": 2}, "0x12345678": {"count": 3, "average": 1, "total": 2}}}}\n',
}
AS_JSON["lhist"] = AS_JSON["hist"].replace('"hist"', '"lhist"')


@pytest.mark.parametrize("text", AS_JSON.values(), ids=AS_JSON)
def test_json_of_bpftrace_is_read_with_what_stands_between(tmp_path: Path, text: str) -> None:
    read = counts(tmp_path, text)
    assert dict(zip(read.func_id.tolist(), read.n_call.tolist(), strict=True)) == EXPECTED
    assert (read.kind, read.n_lost, read.is_lost_least) == ("bpftrace map @", 0, False)
    expected = {"no keys": ("@total",), "other maps": ("@s", "@avg", "@comm", "@h", "@t")}
    assert read.left_out == next((names for key, names in expected.items() if AS_JSON[key] == text), ())


def test_a_map_that_counts_something_else_is_left_out_and_said(tmp_path: Path) -> None:
    read = counts(tmp_path, "@total: 7\n@other[1]: 5\n" + MAP)
    assert read.left_out == ("@other", "@total")
    assert str(read).endswith("\nleft out, for it does not count by function id: @other, @total")
    assert read.as_dict()["left_out"] == ["@other", "@total"]


@pytest.mark.parametrize(
    ("text", "n_lost", "is_least"),
    [
        ('{"type": "lost_events", "data": {"events": 12}}\n' + JSON, 12, False),
        ('{"type":"lost_events", "count":12}\n' + JSON + '{"type":"lost_events", "count":3}\n', 15, False),
        ('{"type": "lost_events", "data": 5}\n' + JSON, 0, True),
        ('{"type": "helper_error", "msg": "x", "helper": "map_update_elem", "retcode": -7}\n' + JSON, 0, True),
        ('{"type": "helper_error", "msg": "x", "helper": "map_delete_elem", "retcode": -2}\n' + JSON, 0, False),
        ("stdin:1:35-44: WARNING: Map full; can't update element. Try increasing max_map_keys\n" + MAP, 0, True),
        ("WARNING: Lost 12 events\n" + MAP, 12, False),
    ],
)
def test_what_bpftrace_lost_is_told_as_far_as_it_says(tmp_path: Path, text: str, n_lost: int, is_least: bool) -> None:
    read = counts(tmp_path, text)
    assert (read.n_lost, read.is_lost_least) == (n_lost, is_least)
    told = read.as_dict()
    assert (told["lost"], told["lost_at_least"]) == (None if is_least else n_lost, n_lost)
    assert (", an unknown number lost by the tracer" in str(read)) == is_least


@pytest.mark.parametrize("text", [MAP + MAP, JSON + JSON, HIST + HIST, MAP + "@[0x84000000]: 9\n"])
def test_a_map_that_was_printed_twice_is_not_added_up(tmp_path: Path, text: str) -> None:
    with pytest.raises(TraceError, match=r"is printed more than once.*the last if it was not cleared"):
        counts(tmp_path, text, lenient=True)


@pytest.mark.parametrize(
    ("text", "n_call", "is_least"),
    [
        (MAP + "@[0x84000001: 5\n", 0, True),
        (MAP + "@[0x84000001] 5\n", 5, False),
        (MAP + "@[0x8400zz01]: 5\n", 5, False),
        (MAP + "@[0x8400\x7f001]: count 5, average 2, total 10\n", 5, False),
        (MAP + "@[0x84000001]: 5 apples\n", 0, True),
        (MAP + "@[0x84000001]: 5\x07\n", 0, True),
        (MAP + "@[0x84000001]: 5", 0, True),  # its digits may go on
        (MAP + "@[0x84000001]: -5\n", 0, True),
        (HIST + "{ r0:         8400zz00 } hitcount:          5\n", 5, False),
        (HIST + "{ r0:         8400\n", 0, True),
        (JSON + '{"type": "map", "data": {"@": {"0x840\n', 0, True),
        (MAP + "gibberish\n", 0, False),
    ],
)
def test_a_skipped_row_counts_as_the_calls_that_it_counted(
    tmp_path: Path, text: str, n_call: int, is_least: bool
) -> None:
    with pytest.raises(TraceError):
        counts(tmp_path, text)
    read = counts(tmp_path, text, lenient=True)
    assert (read.n_skipped, read.n_skipped_call, read.is_skipped_least) == (1, n_call, is_least)
    assert read.as_dict()["skipped_calls"] == (None if is_least else n_call)
    says = "(they count an unknown number of calls)" if is_least else f"(they count {n_call} calls)" * bool(n_call)
    assert (
        str(read)
        .splitlines()[0]
        .endswith(f"1 line skipped, the first at line {read.first_skipped_line} {says}".rstrip())
    )


def test_a_count_at_the_end_of_a_file_may_lack_a_digit(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"counts.txt:6: the file ends in the middle of a line: '@\[0x12345678\]: 3'"):
        counts(tmp_path, MAP.rstrip())


def test_a_map_of_histograms_counts_what_is_in_their_buckets(tmp_path: Path) -> None:
    text = "@ns[0x84000000]:\n[256, 512)             3 |@@@@@      |\n[512, 1K)              4 |@@@@@@@@@@@|\n"
    assert counts(tmp_path, text).n_call.tolist() == [7]


def test_counts_say_how_often_and_what_part(tmp_path: Path) -> None:
    read = counts(tmp_path, MAP)
    assert str(read).splitlines()[2].split() == ["TRNG", "TRNG_RND64", "41", "89.13%"]
    assert str(read).startswith("46 calls (recorded, bpftrace map @: counts without times and vCPUs)")
    assert read.as_dict()["rows"][1] == {
        "service": "UNKNOWN", "function": "0x12345678", "func_id": "0x12345678", "calls": 3, "percent": 300 / 46,
        "to_vel2": None,
    }  # fmt: skip
    assert read.by_service()["PSCI", "PSCI_VERSION"] == 2
    assert len(repr(read)) <= 200


def test_what_a_tracer_dropped_is_lost(tmp_path: Path) -> None:
    assert counts(tmp_path, MAP + "Lost 12 events\n").n_lost == 12
    assert counts(tmp_path, HIST.replace("Hits: 46", "Hits: 50").replace("Dropped: 0", "Dropped: 7")).n_lost == 11


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("@[4711]: 5\n@[4712]: 6\n", "no key that is a function id KVM names.*args.r0"),
        ('{"type": "map", "data": {"@": {"0x84000000": -2}}}\n', "damaged row of counts.*--lenient"),
        ('{"type": "map", "data": {"@": {"0x84000000": [2]}}}\n', "no key that is a function id"),
        ('{"type": "map", "data": {"@": {"0x84000000": 2, "0x84000001": "x"}}}\n', "damaged row of counts"),
        ('{"type": "song", "data": {"@": {"0x84000000": 2}}}\n', "damaged row of counts"),
        ("@total: 7\n", "no key that is a function id KVM names.*args.r0"),
        (MAP.replace(": 41", ": 41 apples"), "damaged row of counts"),
        (MAP.replace("]: 41", ": 41"), "damaged row of counts"),
        ('{"type": "map", "data": 5', "t.txt:1: .*damaged row of counts|in the middle of a line"),
        ("@[qemu]: 5\n", "no key that is a function id"),
        (MAP + MAP.replace("@[", "@more["), "several maps count by function id"),
        (HIST.replace("r0:  ", "common_pid:  "), "damaged row of counts"),
        (MAP.replace(": 41", ": -41"), "damaged row of counts"),
        (MAP.replace(": 41", ": 9999999999999999999"), "damaged row of counts"),
        (MAP + "  a-1 [000] ..... 1.000000: kvm_hvc_arm64: HVC at 0x1 (r0: 0x84000000, imm: 0x0)\n", "both single"),
        (MAP.replace("2\n", "0\n").replace("41\n", "0\n").replace("3\n", "0\n"), "no key that is a function id"),
    ],
)
def test_counts_of_something_else_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(TraceError, match=says):
        counts(tmp_path, text)


def test_who_needs_times_is_told_that_counts_have_none(tmp_path: Path) -> None:
    path = tmp_path / "counts.txt"
    path.write_text(MAP)
    with pytest.raises(TraceError, match=r"bpftrace map @, calls without times.*trace-cmd record"):
        timed_trace(path)
    with pytest.raises(TraceError, match="calls without times"):
        parse_trace(MAP)
    path.write_text("kvm_hvc_arm64: HVC at 0x1 (r0: 0x84000000, imm: 0x0)\n")
    with pytest.raises(TraceError, match=r"no times in seconds.*-C mono"):
        timed_trace(path)


KVM_STAT = """
Analyze events for all VMs, all VCPUs:

             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time

                 WFx       1204    61.90%    98.71%      1.20us  999000.12us   4512.11us ( +-   3.21% )
               HVC64        229    11.77%     0.38%      0.90us     54.20us      1.71us ( +-   2.02% )
               SMC64          5     0.26%     0.01%      0.90us      4.20us      1.71us ( +-   2.02% )

Total Samples:1438, Total events handled time:5503211.55us.
"""


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            KVM_STAT,
            r"perf kvm stat, which counts exits by reason.*HVC64 229, SMC64 5.*trace-cmd record.*not which func",
        ),
        ("<!DOCTYPE html>\n<html><body>\n", "a web page.*grep kvm_"),
        ('{"traceEvents": [\n', "Chrome.*traceconv systrace"),
        ('{\n\t"linux-perf-json-version": 1,\n', "not a line|perf script"),
        ('{ "linux-perf-json-version": 1,\n', "JSON of perf data convert.*perf script"),
        (" Performance counter stats for 'system wide':\n\n  12 kvm:kvm_hvc_arm64\n", "totals of perf stat"),
        ("# Overhead  Trace output\n#\n   50.00%  HVC at 0x1 (r0: 0x84000000, imm: 0x0)\n", "table of perf report"),
        ("CPU: 0\nentries: 12\noverrun: 0\n", "statistics of trace-cmd's buffers"),
    ],
)
def test_a_text_without_single_calls_is_named(tmp_path: Path, text: str, says: str, lenient: bool) -> None:
    path = tmp_path / "t.txt"
    path.write_text(text)
    if lenient and text.startswith("{\n"):
        return
    with pytest.raises(TraceError, match=says):
        read_trace(path, lenient=lenient)


LAST = (1 << 64) - 1


@pytest.mark.parametrize(
    "rows",
    [
        f'{{"type":"map","data":{{"@":{{"0x84000000":{LAST},"0x84000001":{LAST}}}}}}}',
        f'{{"type":"map","data":{{"@":{{"0x84000001":5,"0x84000002":{LAST}}}}}}}',
        f"@[0x84000001]: {LAST}",
        "\n".join(f"@[{0x8400_0001 + k}]: {(1 << 53) - 9}" for k in range(2)),
    ],
)
def test_a_row_of_impossible_counts_is_left_out_whole(tmp_path: Path, rows: str) -> None:
    read = counts(tmp_path, "@[0x84000000]: 5\n" + rows + "\n", lenient=True)
    assert read.n_skipped == 1
    assert read.func_id[-1] == 0x8400_0000
    assert 5 <= read.total < 1 << 53
    with pytest.raises(TraceError, match="damaged row of counts"):
        counts(tmp_path, "@[0x84000000]: 5\n" + rows + "\n")


def test_a_loss_of_thousands_of_digits_has_no_number(tmp_path: Path) -> None:
    lost = f'{{"type":"lost_events","count":{"9" * 4300}}}\n' * 2
    read = counts(tmp_path, MAP + lost)
    assert read.n_lost == 0
    assert read.is_lost_least
    assert str(read)


def test_more_counts_than_a_map_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"@[{0x8400_0000 + k}]: 1\n" for k in range(9000))
    with pytest.raises(TraceError, match=r"counts more than 8192 functions; see whether"):
        counts(tmp_path, rows)
    monkeypatch.setattr("fastsmc.traces.counted._MOST_KEYS", 8000)
    with pytest.raises(TraceError, match=r"8192: more counts than a map .* has; see whether"):
        counts(tmp_path, rows)
