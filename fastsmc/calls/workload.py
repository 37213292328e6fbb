"""Which hypercalls a fleet makes: batches of calls as arrays, from a trace, from a mix, or one per vCPU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.calls.columns import check_array, check_levels, column, frozen, is_laid_out, part_of, whole_slice
from fastsmc.calls.trace import Trace
from fastsmc.checks import LAST_U32, one_of, whole
from fastsmc.errors import InputError
from fastsmc.facts.call_spellings import call_named
from fastsmc.facts.smccc import Conduit, Level

STREAM_CALLS = 1
"""Purpose number of the random stream that `mix` draws from: default_rng([seed, STREAM_CALLS])."""

_U32 = np.dtype(np.uint32)
VCPU_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32))
"""The dtypes that a column of vCPU indices may have; a narrower column is read faster."""
COLUMNS: dict[str, np.dtype[Any]] = {
    "func_id": np.dtype(np.uint32),
    "conduit": np.dtype(np.uint8),
    "x1": np.dtype(np.uint64),
    "x2": np.dtype(np.uint64),
    "x3": np.dtype(np.uint64),
}


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """A batch of hypercalls, one row per call. `of` takes any array-likes; the constructor takes these only.

    Attributes:
        vcpu: uint8, uint16 or uint32[n_call], fleet-wide vCPU index.
        func_id: uint32[n_call], low half of x0.
        conduit: uint8[n_call] of smccc.Conduit, None = HVC with immediate 0 throughout.
        x1, x2, x3: uint64[n_call], None = 0 throughout.
        level: uint8[n_call] of smccc.Level, None = Level.EL1 throughout. Only vCPUs with EL2 have others.
        n_vcpu: a number that no vCPU index of the batch reaches, now or later. `frozen` sets it; None where only a look
            at every call can tell.
        is_plain: whether there is no x3 and no level. A prepared dispatcher asks once for both.
    """

    vcpu: NDArray[np.unsignedinteger[Any]]
    func_id: NDArray[np.uint32]
    conduit: NDArray[np.uint8] | None = None
    x1: NDArray[np.uint64] | None = None
    x2: NDArray[np.uint64] | None = None
    x3: NDArray[np.uint64] | None = None
    level: NDArray[np.uint8] | None = None
    n_vcpu: int | None = field(default=None, init=False)
    is_plain: bool = field(default=True, init=False, repr=False)

    def __post_init__(self) -> None:
        """Checks every column, because kernels trust what a batch holds.

        Raises:
            InputError: a column of another dtype, shape or length, or a level that is none.
        """
        vcpu: object = self.vcpu
        has_index = isinstance(vcpu, np.ndarray) and vcpu.dtype in VCPU_DTYPES and vcpu.ndim == 1
        if not has_index or not is_laid_out(self.vcpu):
            msg = "vcpu must be a contiguous uint8, uint16 or uint32 array: Calls.of makes one of what you have"
            raise InputError(msg)
        n_call = self.vcpu.shape
        check_array("func_id", self.func_id, _U32, n_call, "Calls.of")
        if self.conduit is self.x1 is self.x2 is self.x3 is self.level is None:
            return
        for name, dtype in COLUMNS.items():
            column = getattr(self, name)
            if column is not None:
                check_array(name, column, dtype, n_call, "Calls.of")
        object.__setattr__(self, "is_plain", self.x3 is self.level is None)
        if self.level is not None:
            check_array("level", self.level, np.uint8, n_call, "Calls.of")
            check_levels(self.level)

    @classmethod
    def of(
        cls,
        vcpu: ArrayLike,
        func_id: ArrayLike,
        *,
        conduit: ArrayLike | None = None,
        x1: ArrayLike | None = None,
        x2: ArrayLike | None = None,
        x3: ArrayLike | None = None,
        level: ArrayLike | None = None,
    ) -> Calls:
        """Calls from array-likes of whole numbers; contiguous arrays of the right dtype are taken without copying.

        Raises:
            InputError: a column that is not one-dimensional, not as long as vcpu, or holds a value that is not a whole
                number in range. Nothing is rounded or wrapped.

        >>> Calls.of([0, 1], [0x8400_0000, 0xC400_0053], x1=[0, 64]).func_id
        array([2214592512, 3288334419], dtype=uint32)
        """
        dtype = getattr(vcpu, "dtype", None)
        vcpus = column("vcpu", vcpu, dtype.type if dtype in VCPU_DTYPES else np.uint32)
        n_call = len(vcpus)
        return cls(
            vcpus,
            column("func_id", func_id, np.uint32, n_call=n_call),
            None if conduit is None else column("conduit", conduit, np.uint8, n_call=n_call, last=max(Conduit)),
            None if x1 is None else column("x1", x1, np.uint64, n_call=n_call),
            None if x2 is None else column("x2", x2, np.uint64, n_call=n_call),
            None if x3 is None else column("x3", x3, np.uint64, n_call=n_call),
            None if level is None else column("level", level, np.uint8, n_call=n_call, last=max(Level)),
        )

    @classmethod
    def one_each(
        cls,
        func_id: int | np.integer[Any],
        *,
        n_vcpu: int,
        first_vcpu: int = 0,
        conduit: Conduit = Conduit.HVC,
        level: Level = Level.EL1,
    ) -> Calls:
        """One call by every vCPU from first_vcpu on, all of the same function.

        Raises:
            InputError: a func_id of more than 32 bits, no such conduit or level, no vCPU, or vCPU indices past 32 bits.
        """
        vcpu = _vcpus(n_vcpu, first_vcpu)
        func_ids = np.full(n_vcpu, whole("func_id", func_id, last=LAST_U32), np.uint32)
        conduit = Conduit(whole("conduit", conduit, last=max(Conduit)))
        level = one_of("level", whole("level", level, last=max(Level)), Level)
        return cls(
            vcpu,
            func_ids,
            None if conduit == Conduit.HVC else np.full(n_vcpu, conduit, np.uint8),
            level=None if level == Level.EL1 else np.full(n_vcpu, level, np.uint8),
        )

    def __len__(self) -> int:
        """Number of calls."""
        return len(self.vcpu)

    def frozen(self) -> Calls:
        """The same calls with a copy of their vCPUs that nobody can write to. The other columns are not copied.

        For a batch that is dispatched many times. A dispatch fills `out` whole or leaves it as it was, so it looks at
        all vCPUs before it writes the first verdict; the vCPUs of frozen calls are looked at once, here. Kernels for
        read-only arrays are compiled separately, at the first dispatch of frozen calls.

        >>> Calls.of([0, 4, 1], [0x8400_0000] * 3).frozen().n_vcpu
        5
        """
        if self.n_vcpu is not None:
            return self
        vcpu = frozen(self.vcpu)
        calls = Calls(vcpu, self.func_id, self.conduit, self.x1, self.x2, self.x3, self.level)
        object.__setattr__(calls, "n_vcpu", int(vcpu.max()) + 1 if len(vcpu) else 0)
        return calls

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of frozen calls is frozen anew: an array that comes out of a pickle is writeable."""
        columns = (self.vcpu, self.func_id, self.conduit, self.x1, self.x2, self.x3, self.level)
        return (Calls, columns) if self.n_vcpu is None else (Calls.frozen, (Calls(*columns),))

    def part(self, part: slice) -> Calls:
        """The calls in a slice, not copied.

        Raises:
            InputError: a slice with a step other than 1.
        """
        part = whole_slice(part, len(self))
        x1, x2, x3 = (part_of(values, part) for values in (self.x1, self.x2, self.x3))
        conduit, level = part_of(self.conduit, part), part_of(self.level, part)
        return Calls(self.vcpu[part], self.func_id[part], conduit, x1, x2, x3, level)


def replay(trace: Trace, *, n_vcpu: int, first_vcpu: int = 0) -> Calls:
    """Every vCPU makes every call of a trace: call k of all vCPUs comes before call k + 1.

    Args:
        trace: the calls to repeat, in file order. A trace holds HVCs only and no arguments, so x1..x3 are None.
        n_vcpu: how many vCPUs call, from index first_vcpu on.

    Returns:
        Calls with n_call = len(trace) * n_vcpu.

    Raises:
        InputError: no vCPU, or vCPU indices past 32 bits.
    """
    vcpu = _vcpus(n_vcpu, first_vcpu)
    conduit = None
    if trace.imm.any():
        conduit = np.where(trace.imm != 0, np.uint8(Conduit.HVC_IMM), np.uint8(Conduit.HVC)).repeat(n_vcpu)
    return Calls(np.tile(vcpu, len(trace)), trace.func_id.repeat(n_vcpu), conduit)


def batch(trace: Trace, k: int, *, n_vcpu: int, first_vcpu: int = 0) -> Calls:
    """Every vCPU makes the k-th call of a trace: the k-th slice of `replay`, by itself.

    Raises:
        InputError: k is not an index of the trace, no vCPU, or vCPU indices past 32 bits.
    """
    k = whole("k", k, last=len(trace) - 1)
    conduit = Conduit.HVC_IMM if trace.imm[k] else Conduit.HVC
    return Calls.one_each(int(trace.r0[k]) & LAST_U32, n_vcpu=n_vcpu, first_vcpu=first_vcpu, conduit=conduit)


def mix(weights: Mapping[str | int, float], *, n_call: int, n_vcpu: int, seed: int) -> Calls:
    """Random calls: functions by weight, vCPUs evenly, every call independent of the others.

    Args:
        weights: by function name (smccc.FUNCTION_BY_NAME), by id, or by id as text ("0x86000001", for TOML).
            Any finite scale, order does not matter; weight 0 is never drawn.
        seed: of the scenario. The draws come from default_rng([seed, STREAM_CALLS]).

    Returns:
        Calls by HVC without arguments; vcpu in 0..n_vcpu-1.

    Raises:
        InputError: an unknown name (close names are suggested), an id past 32 bits or given twice, a weight that is
            negative or not finite, weights that add up to nothing, n_call < 0, n_vcpu < 1 or seed < 0.

    >>> calls = mix({"TRNG_RND64": 7, 0x8600_0001: 3}, n_call=1000, n_vcpu=2, seed=1)
    >>> sorted({hex(i) for i in calls.func_id}), int(calls.vcpu.max())
    (['0x86000001', '0xc4000053'], 1)
    """
    n_call = whole("n_call", n_call, last=np.iinfo(np.int64).max)
    n_vcpu = whole("n_vcpu", n_vcpu, first=1, last=LAST_U32)
    weight = _weights(weights)
    func_id = np.array(list(weight), np.uint32)
    # Scaled by the largest first: finite weights must not add up to infinity.
    share = np.array(list(weight.values()), np.float64)
    cumulative = np.cumsum(share / share.max())
    rng = np.random.default_rng([whole("seed", seed, last=(1 << 128) - 1), STREAM_CALLS])
    drawn = np.searchsorted(cumulative / cumulative[-1], rng.random(n_call), side="right")
    return Calls(rng.integers(n_vcpu, size=n_call, dtype=np.uint32), func_id[drawn])


def _weights(weights: Mapping[str | int, float]) -> dict[int, float]:
    """Checked weights by function id, ascending."""
    by_id: dict[int, float] = {}
    for key, weight in weights.items():
        func_id = _func_id(key)
        if func_id in by_id:
            msg = f"weights[{key!r}]: function 0x{func_id:08x} is given twice, by name and by id; give it once"
            raise InputError(msg)
        if not _is_weight(weight):
            msg = f"weights[{key!r}] is {weight!r}: a weight must be a finite number >= 0"
            raise InputError(msg)
        by_id[func_id] = float(weight)
    if not any(by_id.values()):
        msg = f"weights of {len(by_id)} functions add up to 0: at least one must be greater than 0"
        raise InputError(msg)
    return dict(sorted(by_id.items()))


def _is_weight(weight: object) -> bool:
    return isinstance(weight, int | float | np.integer | np.floating) and math.isfinite(weight) and bool(weight >= 0)


def _func_id(key: str | int) -> int:
    """The function id a name, a number or a number as text stands for."""
    if not isinstance(key, str):
        return whole("func_id", key, last=LAST_U32)
    if key[:1].isdigit():
        try:
            return whole("func_id", int(key, 0), last=LAST_U32)
        except ValueError:
            pass
    return call_named(key)


def _vcpus(n_vcpu: int, first_vcpu: int) -> NDArray[np.uint32]:
    first = whole("first_vcpu", first_vcpu, last=LAST_U32)
    n_vcpu = whole("n_vcpu", n_vcpu, first=1, last=LAST_U32 + 1 - first)
    return np.arange(first, first + n_vcpu, dtype=np.uint32)
