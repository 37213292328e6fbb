"""What somebody without a compiler would write: NumPy by table, NumPy by search, and plain Python."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.rows import KNOWN, N_SLOT, SERVICE, Rows
from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.facts.smccc import N_SERVICE, N_VERDICT, Service

CHUNK = 1 << 14
"""Calls per NumPy expression, so that temporaries stay in the cache and malloc does not map each anew: of 4K to 128K
the best at 128K calls (8K and 16K alike, 128K 1.3x slower), and within a tenth of the best at 2M."""


class Plain:
    """The NumPy and Python contestants for one fleet, on calls by HVC without arguments."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._action = rows.action.reshape(-1)
        self._order = np.argsort(KNOWN)
        self._sorted = KNOWN[self._order]
        policy_of_step = np.repeat(np.arange(len(rows.vms), dtype=np.uint64), np.diff(rows.step_first).astype(np.int64))
        self._step = policy_of_step << np.uint64(32) | rows.step_start
        self._has_filter = np.diff(rows.step_first) > 0
        self.by_service = np.zeros((N_SERVICE, N_VERDICT), np.int64)
        self.by_vm = np.zeros((rows.policy_of_vm.size, N_VERDICT), np.int64)

    def table(self, calls: AnyCalls, out: NDArray[np.uint8]) -> None:
        """Fancy indexing: a hash of the id, a row per policy. Blocks are spread first: one by one they were slower."""
        if isinstance(calls, GroupedCalls):
            calls = Calls(np.repeat(calls.block_vcpu, np.diff(calls.block_first)), calls.func_id)
        rows = self.rows
        for at in range(0, len(calls), CHUNK):
            func_id, vcpu = calls.func_id[at : at + CHUNK], calls.vcpu[at : at + CHUNK]
            slot = rows.slot_of_bucket[(func_id * np.uint32(rows.multiplier)) >> np.uint32(rows.shift)]
            self._finish(func_id, slot, rows.policy_of_vcpu[vcpu], out[at : at + CHUNK])

    def search(self, calls: Calls, out: NDArray[np.uint8]) -> None:
        """Binary search: np.searchsorted over the named ids instead of the hash."""
        for at in range(0, len(calls), CHUNK):
            func_id, vcpu = calls.func_id[at : at + CHUNK], calls.vcpu[at : at + CHUNK]
            slot = self._order[np.minimum(np.searchsorted(self._sorted, func_id), KNOWN.size - 1)]
            self._finish(func_id, slot, self.rows.policy_of_vcpu[vcpu], out[at : at + CHUNK])

    def _finish(
        self,
        func_id: NDArray[np.uint32],
        slot: NDArray[np.uint8 | np.int64],
        policy: NDArray[np.uint32],
        out: NDArray[np.uint8],
    ) -> None:
        np.take(self._action, policy * np.uint32(N_SLOT) + slot, out=out, mode="wrap")  # "raise" would buffer `out`
        unknown = np.flatnonzero(self.rows.slot_id[slot] != func_id)
        if not unknown.size:
            return
        policy, func_id = policy[unknown], func_id[unknown]
        is_psci = ((func_id >> np.uint32(24)) & np.uint32(0x3F) == 4) & (func_id & np.uint32(0xFFFF) <= 0x1F)
        verdict = self.rows.unknown[policy, is_psci.astype(np.uint8)]
        if self._step.size:
            key = policy.astype(np.uint64) << np.uint64(32) | func_id
            step = np.searchsorted(self._step, key, side="right") - 1
            action = np.where(self._has_filter[policy], self.rows.step_action[step], 0)
            verdict = np.where(action > 0, action, verdict)  # DENY and FWD_TO_USER are DENIED and FORWARDED
        out[unknown] = verdict

    def table_counted(self, calls: Calls, out: NDArray[np.uint8]) -> None:
        """The table, and np.bincount per service and per VM; vCPU and VM are the same index here."""
        self.table(calls, out)
        self.by_service[:] = 0
        self.by_vm[:] = 0
        rows = self.rows
        for at in range(0, len(calls), CHUNK):
            func_id, verdict = calls.func_id[at : at + CHUNK], out[at : at + CHUNK].astype(np.int64)
            slot = rows.slot_of_bucket[(func_id * np.uint32(rows.multiplier)) >> np.uint32(rows.shift)]
            service = np.where(rows.slot_id[slot] == func_id, SERVICE[slot], np.uint8(Service.UNKNOWN)).astype(np.int64)
            vm = calls.vcpu[at : at + CHUNK].astype(np.int64)
            for counter, index in ((self.by_service, service), (self.by_vm, vm)):
                counter += np.bincount(index * N_VERDICT + verdict, minlength=counter.size).reshape(counter.shape)

    def python(self, calls: Calls, out: NDArray[np.uint8]) -> None:
        """The reference, call by call; SYSTEM_OFF stops its VM, which no verdict depends on."""
        vms, policy = self.rows.vms, self.rows.policy_of_vcpu[calls.vcpu].tolist()
        out[:] = [vms[p].call(0, func_id).verdict for p, func_id in zip(policy, calls.func_id.tolist(), strict=True)]
