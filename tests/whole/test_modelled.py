"""tools/modelled: loops cut out of assembly, what llvm-mca says of them, and code made for another CPU."""

from __future__ import annotations

import doctest
import importlib
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import pytest

from fastsmc.jit import level
from tests.support.loop_assembly import LISTING, TWO_WAYS, UNROLLED_X86, WITH_SPILLS_ARM
from tests.support.places import ROOT
from tools import modelled
from tools.modelled_apple import least_cycles
from tools.modelled_asm import NoLoop, Turn, cut
from tools.modelled_loops import chosen, inputs
from tools.modelled_mca import Modelled, NoTool, find, model, read
from tools.modelled_measure import measured
from tools.modelled_tables import per_lane, tables

try:
    TOOL = find()[0]
except NoTool as error:
    TOOL = ""
    needs_mca = pytest.mark.skip(reason=str(error))
else:
    needs_mca = pytest.mark.skipif(False, reason="llvm-mca is there")


def test_the_loop_is_cut_out_and_the_calls_of_a_turn_are_seen_from_what_it_stores() -> None:
    turn = cut(UNROLLED_X86, 64)
    assert turn.stored == 4 * 64  # LLVM made four turns one; the rest of at most three has a loop of its own
    assert [line.split()[0] for line in turn.lines].count("vpermb") == 4
    assert turn.lines[-1].startswith("j")
    assert not any(line.startswith(".") or ":" in line for line in turn.lines)


def test_what_goes_to_the_stack_is_not_counted() -> None:
    assert cut(WITH_SPILLS_ARM, 32).stored == 32
    with pytest.raises(NoLoop, match="no loop stores 48 bytes a turn"):
        cut(WITH_SPILLS_ARM, 48)


def test_a_rare_way_through_a_loop_is_left_out() -> None:
    common = cut(TWO_WAYS, 16).lines
    assert not any("scvtf" in line for line in common)
    assert [line.split()[0] for line in common] == ["ldr", "str", "cbnz", "add", "cmp", "b.ne"]


def test_a_way_that_leaves_out_what_is_stored_is_not_taken() -> None:
    whole = cut(TWO_WAYS, 32)  # as if the way that stores twice were all there is
    assert whole.stored == 32
    assert any("scvtf" in line for line in whole.lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("f:\n\tret\n", "no loop stores 1 bytes a turn"),
        (".L1:\n\tdecl %eax\n\tjne .L1\n\tret\n", "no loop stores 1 bytes a turn"),
        (".L1:\n\tmovb %al, (%rdi)\n\tcallq f\n\tjne .L1\n\tret\n", "calls a function: callq f"),
        (".L1:\n\tstrb w0, [x1]\n\tbl f\n\tcbnz x0, .L1\n\tret\n", "calls a function: bl f"),
    ],
)
def test_what_cannot_be_modelled_is_refused(text: str, said: str) -> None:
    with pytest.raises(NoLoop, match=said):
        cut(text)


def test_the_sum_over_the_turn_is_read_and_the_busiest_resource_named() -> None:
    found = read(json.loads(LISTING))
    assert found == Modelled(cycles=10.0, uops=12.0, limit="HWPort5 95 %", model="Haswell")


def test_a_missing_llvm_mca_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", ["modelled"])
    assert modelled.main() == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "llvm-mca is not on PATH: install LLVM" in told.err


def test_an_llvm_mca_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "llvm-mca"
    old.write_text("#!/bin/sh\necho 'LLVM version 14.0.6'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    with pytest.raises(NoTool, match=r"is version 14\.0\.6"):
        find()


@needs_mca
@pytest.mark.parametrize(("triple", "cpu"), [(modelled.X86, "haswell"), (modelled.ARM, "neoverse-n1")])
def test_a_chain_of_additions_takes_a_cycle_each(triple: str, cpu: str) -> None:
    add = "addq %rax, %rbx" if triple == modelled.X86 else "add x0, x0, x1"
    assert model(TOOL, Turn((add,) * 8, 0), triple, cpu).cycles == pytest.approx(8, rel=0.02)


@needs_mca
def test_a_store_of_a_form_that_is_not_known_is_refused() -> None:
    with pytest.raises(NoLoop, match="not known how many bytes this stores: addl"):
        model(TOOL, Turn(("addl %eax, (%rdi)",), 0), modelled.X86, "haswell")


@needs_mca
@pytest.mark.parametrize(
    ("end", "cpu", "begins"),
    [
        ("neon", "neoverse-n1", "Neoverse N1"),
        ("neon", "neoverse-v2", "Neoverse V2"),
        ("neon", "apple-m1", "Apple Cyclone"),
        ("avx2", "haswell", "Haswell"),
        ("avx2", "skylake", "Skylake"),
        ("avx2", "icelake-server", "Ice Lake"),
        ("avx2", "znver3", "Zen 3"),
    ],
)
def test_whose_model_a_cpu_is_given_is_told(end: str, cpu: str, begins: str) -> None:
    triple = next(one.triple for one in modelled.BACK_ENDS if one.name == end)
    line = "addq %rax, %rbx" if triple == modelled.X86 else "add x0, x0, x1"
    assert model(TOOL, Turn((line,), 0), triple, cpu).model.startswith(begins)


def test_look_ups_in_large_tables_are_several_operations_on_the_m1() -> None:
    look_up = "tbx v0.16b, { v4.16b, v5.16b, v6.16b, v7.16b }, v1.16b"
    assert least_cycles(Turn((look_up,) * 6, 0)) == 6 * 4 / 4
    assert least_cycles(Turn(("ldr q0, [x0]", "add x0, x0, #16") * 4, 0)) == 8 / 8


def test_cycles_are_compared_per_byte_of_a_register() -> None:
    found = {
        ("codes", "avx2", "haswell"): Modelled(10, 0, "", "Haswell"),
        ("codes", "avx2", "znver3"): Modelled(5, 0, "", "Zen 3"),
        ("codes", "neon", "neoverse-n1"): Modelled(16, 0, "", "Neoverse N1"),
    }
    assert per_lane(found, "codes", "neon") == {"neoverse-n1": 4.0}
    said = tables(found, {"avx2": {"codes": 12.5, "clock_ghz": 3.0}}, "22", "haswell")
    assert "| codes | 0.80 to 1.60 | in part |" in said  # 4 against 5 and against 2.5
    assert "| avx2 | codes | 10.0 | 12.5 | 1.25 |" in said


@pytest.mark.parametrize("module", ["apple", "asm", "loops", "mca", "tables"])
def test_the_examples_in_the_text_of_the_tools_hold(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"tools.modelled_{module}"))
    assert found.attempted
    assert not found.failed


needs_vectors = pytest.mark.skipif(not level.HAS_VECTORS, reason="the vector passes have no back end for this CPU")


@needs_vectors
def test_code_for_this_cpu_made_as_for_another_is_what_numba_makes_here() -> None:
    own = llvm.get_host_cpu_features()
    features = ",".join(name for name, has in own.items() if has)
    text = emitted(level.BACK_END, llvm.get_process_triple(), llvm.get_host_cpu_name(), features, "codes")["codes"]
    (loop,) = chosen("codes", level.BACK_END)
    kinds = tuple(numba.typeof(argument) for argument in loop.arguments(inputs()))
    fresh: Any = type(loop.kernel)(
        loop.kernel.py_func, targetoptions=loop.kernel.targetoptions
    )  # code kept has no text
    fresh.compile(kinds)
    assert sorted(operations(text)) == sorted(operations(fresh.inspect_asm(kinds)))


def operations(text: str) -> list[str]:
    """The names of the instructions of a turn of `codes`."""
    return [line.split()[0] for line in cut(text, 64).lines]


@needs_vectors
def test_loops_are_timed_where_they_run() -> None:
    found = measured(inputs(), "codes", n_round=1)
    assert found.keys() == {"codes", "clock_ghz"}
    assert 0.1 < found["clock_ghz"] < 20


def emitted(*arguments: str) -> dict[str, str]:
    command = [sys.executable, "-m", "tools.modelled_emit", *arguments]
    done = subprocess.run(command, input=pickle.dumps(inputs()), capture_output=True, cwd=ROOT, check=True)
    return json.loads(done.stdout)
