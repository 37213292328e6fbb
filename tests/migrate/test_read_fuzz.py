"""Damaged files: an error that says where, or a reading in which every byte is accounted for; never a traceback."""

from __future__ import annotations

import io
import json
import lzma
import random
from collections.abc import Callable

import pytest

from fastsmc.errors import RegisterFileError
from fastsmc.facts.packaged import SAMPLES
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.result import RegisterFile
from tests.support.read_samples import (
    analyze_migration,
    cloud_hypervisor,
    described_stream,
    fingerprint,
    memory_stream,
    payload,
    reg_list,
    reglist_lines,
    small_stream,
    snapshot_editor,
)

N_MUTATED = 100_000
"""Per reader; the two kinds of streams share them."""
TOLD_BYTES = 8192

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 40, (1 << 64) - 1)
WORDS = (b"null", b"-1", b"1e999", b"NaN", b"{", b"]", b'"', b"0x", b"\\u0000", b"\xff\xfe", b"\0", b"\n", b"9" * 30)


def cut(data: bytes, registers: int) -> bytes:
    """The first lines of a text."""
    return b"\n".join(data.split(b"\n")[:registers]) + b"\n"


def small_json(make: Callable[..., bytes], marker: bytes, keep: int, close: bytes) -> bytes:
    """A JSON text that ends after so many entries."""
    data = make()
    at = 0
    for _ in range(keep):
        at = data.index(marker, at + 1)
    return data[:at] + close


def seeds(reader: str) -> list[bytes]:
    """Small files of one format: short, so that most mutations hit something that counts."""
    return {
        "stream": lambda: [described_stream(), memory_stream()],
        "stream without description": lambda: [small_stream("neoverse-n1-2-nodesc.bin.xz")],
        "fingerprint": lambda: [small_json(fingerprint, b",\n      {", 8, b"]}}")],
        "snapshot-editor": lambda: [cut(snapshot_editor(), 30) + b"vcpu 1:\n0x6030000000140000 0x00000103\n"],
        "get-reg-list": lambda: [cut(reg_list(), 40), b"\n".join(reg_list().split(b"\n")[-40:])],
        "cloud-hypervisor": lambda: [small_hypervisor(False), small_hypervisor(True)],
        "analyze-migration": lambda: [small_analysis()],
        "payload": lambda: [(20).to_bytes(8, "little") + payload("psci02")[8 : 8 + 20 * 16]],
        "reglist": lambda: [small_reglist()],
        "cloud-hypervisor v20": lambda: [small_bytes("v20"), small_bytes("v29")],
        "cpu-template": lambda: [TEMPLATE],
        "cpu-model": lambda: [CPU_MODEL],
        "get-reg-list report": lambda: [REG_REPORT],
        "qemu-log": lambda: [QEMU_LOG],
        "vmm-log": lambda: [VMM_LOG, json.dumps({"fault_message": VMM_LOG.decode()}).encode()],
        "idregs": lambda: [IDREGS],
        "host-profile": lambda: [small_profile()],
    }[reader]()


def small_reglist() -> bytes:
    first = json.loads(reglist_lines().split(b"\n")[0])
    first["regs"], first["n"] = first["regs"][:10], 10
    return json.dumps(first, separators=(",", ":")).encode() + b'\n{"feat":"none","failed":0}\n'


def small_profile() -> bytes:
    told = json.loads(lzma.decompress(SAMPLES["host.json.xz"].read_bytes()))
    told["register_sets"] = told["register_sets"][1:3]
    for one in told["register_sets"]:
        one["registers"] = dict(list(one["registers"].items())[-8:])
    told["kvm"]["capabilities"] = {"0": [1, 1], "131": [-22, 0]}
    return json.dumps(told, separators=(",", ":")).encode()


def small_hypervisor(is_bytes: bool) -> bytes:
    tree = json.loads(cloud_hypervisor(n_vcpu=2, is_bytes=is_bytes))
    cpus = tree["snapshots"]["cpu-manager"]["snapshots"]
    for node in cpus.values():
        state = json.loads(node["snapshot_data"]["state"])
        del state["Kvm"]["sys_regs"][6:]
        del state["Kvm"]["core_regs"]
        node["snapshot_data"]["state"] = json.dumps(state, separators=(",", ":"))
    return json.dumps(tree, separators=(",", ":")).encode()


def small_bytes(layout: str) -> bytes:
    """A snapshot of one vCPU whose state is an array of bytes, with three system registers."""
    state = {"Kvm": {"sys_regs": [{"id": 0x603000000013C000 + n, "addr": n << 60} for n in range(3)]}}
    stored = list(json.dumps(state, separators=(",", ":")).encode())
    data = {"vcpu-section": {"id": "x", "snapshot": stored}} if layout == "v20" else stored
    node = {"snapshots": {}, "snapshot_data": data}
    tree = {"snapshots": {"cpu-manager": {"snapshots": {"0": node}, "snapshot_data": None}}, "snapshot_data": None}
    return json.dumps(tree, separators=(",", ":")).encode()


TEMPLATE = json.dumps(
    {
        "kvm_capabilities": ["171", "!56"],
        "vcpu_features": [{"index": 0, "bitmap": "0b11xxxxx"}],
        "reg_modifiers": [
            {"addr": "0x603000000013c020", "bitmap": "0bxxxxxxxxxxxx0000_xxxxxxxxxxxx0001"},
            {"addr": "0x6020000000110000", "bitmap": "0b1x0"},
        ],
    }
).encode()
CPU_MODEL = b"""{"return": {"model": {"name": "host", "props": {"sve": true, "sve128": true, "sve256": false,
 "pmu": true, "sve-max-vq": 2, "kvm-psci-version": "1.1"}}}, "id": "libvirt-7"}"""
REG_REPORT = b"""vregs: Number blessed registers:   300
vregs: Number registers:           299 (includes 2 filtered registers)

vregs: There are 1 new registers.
Consider adding them to the blessed reg list with the following lines:

\tKVM_REG_ARM_FW_FEAT_BMAP_REG(3),

vregs: There are 1 missing registers.
The following lines are missing registers:

\tKVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc),
vregs: Failed to set \tARM64_SYS_REG(3, 0, 2, 0, 3),
pmu: PASS
"""
VMM_LOG = b"""Error: Failed to set register 0x6030000000140000 to value 0x010003: Invalid argument (os error 22)
Failed to restore system register TCR2_EL1
ERROR: Failed to set system register: Invalid argument (os error 22)
"""
QEMU_LOG = b"""qemu-system-aarch64: Invalid value 184 expecting positive value <= 182
qemu-system-aarch64: Failed to load cpu:cpreg_vmstate_array_len
qemu-system-aarch64: Could not set register fw reg 3 to 2 (is 1)
qemu-system-aarch64: Could not set register op0:3 op1:0 crn:0 crm:4 op2:0: unknown to KVM
qemu-system-aarch64: kvm_arm_cpu_post_load Missing register in input stream: 0 0x6030000000160003 fw feat reg 3
handle_cpreg_only_in_incoming_stream: fw feat reg 3 in the incoming stream but unknown on the destination
qemu-system-aarch64: load of migration failed: Operation not permitted
"""
IDREGS = b"""       SYS_MIDR_EL1:\t00000000481fd010
     ID_PFR0_EL1:\t0000000010010131
      S3_0_0_3_3:\t0000000000000000
 ID_AA64PFR0_EL1:\t1100000011111112
"""


def small_analysis() -> bytes:
    state = json.loads(analyze_migration())
    for section in list(state.values())[1:]:
        section["cpreg_vmstate_array_len"] = "0x00000008"
        for key in ("cpreg_vmstate_indexes", "cpreg_vmstate_values"):
            del section[key][8:]
    return json.dumps(state).encode()


def mutated(data: bytes, draw: random.Random) -> bytes:
    """One to three of: a flipped bit, a number or a word written over or put in, a cut, a piece lost, twice, moved."""
    new = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        at = draw.randrange(len(new) + 1)
        piece = slice(at, at + draw.choice((1, 2, 4, 8, 16, 64, 1024)))
        match draw.randrange(9):
            case 0 | 1:
                if at < len(new):
                    new[at] ^= 1 << draw.randrange(8)
            case 2:
                size = draw.choice((1, 2, 4, 8))
                number = draw.choice(EDGES) & (1 << 8 * size) - 1
                new[at : at + size] = number.to_bytes(size, draw.choice(("big", "little")))
            case 3:
                word = draw.choice(WORDS)
                new[at : at + draw.choice((0, len(word)))] = word
            case 4:
                del new[at:]
            case 5:
                del new[piece]
            case 6:
                new[at:at] = new[piece]
            case 7:
                moved = new[piece]
                del new[piece]
                to = draw.randrange(len(new) + 1)
                new[to:to] = moved
            case 8:
                new[at:at] = draw.randbytes(draw.choice((1, 4, 5, 16)))
    return bytes(new)


def check(data: bytes) -> bool:
    """Whether it was read; if so, every byte is in a part, and devices' parts begin and end as sections do.

    A short file is also told as text and as plain values.
    """
    try:
        file = inspect(io.BytesIO(data))
    except RegisterFileError as error:
        told = str(error)
        is_sentence = 10 < len(told) < 600 and "\n" not in told
        if not is_sentence:
            raise
        return False
    if len(data) < TOLD_BYTES:
        assert len(repr(file)) <= 200
        assert str(file)
        assert json.dumps(file.as_dict())
    if not isinstance(file, RegisterFile):
        return True
    assert file.n_vcpu >= 1
    assert sum(part.n_bytes for part in file.parts) + file.description_bytes == len(data)
    assert all(part.n_bytes >= 0 for part in file.parts)
    for bank in file.banks:
        ids = bank.registers.ids.tolist()
        assert ids == sorted(set(ids))
        assert bank.values is None or bank.values.shape == (bank.vcpus.size, len(ids))
    if file.format != "qemu-stream":
        return True
    at = 0
    for part in file.parts:
        piece = data[at : at + part.n_bytes]
        at += part.n_bytes
        if part.instance is not None:
            assert piece[-5:] == b"\x7e" + piece[1:5]
            assert part.name.encode() in piece[:300] or part.name == "ram"
    return True


READERS = (
    *("stream", "stream without description", "fingerprint", "snapshot-editor", "get-reg-list"),
    *("cloud-hypervisor", "analyze-migration", "payload", "reglist", "cloud-hypervisor v20"),
    *("cpu-template", "cpu-model", "get-reg-list report", "qemu-log", "vmm-log", "idregs", "host-profile"),
)


def run(reader: str, n: int) -> int:
    """Checks n mutated files; how many were read all the same."""
    originals = seeds(reader)
    assert all(map(check, originals)), "the file is fine before it is damaged"
    draw = random.Random(reader)
    return sum(check(mutated(draw.choice(originals), draw)) for _ in range(n))


@pytest.mark.parametrize("reader", READERS)
def test_some_damaged_files(reader: str) -> None:
    assert run(reader, 500) < 500 or reader in ("qemu-log", "vmm-log")  # of which any line may be another's


@pytest.mark.soak(f"{N_MUTATED:,} damaged files per reader; make test tries 500")
@pytest.mark.parametrize("reader", READERS)
def test_damaged_files(reader: str) -> None:
    n = N_MUTATED // 2 if reader.startswith("stream") else N_MUTATED
    assert run(reader, n) < n or reader in ("qemu-log", "vmm-log")
