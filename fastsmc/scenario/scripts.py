"""Sequences of hypercalls with times: what each vCPU of one VM calls, once, in order.

A step waits for one other step, its own vCPU's last one as a rule; a vCPU that CPU_ON starts waits for that CPU_ON. So
a script says both when its calls come if calls take no time (`at_ns`), and what waits for what if they do (`after`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.facts.smccc import Conduit
from fastsmc.jit import memory

_OF_STEP = 150
"""Bytes per step at most, while a script is made a workload and then the tables of a simulation."""


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """What the vCPUs of one VM call. Steps of vCPU v are first_step[v] up to first_step[v + 1].

    Attributes:
        name: of the shape, or of the trace file.
        source: which recording it came from.
        assumed: what no recording shows, one sentence each.
        first_step: int64[n_vcpu + 1].
        at_ns: float64[n_step], time since the VM's start if calls took no time; ascending within a vCPU.
        func_id: uint32[n_step].
        conduit: uint8[n_step] of smccc.Conduit. Arguments are 0: no recording has them, and no verdict here needs them.
        after: int64[n_step], the step whose end this one waits for; -1: the VM's start. A step waits for no later one
            of its own vCPU, and every chain ends in -1.
    """

    name: str
    source: str
    assumed: tuple[str, ...]
    first_step: NDArray[np.int64]
    at_ns: NDArray[np.float64]
    func_id: NDArray[np.uint32]
    conduit: NDArray[np.uint8]
    after: NDArray[np.int64]

    def __len__(self) -> int:
        """Steps of all vCPUs."""
        return len(self.func_id)

    @property
    def n_vcpu(self) -> int:
        return len(self.first_step) - 1

    @property
    def gap_ns(self) -> NDArray[np.float64]:
        """float64[n_step]: a vCPU's time since its last call, or since the VM's start, if calls took no time."""
        gap = np.diff(self.at_ns, prepend=0.0)
        is_first = np.zeros(len(self), np.bool_)
        starts = self.first_step[:-1]
        is_first[starts[starts < self.first_step[1:]]] = True
        gap[is_first] = self.at_ns[is_first]
        return gap

    @property
    def wait_ns(self) -> NDArray[np.float64]:
        """float64[n_step]: time from the end of the step in `after` to this one."""
        before = np.where(self.after >= 0, self.at_ns[self.after], 0.0)
        wait: NDArray[np.float64] = self.at_ns - before
        return wait

    def scaled(self, scale: float) -> Script:
        """The script with all its times multiplied.

        Raises:
            InputError: a scale that is not above 0 and finite.
        """
        if not 0 < scale < np.inf:
            msg = f"scale is {scale!r}: it must be a number above 0"
            raise InputError(msg)
        if scale == 1:
            return self
        assumed = (*self.assumed, f"all times are multiplied by {scale:g}")
        return Script(
            self.name,
            self.source,
            assumed,
            self.first_step,
            self.at_ns * scale,
            self.func_id,
            self.conduit,
            self.after,
        )


@dataclass(frozen=True, slots=True)
class ScriptStep:
    """A call that a script will have: when (ns since the VM's start), what, and the (vCPU, step) that it waits for.

    `after` None: the vCPU's own last step, or the VM's start.
    """

    at_ns: float
    func_id: int
    after: tuple[int, int] | None = None
    conduit: Conduit = Conduit.HVC


def script_of(vcpus: Sequence[Sequence[ScriptStep]], *, name: str, source: str, assumed: Sequence[str] = ()) -> Script:
    """A script from a list of steps per vCPU.

    Raises:
        InputError: it would take more memory than there is.

    >>> first = [ScriptStep(5, 0x84000000), ScriptStep(9, 0x84000008)]
    >>> script = script_of([first, [ScriptStep(7, 0xC5000021, after=(0, 0))]],
    ...                    name="two", source="this line")
    >>> script.gap_ns.tolist(), script.after.tolist(), script.wait_ns.tolist()
    ([5.0, 4.0, 7.0], [-1, 0, 0], [5.0, 4.0, 2.0])
    """
    first = np.concatenate([[0], np.cumsum([len(steps) for steps in vcpus])]).astype(np.int64)
    n_step = int(first[-1])
    memory.require(n_step * _OF_STEP, f"a script of {n_step:,} steps", "give its VMs fewer vCPUs, or it fewer polls")
    flat = [step for steps in vcpus for step in steps]
    after = np.arange(-1, len(flat) - 1, dtype=np.int64)
    after[first[:-1][np.diff(first) > 0]] = -1
    for number, step in enumerate(flat):
        if step.after is not None:
            vcpu, index = step.after
            after[number] = first[vcpu] + index
    return Script(
        name,
        source,
        tuple(assumed),
        first,
        np.array([step.at_ns for step in flat], np.float64),
        np.array([step.func_id for step in flat], np.uint32),
        np.array([step.conduit for step in flat], np.uint8),
        after,
    )
