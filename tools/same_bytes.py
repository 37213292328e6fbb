"""What fastsmc computes from seeded inputs, as arrays on disk, so that two machines can be compared byte by byte.

    python -m tools.same_bytes --out x86-64
    qemu-aarch64 ... python -m tools.same_bytes --out arm64
    python -m tools.same_bytes --compare x86-64 arm64

A subject is one file: verdicts, answers, power state, simulations, payloads, streams. `make test-arm64` does all of it.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsmc.calls.grouped import GroupedCalls
from fastsmc.calls.workload import Calls, replay
from fastsmc.dispatcher.answers import answers
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.dispatcher.power import switch
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTIONS
from fastsmc.facts.vcpu import STOPPED
from fastsmc.fleet.filters import FilterRange
from fastsmc.jit.first import take_kernels_at_once
from fastsmc.latency import simulate
from fastsmc.migrate import inspect
from fastsmc.migrate.chunks import decode_chunks, encode_chunks
from fastsmc.migrate.formats import decode_state, encode_state
from fastsmc.migrate.payload import Codec
from fastsmc.traces.text import traced_calls
from fastsmc.vm import Fleet
from tests.latency.test_same_bytes import arrays, every_kind, overcommitted
from tests.support.format_states import SLOT_FORMATS, plain, recorded, recorded_cpregs
from tests.support.places import TESTS

Arrays = dict[str, NDArray[np.generic]]

N_CALL = 60_011
"""Calls of a batch: many steps and chunks of every kernel, and a last step that is not full."""
TRACE = TESTS / "recordings" / "guest-traces" / "6.1-6.1.ftrace.txt"
STREAMS = ("max-4", "cortex-a57-2", "cortex-a57-4-gicv2-nodesc")
RELEASES = ("5.10", "5.15", "6.1", "6.6", "6.12", "7.3")


def _fleet(*, with_filters: bool = False, n_vm: int = 400) -> Fleet:
    """VMs of 1 to 4 vCPUs on six releases, with registers drawn at random, and for every third a filter if asked."""
    rng = np.random.default_rng([7, with_filters])
    hosts = [Host(release(name)) for name in RELEASES]
    features = rng.choice(np.array([0x0, 0x2, 0x4, 0x6], np.uint32), n_vm)
    fleet = Fleet(rng.integers(1, 5, n_vm), hosts=hosts, host_of_vm=np.arange(n_vm) % len(hosts), features=features)
    for name in ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP"):
        fleet.try_set_one_reg(register(name), rng.integers(0, 4, n_vm))
    fleet.try_set_one_reg(register("PSCI_VERSION"), rng.choice([0x2, 0x10000, 0x10001, 0x10003], n_vm))
    fleet.enable_system_suspend(vms=np.flatnonzero(np.arange(n_vm) % len(hosts) > 2)[::2])
    if with_filters:
        for vm in range(0, n_vm, 3):
            near = int(rng.choice(_KNOWN)) & ~0xFF
            ranges = [FilterRange(near, 0x100, vm % 3), FilterRange(0xC600_0000 + 0x1000 * vm, 0x800, 2 - vm % 3)]
            fleet.try_install_filter(ranges, vms=vm)
    fleet.mp_state[rng.random(fleet.n_vcpu) < 0.2] = STOPPED
    return fleet


_KNOWN = np.array([function.func_id for function in FUNCTIONS], np.uint32)


def _calls(fleet: Fleet, *, with_arguments: bool = False, unknown: float = 0.1) -> Calls:
    """Ids that KVM knows, ids one bit off them and ids at random, by vCPUs at random."""
    rng = np.random.default_rng([8, with_arguments])
    near = rng.choice(_KNOWN, N_CALL) ^ (np.uint32(1) << rng.integers(0, 32, N_CALL, np.uint32))
    owned = np.uint32(0xC600_0000) + rng.integers(0, 1 << 21, N_CALL, np.uint32)
    strange = np.where(rng.random(N_CALL) < 0.5, near, owned)
    func_id = np.where(rng.random(N_CALL) < unknown, strange, rng.choice(_KNOWN, N_CALL)).astype(np.uint32)
    vcpu = rng.integers(0, fleet.n_vcpu, N_CALL, np.uint32)
    if not with_arguments:
        return Calls(vcpu, func_id)
    values = np.array([0, 1, 2, 3, 0x100, 96, 1 << 31, 1 << 32, (1 << 64) - 1, *_KNOWN], np.uint64)
    x1, x2, x3 = (rng.choice(values, N_CALL) for _ in range(3))
    return Calls(vcpu, func_id, rng.integers(0, 4, N_CALL, np.uint8), x1, x2, x3)


def _verdicts(*, with_filters: bool) -> Arrays:
    fleet = _fleet(with_filters=with_filters)
    bare, full = _calls(fleet), _calls(fleet, with_arguments=True)
    ordered = Calls(np.sort(bare.vcpu), bare.func_id)
    found: Arrays = {f"{n} calls": verdicts(fleet, bare.part(slice(0, n))) for n in (1, 63, 64, 65, 2049, N_CALL)}
    return found | {"vCPUs in order": verdicts(fleet, ordered), "arguments and conduits": verdicts(fleet, full)}


def _grouped() -> Arrays:
    fleet = _fleet(with_filters=True)
    bare = _calls(fleet)
    length = np.random.default_rng(9).integers(1, 90, N_CALL)
    vcpu = np.repeat(bare.vcpu, length)[:N_CALL]
    grouped = GroupedCalls.from_calls(Calls(vcpu, bare.func_id))
    counted = dispatch(fleet, grouped)
    return {"verdicts": verdicts(fleet, grouped), "counted": counted.verdict, "by VM": counted.by_vm}


def _trace() -> Arrays:
    fleet = _fleet(n_vm=64)
    calls = replay(traced_calls(TRACE), n_vcpu=fleet.n_vcpu)
    return {"verdicts": verdicts(fleet, calls)}


def _counted() -> Arrays:
    fleet = _fleet(with_filters=True)
    both = dispatch(fleet, _calls(fleet))
    named: Arrays = {"by VM": both.by_vm, "by service": both.by_service, "by both": both.by_vm_service}
    return named | {"by service alone": dispatch(fleet, _calls(fleet), by="service").by_service}


def _answers() -> Arrays:
    fleet = _fleet(with_filters=True)
    full = _calls(fleet, with_arguments=True)
    return {"with arguments": answers(fleet, full), "without": answers(fleet, _calls(fleet, unknown=0.5))}


def _guests() -> Arrays:
    """Guests with EL2 at every level, protected VMs and ordinary ones."""
    hosts = [Host.of("7.3", kvm_arm_mode=mode) for mode in ("nested", "protected")]
    kind = np.arange(300) % 4
    features = np.where(kind == 0, 0x84, np.where(kind == 1, 0x184, 4))
    fleet = Fleet(1 + kind, hosts=hosts, host_of_vm=kind // 2, features=features, is_protected=kind == 3)
    fleet.try_install_filter(FilterRange(0xC600_0000, 0x8000, 2), vms=slice(0, 300, 3))
    full = _calls(fleet, with_arguments=True)
    level = np.random.default_rng(10).choice(np.array([0, 1, 2, 5, 6], np.uint8), N_CALL)
    level[kind[fleet.vm_of_vcpu[full.vcpu]] > 1] = 0
    calls = replace(full, level=level)
    done = dispatch(fleet, calls)
    told: Arrays = {"verdicts": done.verdict, "by both": done.by_vm_service, "answers": answers(fleet, calls)}
    return told | {"without levels": verdicts(fleet, full)}


def _power() -> Arrays:
    fleet = _fleet()
    full = _calls(fleet, with_arguments=True)
    switched = switch(fleet, full, verdicts(fleet, full))
    return {"ran": switched.ran, "x0": switched.x0, "power states": fleet.mp_state.copy()}


def _simulated(group: int, *, is_overcommitted: bool = False) -> Arrays:
    given = every_kind()
    given = replace(given, groups=given.groups[group : group + 1])
    (found,) = simulate(overcommitted(given) if is_overcommitted else given).groups
    return dict(arrays(found))


def _payloads() -> Arrays:
    """Every form, each of a state that it carries, and read back."""
    carried = {name: plain(50, 257) for name in SLOT_FORMATS}
    carried |= {"qemu cpu section": recorded_cpregs(5), "firecracker-like": recorded()}
    found: Arrays = {}
    for form, state in carried.items():
        data = encode_state(state, form)
        found |= {form: data, f"{form}, read": decode_state(data, form, state.expected).values}
    return found


def _blocks() -> Arrays:
    """Streams in pieces, written and read."""
    found: Arrays = {}
    state = plain(120, 129)
    for codec in Codec:
        pieces = list(encode_chunks(state.ids, [state.values[:7], state.values[7:]], codec, is_global=state.is_global))
        stream = np.concatenate(pieces)
        parts = (stream[at : at + 4099] for at in range(0, stream.size, 4099))
        read = decode_chunks(parts, state.ids, codec, n_vcpu=120, is_global=state.is_global)
        found |= {f"{codec}, written": stream, f"{codec}, read": np.concatenate(list(read))}
    return found


def _files() -> Arrays:
    """Registers that migration streams of real QEMUs hold."""
    found: Arrays = {}
    for name in STREAMS:
        read = inspect(TESTS / "streams" / f"{name}.bin.xz")
        banks = (*read.banks, *((read.core,) if read.core else ()))  # type: ignore[union-attr]
        for number, bank in enumerate(banks):
            assert bank.values is not None
            found |= {f"{name}, ids {number}": bank.registers.ids, f"{name}, values {number}": bank.values}
    return found


STATE: dict[str, Callable[[], Arrays]] = {
    "verdicts, mixed": lambda: _verdicts(with_filters=False),
    "verdicts, filters": lambda: _verdicts(with_filters=True),
    "verdicts, grouped": _grouped,
    "verdicts, a guest's trace": _trace,
    "verdicts, counted": _counted,
    "answers": _answers,
    "guests with EL2 and protected": _guests,
    "power states": _power,
    "payloads": _payloads,
    "payloads in blocks": _blocks,
    "QEMU's streams": _files,
}
TIME: dict[str, Callable[[], Arrays]] = {
    "simulation, lanes of one vCPU": lambda: _simulated(0),
    "simulation, lanes of several": lambda: _simulated(1),
    "simulation, one VM at a time": lambda: _simulated(2),
    "simulation, two services": lambda: _simulated(3),
    "simulation, workers": lambda: _simulated(4),
    "simulation, bursts": lambda: _simulated(5),
    "simulation, overcommitted": lambda: _simulated(0, is_overcommitted=True),
}
SUBJECTS = STATE | TIME


def write(folder: Path, subjects: dict[str, Callable[[], Arrays]]) -> None:
    """Computes subjects and puts each into a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, compute in subjects.items():
        found = compute()
        with (folder / f"{name}.npz").open("wb") as file:
            np.savez(file, **found)  # type: ignore[arg-type]  # no array is named allow_pickle


def digest(found: Arrays) -> str:
    """One for all arrays of a subject: their names, types, shapes and bytes."""
    whole = hashlib.blake2b(digest_size=12)
    for name, values in sorted(found.items()):
        whole.update(f"{name} {values.dtype.str} {values.shape}".encode() + np.ascontiguousarray(values).tobytes())
    return whole.hexdigest()


def differences(one: Arrays, other: Arrays) -> Iterator[str]:
    """A sentence for each array of a subject that differs: which, how often, and the first place.

    >>> list(differences({"x": np.array([1, 2, 3])}, {"x": np.array([1, 9, 8])}))
    ['x: 2 of 3 differ, first at [1]: 2 and 9']
    """
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            yield f"{name}: only the {'first' if name in one else 'second'} has it"
            continue
        a, b = one[name], other[name]
        if (a.dtype.str, a.shape) != (b.dtype.str, b.shape):
            yield f"{name}: {a.dtype.str}{list(a.shape)} and {b.dtype.str}{list(b.shape)}"
        elif a.tobytes() != b.tobytes():
            width = a.dtype.itemsize
            rows = [np.frombuffer(np.ascontiguousarray(v).tobytes(), np.uint8).reshape(-1, width) for v in (a, b)]
            wrong = np.flatnonzero((rows[0] != rows[1]).any(axis=1))
            at = tuple(int(i) for i in np.unravel_index(int(wrong[0]), a.shape))
            yield f"{name}: {wrong.size} of {a.size} differ, first at {list(at)}: {a[at]!s} and {b[at]!s}"


def compare(first: Path, second: Path, subjects: list[str]) -> tuple[list[str], int]:
    """A line per subject, and how many are not equal; a subject that one side lacks is not equal."""
    lines, n_unequal = [], 0
    for name in subjects:
        paths = [folder / f"{name}.npz" for folder in (first, second)]
        missing = [path.parent.name for path in paths if not path.is_file()]
        if missing:
            lines.append(f"{name}: {' and '.join(missing)} did not get so far")
            n_unequal += 1
            continue
        one, other = ({key: np.asarray(file[key]) for key in file.files} for file in map(np.load, paths))
        found = list(differences(one, other))
        n_unequal += bool(found)
        lines.append(f"{name}: {digest(one)} DIFFERS" if found else f"{name}: {digest(one)} equal")
        lines += [f"  {line}" for line in found]
    return lines, n_unequal


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="compute, and write a file per subject there")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="FOLDER", help="compare what two machines wrote")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"some of: {'; '.join(SUBJECTS)}")
    given = parser.parse_args()
    unknown = [name for name in given.subjects if name not in SUBJECTS]
    if unknown:
        parser.error(f"no subject {unknown[0]!r}: there are {'; '.join(SUBJECTS)}")
    names = given.subjects or list(SUBJECTS)
    take_kernels_at_once()
    if given.out:
        write(given.out, {name: SUBJECTS[name] for name in names})
    if given.compare:
        lines, n_unequal = compare(*given.compare, names)
        print("\n".join(lines))
        return 4 if n_unequal else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
