"""bench/baseline.c compiled, loaded and given a fleet: verdicts as a hypervisor finds them, by table, and streams."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.levels import here
from bench.rows import Rows
from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import N_SERVICE, N_VERDICT
from fastsmc.vm import Fleet


def command(march: str) -> tuple[str, ...]:
    """How the C contestants are compiled for a CPU, by GCC's name of it."""
    return ("cc", "-O3", f"-march={march}", "-shared", "-fPIC")


COMMAND = command(here().march)
"""How they are compiled here: for the level of this process."""

_TRAITS = ("WORKAROUND_1", "WORKAROUND_2", "WORKAROUND_3", "TRNG", "PV_TIME", "VENDOR_HYP")
"""Services whose flags are bits 1 to 6 of `enum trait` in baseline.c."""
_EL1_32BIT = 0x2
"""KVM_ARM_VCPU_EL1_32BIT, word 0 of KVM_ARM_VCPU_INIT."""
_RANGE = np.dtype([("first", "u4"), ("last", "u4"), ("action", "u4")])
_VM = np.dtype(
    [
        ("bitmap", "u8", 4),
        ("ranges", "u8"),
        ("n_range", "u4"),
        ("psci_version", "u4"),
        ("traits", "u4"),
        ("index", "u4"),
        ("pad", "u4", 2),
    ]
)
_VCPU = np.dtype([("vm", "u8"), ("pad", "u8", 7)])


class _Tables(ctypes.Structure):
    _fields_ = (
        ("multiplier", ctypes.c_uint32),
        ("shift", ctypes.c_uint32),
        ("slot_of_bucket", ctypes.c_void_p),
        ("slot_id", ctypes.c_void_p),
        ("policy_of_vcpu", ctypes.c_void_p),
        ("action", ctypes.c_void_p),
        ("unknown", ctypes.c_void_p),
        ("step_first", ctypes.c_void_p),
        ("step_start", ctypes.c_void_p),
        ("step_action", ctypes.c_void_p),
    )


@cache
def library(name: str = "baseline", march: str = here().march) -> ctypes.CDLL:
    """bench/NAME.c compiled for a CPU, once per process, in a folder that is gone when this returns.

    Raises:
        RuntimeError: no C compiler, or one that refuses the source.
    """
    source = Path(__file__).with_name(f"{name}.c")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, f"{name}.so")
        try:
            subprocess.run(
                [*command(march), str(source), "-o", str(target)], check=True, capture_output=True, text=True
            )
        except FileNotFoundError as error:
            raise RuntimeError("no C compiler: the baselines are built with `cc`, install one") from error
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{' '.join(command(march))} bench/{name}.c failed:\n{error.stderr}") from error
        return ctypes.CDLL(str(target))  # stays loaded when the file is gone


def tables_of(rows: Rows) -> ctypes.Structure:
    """`struct tables` of bench/tables.h; the rows have to stay."""
    pointers = (getattr(rows, name).ctypes.data for name, _ in _Tables._fields_[2:])
    return _Tables(rows.multiplier, rows.shift, *pointers)


class Baseline:
    """The C contestants for one fleet, on calls by HVC without arguments."""

    def __init__(self, fleet: Fleet, rows: Rows) -> None:
        ranges = [np.array(installed.ranges, "u4").reshape(-1, 3) for installed in fleet.filters]
        first = np.cumsum([0, *(len(of_one) for of_one in ranges)])
        n_range = np.diff(first)
        self._ranges = np.concatenate(ranges).astype("u4").view(_RANGE)
        self._vm = aligned(fleet.n_vm, _VM)
        self._vm["bitmap"] = fleet.fw_bmap
        self._vm["ranges"] = self._ranges.ctypes.data + first[fleet.filter_of_vm] * _RANGE.itemsize
        self._vm["n_range"] = n_range[fleet.filter_of_vm]
        self._vm["psci_version"] = fleet.effective_psci_version()
        self._vm["index"] = np.arange(fleet.n_vm)
        self._vm["traits"] = np.array([_traits(host) for host in fleet.hosts], "u4")[fleet.host_of_vm]
        self._vm["traits"] |= np.where(fleet.features & _EL1_32BIT, np.uint32(128), np.uint32(0))
        self._vm["traits"] |= np.where(fleet.has_system_suspend, np.uint32(512), np.uint32(0))
        self._vcpu = aligned(fleet.n_vcpu, _VCPU)
        self._vcpu["vm"] = self._vm.ctypes.data + fleet.vm_of_vcpu.astype("u8") * _VM.itemsize
        self._rows = rows
        self._tables = tables_of(rows)
        self.by_service = np.zeros((N_SERVICE, N_VERDICT), np.int64)
        self.by_vm = np.zeros((fleet.n_vm, N_VERDICT), np.int64)

    def kernel_style(self, calls: AnyCalls, out: NDArray[np.uint8]) -> None:
        """One call at a time: filter search, bit test, switch, behind a function pointer."""
        if isinstance(calls, GroupedCalls):
            _call("kernel_style_blocks", *_blocks(calls), self._vcpu, out, len(calls.block_vcpu))
            return
        _call(f"kernel_style_{_width(calls)}", calls.func_id, calls.vcpu, self._vcpu, out, len(calls))

    def kernel_style_counted(self, calls: Calls, out: NDArray[np.uint8]) -> None:
        """What `kernel_style` does, with each verdict counted per service and per VM, from zero."""
        self.by_service[:] = 0
        self.by_vm[:] = 0
        counters = self.by_service, self.by_vm
        name = f"kernel_style_counted_{_width(calls)}"
        _call(name, calls.func_id, calls.vcpu, self._vcpu, *counters, out, len(calls))

    def table(self, calls: AnyCalls, out: NDArray[np.uint8]) -> None:
        """A hash of the id and a row per policy, one call at a time."""
        tables = ctypes.addressof(self._tables)
        if isinstance(calls, GroupedCalls):
            _call("table_blocks", *_blocks(calls), tables, out, len(calls.block_vcpu))
            return
        _call(f"table_{_width(calls)}", calls.func_id, calls.vcpu, tables, out, len(calls))


def stream_name(calls: AnyCalls, out: NDArray[Any]) -> str:
    """Bytes per call that the stream moving as much as this case reads and writes, such as "4+2->1".

    Calls in blocks have no vCPU each; what blocks take is left out.
    """
    index = "" if isinstance(calls, GroupedCalls) else f"+{calls.vcpu.dtype.itemsize}"
    return f"4{index}->{out.nbytes // max(len(calls), 1)}"


def stream(calls: AnyCalls, out: NDArray[Any]) -> None:
    """Reads every column there is and writes `out`, with one operation per call."""
    name = "stream_" + stream_name(calls, out).replace("+", "_").replace("->", "_")
    columns = (calls.func_id,) if isinstance(calls, GroupedCalls) else (calls.func_id, calls.vcpu)
    _call(name, *columns, out, len(calls))


N_SPIN = 1_000_000


def spin() -> None:
    """A million steps that need nothing but the core."""
    library().spin(ctypes.c_size_t(N_SPIN))


def aligned(n: int, dtype: Any, *, fill: bool = True) -> NDArray[Any]:
    """An array that starts on a cache line, its pages touched unless the caller fills it anyway."""
    item = np.dtype(dtype)
    raw = np.empty(n * item.itemsize + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    array: NDArray[Any] = raw[skip : skip + n * item.itemsize].view(item)
    if fill:
        array.view(np.uint8)[:] = 0
    return array


def _blocks(calls: GroupedCalls) -> tuple[NDArray[Any], ...]:
    return calls.func_id, calls.block_first, calls.block_vcpu


def _width(calls: Calls) -> str:
    return f"u{8 * calls.vcpu.dtype.itemsize}"


def _traits(host: Host) -> int:
    release = host.release
    bits = int(release.is_gated) | 256 * int(release.a32_refuses_all_smc64)
    return bits | sum(2 << i for i, name in enumerate(_TRAITS) if name in release.answers)


def _call(name: str, *arguments: Any) -> None:
    getattr(library(), name)(*arguments_of(*arguments))


def arguments_of(*arguments: Any) -> tuple[Any, ...]:
    """Arrays and addresses as pointers, and the last argument as a size."""
    *pointers, n = arguments
    return (*(ctypes.c_void_p(p if isinstance(p, int) else p.ctypes.data) for p in pointers), ctypes.c_size_t(n))
