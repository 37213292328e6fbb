"""The report's verdict: three sentences whose numbers are the run's; and whether the run was noisy."""

from __future__ import annotations

from dataclasses import replace

from fastsmc import reporting as report
from fastsmc.reporting import sections
from fastsmc.results.runs import Run
from tests.support.small_report import changed


def told(run: Run) -> str:
    return " ".join(map(str, report.verdict(run)))


def test_the_verdict_tells_the_runs_numbers(run: Run) -> None:
    text = told(run)
    for number in (
        "Bytes are little",
        "8.39 MB (measured) for 1024 registers on 1024 vCPUs",
        "all 182 that QEMU carries of Linux 7.3 are 1.49 MB (modelled) on 512",
        "11.1 ms of a 300 ms",  # 512 * 182 * 16 bytes at 128 MiB/s
        "Ioctls weigh more",
        "225,792 (modelled), 45.2 ms to 226 ms (assumed)",
        "32 % of them and 38 % of the bytes",  # 2*70*511/225792, 70*511/(182*512)
    ):
        assert number in text, number
    assert text.count(": ") == 3


def test_the_verdict_follows_the_data(run: Run) -> None:
    cost = run["set_cost"]
    rows = (cost["register_set"] == "Linux 7.3") & (cost["codec"] == "id+value") & (cost["n_vcpu"] == 512)
    assert "123,456 (modelled)" in told(changed(run, "set_cost", "save_ioctls", rows, 123_456))
    assert "Bytes matter" in told(changed(run, "set_cost", "payload_bytes", rows, 10**9))
    assert "Ioctls are little too" in told(changed(run, "set_cost", "save_high_ms", rows, 20.0))
    assert "BUT NOT ALL OF IT" in told(changed(run, "payload", "is_round_trip_exact", 0, False))
    nothing = changed(changed(run, "moves", "outlook", slice(None), "restores"), "moves", "n_failing", slice(None), 0)
    assert "Nothing breaks: with QEMU 11.1, 0 of 42 moves" in told(nothing)
    assert "77,777 must stop" in told(changed(run, "upgrade", "stopped", 0, 77_777))


def test_the_verdict_counts_moves_as_migrate_check_does(run: Run) -> None:
    from fastsmc import migrate
    from fastsmc.scaling.moves import KERNELS

    outlooks = {
        (one, other): migrate.check(one, other).forward.outlook.value
        for one in KERNELS
        for other in KERNELS
        if one != other
    }
    fails = [pair for pair, outlook in outlooks.items() if outlook == "fails"]
    back = [(one, other) for one, other in fails if KERNELS.index(other) < KERNELS.index(one)]
    n_unknown = list(outlooks.values()).count("unknown")
    assert f"{len(fails)} of 42 moves between 7 kernels fail and {n_unknown} cannot be known" in told(run)
    assert f"{len(back)} of the 21 that go back" in told(run)


def test_the_numbers_of_the_verdict_are_those_of_its_sentences(run: Run) -> None:
    for sentence in report.verdict(run):
        plain = sentence.as_dict()
        assert plain["sentence"] == str(sentence)
        assert {number["kind"] for number in plain["numbers"].values()} <= {
            *("measured", "recorded", "modelled", "assumed", "input")
        }
        for name in ("save_ioctls", "moves_fail", "fleet_stopped", "registers_per_vcpu"):
            if name in plain["numbers"]:
                assert f"{plain['numbers'][name]['value']:,}" in plain["sentence"].replace("10,000", "10000")


def test_a_run_says_whether_it_was_noisy(run: Run) -> None:
    def told(load: object, spread: float) -> str:
        inputs = {**run.provenance.inputs, "load_average_before": load}
        calm = replace(run, provenance=replace(run.provenance, inputs=inputs, n_core=2))
        for name in ("dispatch_by_vcpu", "dispatch_by_vm"):
            for column, by in (("dispatch_p25_ns", 1 - spread / 2), ("dispatch_p75_ns", 1 + spread / 2)):
                calm = changed(calm, name, column, slice(None), run[name]["dispatch_ns"] * by)
        return report.noise_told(calm).replace("\N{NO-BREAK SPACE}", " ")

    assert told([0.1, 1.0, 1.0], 0.05).startswith("This run was quiet: load 0.1 when it began, on 2 cores; ")
    assert told([0.6, 0.0, 0.0], 0.05).startswith("This run was noisy: load 0.6")
    assert told([0.1, 0.0, 0.0], 0.2).startswith("This run was noisy")
    assert "20 % of its median" in told([0.1, 0.0, 0.0], 0.2)
    noisy = replace(run, provenance=replace(run.provenance, inputs={"load_average_before": [99.0, 0.0, 0.0]}))
    assert [part.name for part in sections.report(noisy) if report.noise_told(noisy) in part.texts] == ["grid"]
    assert report.noise_told(noisy) in sections.simulator(noisy)[0].texts
    for odd in (None, [], "3", [True], [-1.0], [float("nan")], ["x"]):
        assert "was not recorded" in told(odd, 0.05)
