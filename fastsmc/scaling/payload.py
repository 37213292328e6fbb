"""Payload at scale: the origin's grid, encoded for real, and the cost of today's register sets in closed form."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastsmc.facts import costs
from fastsmc.facts.register_sets import bitmap_ids, register_set
from fastsmc.facts.registers import CLASS_FW, CLASS_FW_FEAT_BMAP, reg_class
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.counts import ioctls, payload_cost
from fastsmc.migrate.growth.global_map import ORIGIN as CLAIMED
from fastsmc.migrate.payload import Codec, decode, encode, payload_bytes
from fastsmc.progress import Progress, silent
from fastsmc.results.tables import Table
from fastsmc.scaling._rows import IS_HYPOTHETICAL, Heading, table

STREAM_VALUES = 3
"""Purpose number of the random register values: default_rng([seed, STREAM_VALUES, n_reg, n_vcpu])."""

ORIGIN = tuple(point[:2] for point in CLAIMED)
"""(registers, vCPUs) of the two points in the answer of 15 April 2022. Source: Message-ID 8735iebu48.wl-maz@kernel.org,
which has "10" and "100" as upper bounds."""

SETS = (
    ("5.10", "psci02"),
    ("6.1", "psci02"),
    ("6.18", "psci02"),
    ("7.3", "psci02"),
    ("7.3", "psci02+pauth"),
    ("7.3", "psci02+sve"),
    ("7.3", "psci02+pmu"),
    ("7.3", "psci02+pmu+sve+pauth"),
)
"""(release, vCPU features) of the recorded sets that are looked at; a plain vCPU has psci02 alone."""


def payload_grid(
    points: Sequence[tuple[int, int]], *, encodes: int = 3, seed: int = 1, progress: Progress = silent
) -> Table:
    """Every point in four codecs: predicted bytes, and bytes written, read back and compared bit for bit.

    The registers are 64-bit and, as firmware registers are, all VM-global: sent once means n_reg values once. For the
    plain codecs every vCPU gets other random values, so that no value can be mistaken for another's; for the codecs
    that send them once all vCPUs get the same.

    Args:
        points: (registers, vCPUs).
        encodes: times each matrix is encoded and decoded; the median time counts.

    Raises:
        InputError: a count that is not 1 to 65536.
    """
    rows: list[tuple[object, ...]] = []
    for done, (n_reg, n_vcpu) in enumerate(points, 1):
        ids = bitmap_ids(n_reg)
        values = np.random.default_rng([seed, STREAM_VALUES, n_reg, n_vcpu]).integers(
            1 << 64, size=(n_vcpu, n_reg), dtype=np.uint64
        )
        rows += [_encoded(ids, values, codec, encodes) for codec in Codec]
        progress("payload", done, len(points))
    return table("Registers of one VM, encoded for real; a row per registers, vCPUs and codec.", _GRID, rows)


def _encoded(ids: NDArray[np.uint64], values: NDArray[np.uint64], codec: Codec, encodes: int) -> tuple[object, ...]:
    n_vcpu, n_reg = values.shape
    n_global = n_reg if codec.is_global_once else 0
    sent = np.broadcast_to(values[0], values.shape).copy() if codec.is_global_once else values
    is_global = np.full(n_reg, codec.is_global_once)
    encode_ns, decode_ns = np.empty(encodes), np.empty(encodes)
    for i in range(encodes):
        start = time.perf_counter_ns()
        buffer = encode(ids, sent, codec, is_global=is_global)
        encoded = time.perf_counter_ns()
        back = decode(buffer, ids, codec, n_vcpu=n_vcpu, is_global=is_global)
        encode_ns[i], decode_ns[i] = encoded - start, time.perf_counter_ns() - encoded
    cost = payload_cost(codec, n_reg=n_reg, n_vcpu=n_vcpu, n_global=n_global)
    least = ioctls(n_reg=n_reg, n_vcpu=n_vcpu, n_global=n_global, vmm=Vmm.MINIMAL)
    return (
        n_reg,
        n_vcpu,
        n_vcpu > costs.VGIC_V3_MAX_CPUS.value,
        codec.value,
        int(cost.payload_bytes),
        buffer.nbytes,
        buffer.nbytes == cost.payload_bytes and np.array_equal(back, sent),
        float(np.median(encode_ns)) / 1e6,
        float(np.median(decode_ns)) / 1e6,
        int(cost.save_ioctls),
        int(cost.load_ioctls),
        int(least.save_ioctls),
    )


_CODECS = "values alone, or each with its id as QEMU sends them; VM-global registers per vCPU, or once"
_GRID: tuple[Heading, ...] = (
    ("n_reg", "input", "64-bit registers per vCPU, all of them VM-global"),
    ("n_vcpu", "input", "vCPUs of the VM"),
    IS_HYPOTHETICAL,
    ("codec", "input", _CODECS),
    ("payload_bytes", "modelled", "bytes in closed form"),
    ("encoded_bytes", "measured", "length of the buffer that was written"),
    ("is_round_trip_exact", "measured", "the buffer has the predicted length and every value came back bit for bit"),
    ("encode_ms", "measured", "time to write the buffer, median"),
    ("decode_ms", "measured", "time to read it back, median"),
    ("save_ioctls", "modelled", "ioctls at the source as QEMU makes them, its 77 per vCPU for core state included"),
    ("load_ioctls", "assumed", "ioctls at the destination; that QEMU writes every register twice is assumed"),
    ("least_save_ioctls", "modelled", "ioctls at the source if every register sent is read once and nothing else"),
)


def set_cost(sets: Sequence[tuple[str, str]], vcpus: Sequence[int]) -> tuple[Table, Table]:
    """Recorded register sets, and what each costs against vCPUs: bytes per codec, ioctls, and their assumed time.

    Args:
        sets: (release, features), as register_sets.register_set takes them, on cpu "max".

    Returns:
        A table of sets and one of costs, which counts QEMU's cpreg arrays: core and SVE registers travel elsewhere.

    Raises:
        InputError: a set that was not recorded, or a vCPU count out of range.
    """
    chosen = [register_set(name, features=features) for name, features in sets]
    set_rows, rows = [], []
    n_vcpu = np.asarray(vcpus)
    hypothetical = (n_vcpu > costs.VGIC_V3_MAX_CPUS.value).tolist()
    ioctl_ms = [figure.value / 1e6 for figure in costs.IOCTL_NS]
    for (name, features), found in zip(sets, chosen, strict=True):
        label = " + ".join((f"Linux {name}", *(feature for feature in found.features if feature != "psci02")))
        n_reg, n_global = found.qemu_cpregs, found.n_global
        n_firmware = sum(reg_class(reg) in (CLASS_FW, CLASS_FW_FEAT_BMAP) for reg in found.ids.tolist())
        counts = (found.n_reg, n_reg, n_firmware, n_global, found.value_bytes)
        set_rows.append(
            (label, found.release, features, *counts, int(payload_bytes(Codec.QEMU, n_reg=n_reg, n_vcpu=1)))
        )
        for codec in Codec:
            cost = payload_cost(codec, n_reg=n_reg, n_vcpu=n_vcpu, n_global=n_global, has_sve=found.has_sve)
            columns = (cost.payload_bytes, cost.save_ioctls, cost.load_ioctls)
            for v, is_hypothetical, size, save, load in zip(
                vcpus, hypothetical, *(column.tolist() for column in columns), strict=True
            ):
                times = [count * ms for count in (save, load) for ms in ioctl_ms]
                rows.append((label, codec.value, v, is_hypothetical, size, save, load, *times))
    return (
        table("Today's real register sets; a row per release and vCPU features.", _SETS, set_rows),
        table("What today's sets cost; a row per set, codec and vCPU count.", _SET_COST, rows),
    )


_SET: Heading = ("register_set", "input", "release and what the vCPU has besides PSCI 0.2")
_SETS: tuple[Heading, ...] = (
    _SET,
    ("release", "recorded", "release the list was recorded on"),
    ("features", "recorded", "vCPU init features"),
    ("n_reg", "recorded", "registers KVM lists per vCPU"),
    ("n_cpreg", "recorded", "of these, what QEMU carries in its register array: all but core and SVE"),
    ("n_firmware", "recorded", "of these, firmware registers"),
    ("n_global", "modelled", "of these, VM-global; the classification is ours"),
    ("value_bytes", "recorded", "bytes of all values at their true sizes, per vCPU"),
    ("payload_bytes", "modelled", "bytes of QEMU's register array, id+value, per vCPU"),
)
_SET_COST: tuple[Heading, ...] = (
    _SET,
    ("codec", "input", _CODECS),
    ("n_vcpu", "input", "vCPUs of the VM"),
    IS_HYPOTHETICAL,
    ("payload_bytes", "modelled", "bytes of the register array"),
    ("save_ioctls", "modelled", "ioctls at the source as QEMU makes them, core state included"),
    ("load_ioctls", "assumed", "ioctls at the destination; that QEMU writes every register twice is assumed"),
    ("save_low_ms", "assumed", "time of save_ioctls at the low cost of one"),
    ("save_mid_ms", "assumed", "time of save_ioctls at the middle cost of one"),
    ("save_high_ms", "assumed", "time of save_ioctls at the high cost of one"),
    ("load_low_ms", "assumed", "time of load_ioctls at the low cost of one"),
    ("load_mid_ms", "assumed", "time of load_ioctls at the middle cost of one"),
    ("load_high_ms", "assumed", "time of load_ioctls at the high cost of one"),
)
