"""Calls as arrays: what is refused, that nothing is copied or wrapped, and the order of a replay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.calls.columns import check_array, frozen
from fastsmc.calls.trace import Trace
from fastsmc.calls.workload import STREAM_CALLS, Calls, batch, mix, replay
from fastsmc.errors import InputError
from fastsmc.facts.smccc import Conduit
from fastsmc.traces.text import parse_trace
from fastsmc.traces.text import traced_calls as read_trace
from tests.support.places import TESTS

HERE = TESTS / "recordings" / "guest-traces"
WEIGHTS = {"TRNG_RND64": 7.0, "PSCI_VERSION": 2.0, 0x8600_0001: 1.0, "SMCCC_VERSION": 0.0}


def trace_of(*calls: tuple[int, int]) -> Trace:
    """A trace of (r0, imm) calls."""
    return parse_trace(
        [f"x-1 [000] .... 0.000001: kvm_hvc_arm64: HVC at 0x4 (r0: 0x{r0:x}, imm: 0x{imm:x})" for r0, imm in calls]
    )


def test_right_arrays_are_taken_without_copying() -> None:
    vcpu, func_id = np.arange(3, dtype=np.uint32), np.full(3, 0xFFFF_FFFF, np.uint32)
    conduit, x = np.full(3, 3, np.uint8), np.full(3, 2**64 - 1, np.uint64)
    func_id.flags.writeable = False
    calls = Calls.of(vcpu, func_id, conduit=conduit, x1=x, x2=x, x3=x)
    assert calls.vcpu is vcpu
    assert calls.func_id is func_id
    assert calls.conduit is conduit
    assert calls.x1 is calls.x2 is calls.x3 is x
    assert len(calls) == 3


def test_columns_get_their_dtypes_and_absent_ones_stay_none() -> None:
    calls = Calls.of([0, 1], (2**32 - 1, 0), conduit=[Conduit.HVC, Conduit.SMC_IMM], x1=[2**64 - 1, 0])
    assert [c.dtype.name for c in (calls.vcpu, calls.func_id)] == ["uint32", "uint32"]
    assert calls.conduit is not None
    assert calls.conduit.tolist() == [0, 3]
    assert calls.conduit.dtype == np.uint8
    assert calls.x1 is not None
    assert calls.x1.tolist() == [2**64 - 1, 0]
    assert calls.x2 is None
    assert calls.x3 is None


@pytest.mark.parametrize("dtype", ["i1", "i2", "i8", "u1", "u2", "u8", ">u4", ">i8"])
def test_other_whole_number_arrays_are_converted(dtype: str) -> None:
    calls = Calls.of(np.array([0, 9, 127], dtype), np.array([0, 9, 127], dtype)[::-1])
    assert calls.vcpu.tolist() == [0, 9, 127]
    assert calls.func_id.tolist() == [127, 9, 0]
    assert calls.func_id.dtype == np.uint32
    assert calls.func_id.flags.c_contiguous


def test_columns_that_begin_anywhere_in_a_file_are_copied() -> None:
    ids = np.frombuffer(b"\0" + np.arange(3, dtype=np.uint32).tobytes(), np.uint32, offset=1)
    assert not ids.flags.aligned
    assert Calls.of(ids, ids).func_id.tolist() == [0, 1, 2]
    assert Calls.of(ids, ids).vcpu.tolist() == [0, 1, 2]


def test_no_call_at_all_is_a_batch_too() -> None:
    calls = Calls.of([], [], x1=[])
    assert len(calls) == 0
    assert calls.vcpu.dtype == np.uint32


@pytest.mark.parametrize(
    ("func_id", "told"),
    [
        ([1, -1], r"func_id\[1\] is -1: .*whole number in 0\.\.0xffffffff"),
        ([1, 2**32], r"func_id\[1\] is 0x100000000: "),
        ([1, 2**64], r"func_id\[1\] is 0x10000000000000000: "),
        ([-1, 2**63], r"func_id\[0\] is -1: "),
        ([1, 2.0], r"func_id\[1\] is 2\.0: "),
        (np.array([1.0, 2.0]), r"func_id\[0\] is 1\.0: "),
        (np.array([1, 2**32 + 1]), r"func_id\[1\] is 0x100000001: "),
        (np.array([1, 2**63], np.uint64), r"func_id\[1\] is 0x8000000000000000: "),
        (np.array([1, -5], np.int8), r"func_id\[1\] is .*-5.*: "),
        ([True, False], r"func_id\[0\] is True: "),
        (["1", "2"], r"func_id\[0\] is '1': "),
        ([1, None], r"func_id\[1\] is None: "),
        ([1, float("nan")], r"func_id\[1\] is nan: "),
        ([1], r"func_id has 1 calls and vcpu has 2: "),
        ([[1, 2]], r"func_id has shape \(1, 2\): "),
        (7, r"func_id has shape \(\): "),
        ([[1], [1, 2]], r"func_id is not one column of numbers"),
    ],
)
def test_a_wrong_func_id_is_refused_with_its_place_and_value(func_id: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Calls.of([0, 1], func_id)  # type: ignore[arg-type]


def test_every_column_is_checked() -> None:
    with pytest.raises(InputError, match=r"vcpu\[0\] is -1"):
        Calls.of([-1], [0])
    with pytest.raises(InputError, match=r"conduit\[1\] is 4: it must be a whole number in 0\.\.3"):
        Calls.of([0, 1], [0, 0], conduit=np.array([3, 4], np.uint8))
    for name in ("x1", "x2", "x3"):
        with pytest.raises(
            InputError, match=rf"{name}\[0\] is -1: it must be a whole number in 0\.\.0xffffffffffffffff"
        ):
            Calls.of([0], [0], **{name: [-1]})
        with pytest.raises(InputError, match=rf"{name} has 3 calls and vcpu has 1"):
            Calls.of([0], [0], **{name: [1, 2, 3]})


@given(st.lists(st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.booleans()), max_size=6))
def test_a_column_is_taken_whole_or_refused(values: list[float]) -> None:
    fine = all(type(value) is int and 0 <= value < 2**64 for value in values)
    mixed = any(type(value) is bool for value in values) and any(type(value) is not bool for value in values)
    if mixed:
        return  # NumPy makes numbers of bools among numbers before we see them
    zeros = [0] * len(values)
    if fine:
        x1 = Calls.of(zeros, zeros, x1=values).x1
        assert x1 is not None
        assert x1.tolist() == values
    else:
        with pytest.raises(InputError, match=r"^x1\[\d\] is "):
            Calls.of(zeros, zeros, x1=values)


def test_one_each_gives_every_vcpu_the_call() -> None:
    calls = Calls.one_each(0x8400_0000, n_vcpu=3, first_vcpu=5, conduit=Conduit.SMC)
    assert calls.vcpu.tolist() == [5, 6, 7]
    assert calls.func_id.tolist() == [0x8400_0000] * 3
    assert calls.conduit is not None
    assert calls.conduit.tolist() == [1, 1, 1]
    assert Calls.one_each(0, n_vcpu=1).conduit is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"func_id": 2**32}, "func_id is 4294967296"),
        ({"func_id": -1}, "func_id is -1"),
        ({"func_id": 1.0}, r"func_id is 1\.0"),
        ({"n_vcpu": 0}, "n_vcpu is 0"),
        ({"n_vcpu": True}, "n_vcpu is True"),
        ({"first_vcpu": -1}, "first_vcpu is -1"),
        ({"first_vcpu": 2**32 - 1, "n_vcpu": 2}, "n_vcpu is 2: it must be a whole number in 1..1"),
        ({"conduit": 4}, "conduit is 4"),
    ],
)
def test_one_each_refuses_what_does_not_fit(arguments: dict[str, int], told: str) -> None:
    func_id = arguments.pop("func_id", 0)
    with pytest.raises(InputError, match=told):
        Calls.one_each(func_id, **{"n_vcpu": 1, **arguments})  # type: ignore[arg-type]


def test_replay_makes_call_k_of_all_vcpus_before_call_k_plus_1() -> None:
    trace = read_trace(HERE / "7.3-7.3.ftrace.txt")
    expected = [(v, int(func_id)) for func_id in trace.func_id for v in range(10, 14)]
    calls = replay(trace, n_vcpu=4, first_vcpu=10)
    assert list(zip(calls.vcpu.tolist(), calls.func_id.tolist(), strict=True)) == expected
    assert [calls.vcpu.dtype.name, calls.func_id.dtype.name] == ["uint32", "uint32"]
    assert calls.conduit is calls.x1 is calls.x2 is calls.x3 is None


def test_replay_keeps_the_immediate_as_a_conduit_and_drops_the_high_half_of_r0() -> None:
    calls = replay(trace_of((0xFFFF_FFFF_8400_0000, 0), (0x8400_0001, 7)), n_vcpu=2)
    assert calls.func_id.tolist() == [0x8400_0000, 0x8400_0000, 0x8400_0001, 0x8400_0001]
    assert calls.conduit is not None
    assert calls.conduit.tolist() == [Conduit.HVC, Conduit.HVC, Conduit.HVC_IMM, Conduit.HVC_IMM]
    assert calls.conduit.dtype == np.uint8


def test_batches_one_after_the_other_are_the_replay() -> None:
    trace = trace_of((0x8400_0000, 0), (0xFFFF_FFFF_C400_0053, 1), (0x8600_0001, 0))
    whole = replay(trace, n_vcpu=3, first_vcpu=2)
    parts = [batch(trace, k, n_vcpu=3, first_vcpu=2) for k in range(3)]
    assert np.concatenate([part.vcpu for part in parts]).tolist() == whole.vcpu.tolist()
    assert np.concatenate([part.func_id for part in parts]).tolist() == whole.func_id.tolist()
    conduits = [np.zeros(3, np.uint8) if part.conduit is None else part.conduit for part in parts]
    assert whole.conduit is not None
    assert np.concatenate(conduits).tolist() == whole.conduit.tolist()


def test_replay_and_batch_refuse_what_does_not_fit() -> None:
    trace = trace_of((0, 0))
    with pytest.raises(InputError, match="n_vcpu is 0"):
        replay(trace, n_vcpu=0)
    for k in (-1, 1):
        with pytest.raises(InputError, match=rf"k is {k}: it must be a whole number in 0\.\.0"):
            batch(trace, k, n_vcpu=1)


def test_mix_draws_by_weight_and_spreads_over_vcpus() -> None:
    n_call = 100_000
    calls = mix(WEIGHTS, n_call=n_call, n_vcpu=8, seed=1)
    ids, counts = np.unique(calls.func_id, return_counts=True)
    assert ids.tolist() == [0x8400_0000, 0x8600_0001, 0xC400_0053]
    for share, count in zip((0.2, 0.1, 0.7), counts, strict=True):
        # Five standard deviations of a binomial: a right sampler with this seed passes, a 2% bias does not.
        assert abs(count - share * n_call) < 5 * (n_call * share * (1 - share)) ** 0.5
    per_vcpu = np.bincount(calls.vcpu, minlength=8)
    assert len(per_vcpu) == 8
    assert np.abs(per_vcpu - n_call / 8).max() < 5 * (n_call / 8) ** 0.5
    assert calls.conduit is calls.x1 is None


def test_mix_is_its_seed_and_nothing_else() -> None:
    first, again = (
        mix(WEIGHTS, n_call=500, n_vcpu=4, seed=3),
        mix(dict(reversed(WEIGHTS.items())), n_call=500, n_vcpu=4, seed=3),
    )
    scaled, other = (
        mix({k: w * 1e300 for k, w in WEIGHTS.items()}, n_call=500, n_vcpu=4, seed=3),
        mix(WEIGHTS, n_call=500, n_vcpu=4, seed=4),
    )
    assert first.func_id.tolist() == again.func_id.tolist() == scaled.func_id.tolist() != other.func_id.tolist()
    assert first.vcpu.tolist() == again.vcpu.tolist() == scaled.vcpu.tolist() != other.vcpu.tolist()


def test_mix_draws_from_the_stream_it_names() -> None:
    uniform = np.random.default_rng([9, STREAM_CALLS]).random(50)
    expected = [0x8400_0000 if u < 0.25 else 0xC400_0053 for u in uniform]
    assert mix({"TRNG_RND64": 3, "PSCI_VERSION": 1}, n_call=50, n_vcpu=1, seed=9).func_id.tolist() == expected


def test_mix_takes_names_ids_and_ids_as_text() -> None:
    for key in ("VENDOR_HYP_PTP", 0x8600_0001, "0x86000001", "2248146945", np.uint32(0x8600_0001)):
        assert set(mix({key: 0.5}, n_call=10, n_vcpu=1, seed=0).func_id.tolist()) == {0x8600_0001}  # type: ignore[dict-item]
    assert len(mix({"TRNG_RND64": 1}, n_call=0, n_vcpu=1, seed=0)) == 0


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"TRNG_RND46": 1}, "no function is called 'TRNG_RND46': did you mean TRNG_RND64"),
        ({"psci_versoin": 1}, "did you mean PSCI_VERSION"),
        ({"qqqq": 1}, "or give the id as a number"),
        ({"0xzz": 1}, "no function is called '0xzz'"),
        ({"0x100000000": 1}, "func_id is 4294967296"),
        ({-1: 1}, "func_id is -1"),
        ({1.5: 1}, r"func_id is 1\.5"),
        ({"PSCI_VERSION": 1, 0x8400_0000: 1}, "0x84000000 is given twice"),
        ({"PSCI_VERSION": -0.5}, r"weights\['PSCI_VERSION'\] is -0\.5: a weight must be a finite number >= 0"),
        ({"PSCI_VERSION": float("nan")}, "is nan"),
        ({"PSCI_VERSION": float("inf")}, "is inf"),
        ({"PSCI_VERSION": "1"}, "is '1'"),
        ({"PSCI_VERSION": None}, "is None"),
        ({"PSCI_VERSION": 0, "TRNG_RND64": 0.0}, "weights of 2 functions add up to 0"),
        ({}, "weights of 0 functions add up to 0"),
    ],
)
def test_mix_refuses_weights_that_mean_nothing(weights: dict[str | int, float], told: str) -> None:
    with pytest.raises(InputError, match=told):
        mix(weights, n_call=1, n_vcpu=1, seed=0)


@pytest.mark.parametrize(
    ("n_call", "n_vcpu", "seed", "told"),
    [(-1, 1, 0, "n_call is -1"), (1, 0, 0, "n_vcpu is 0"), (1, 1, -1, "seed is -1"), (1, 1, 0.5, r"seed is 0\.5")],
)
def test_mix_refuses_wrong_counts_and_seeds(n_call: int, n_vcpu: int, seed: int, told: str) -> None:
    with pytest.raises(InputError, match=told):
        mix(WEIGHTS, n_call=n_call, n_vcpu=n_vcpu, seed=seed)


@given(st.dictionaries(st.integers(0, 2**32 - 1), st.floats(0, 1e308), min_size=1, max_size=5))
def test_mix_never_draws_weight_zero(weights: dict[int, float]) -> None:
    if not any(weights.values()):
        return
    drawn = set(mix(weights, n_call=200, n_vcpu=1, seed=0).func_id.tolist())  # type: ignore[arg-type]
    assert drawn <= {func_id for func_id, weight in weights.items() if weight > 0}


@pytest.mark.parametrize(
    "columns",
    [
        {"vcpu": np.zeros(3, np.uint32), "func_id": np.zeros(2, np.uint32)},
        {"vcpu": np.zeros(3, np.int64), "func_id": np.zeros(3, np.uint32)},
        {"vcpu": np.zeros(6, np.uint32)[::2], "func_id": np.zeros(3, np.uint32)},
        {"vcpu": [0, 1, 2], "func_id": np.zeros(3, np.uint32)},
        {"vcpu": np.zeros(3, np.uint32), "func_id": np.zeros(3, np.uint32), "x1": np.zeros(4, np.uint64)},
        {"vcpu": np.zeros(3, np.uint32), "func_id": None},
        {"vcpu": np.zeros((3, 1), np.uint32), "func_id": np.zeros((3, 1), np.uint32)},
        {"vcpu": np.zeros(13, np.uint8)[1:].view(np.uint32), "func_id": np.zeros(3, np.uint32)},
    ],
)
def test_the_constructor_takes_nothing_a_kernel_could_trip_over(columns) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=r"Calls\.of"):
        Calls(**columns)


THREE = np.arange(3, dtype=np.uint32)


@pytest.mark.parametrize(
    "array",
    [
        [0, 1, 2],
        THREE.astype(np.int32),
        THREE.astype(">u4"),
        THREE[:2],
        THREE[:, None],
        THREE.repeat(2)[::2],
        THREE[::-1],
        np.zeros(13, np.uint8)[1:].view(np.uint32),
    ],
)
def test_an_array_of_any_other_kind_is_refused(array: object) -> None:
    check_array("ids", THREE, np.uint32, (3,), "ids_of")
    with pytest.raises(InputError, match=r"ids must be a contiguous uint32\[3\]: ids_of makes one"):
        check_array("ids", array, np.uint32, (3,), "ids_of")


def test_what_is_frozen_is_changed_by_nobody() -> None:
    owned, read_only = THREE.copy(), THREE.copy()
    read_only.flags.writeable = False
    shown = owned[:]
    shown.flags.writeable = False
    ice = [frozen(values) for values in (owned, shown, owned[1:])]
    owned[:] = 9
    assert [values.tolist() for values in ice] == [[0, 1, 2], [0, 1, 2], [1, 2]]
    assert not any(values.flags.writeable for values in ice)
    ice.append(frozen(read_only))
    read_only.flags.writeable = True
    read_only[:] = 9
    assert ice[-1].tolist() == [0, 1, 2]


def test_a_function_is_named_in_any_case_or_by_the_end_that_it_alone_has() -> None:
    for name in ("VENDOR_HYP_PTP", "vendor-hyp-ptp", "PTP"):
        assert set(mix({name: 1}, n_call=3, n_vcpu=1, seed=1).func_id.tolist()) == {0x8600_0001}
    with pytest.raises(InputError, match="no function is called 'VERSION': did you mean SMCCC_VERSION or PSCI_VERSION"):
        mix({"VERSION": 1}, n_call=3, n_vcpu=1, seed=1)
