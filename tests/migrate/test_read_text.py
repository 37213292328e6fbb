"""Every other format: real recordings in its form, compared with a plain parse of the recording."""

from __future__ import annotations

import io
import json
import lzma
import os
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import InputError, RegisterFileError
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.result import Format, RegisterFile
from fastsmc.migrate.read.scopes import scopes
from tests.support.read_samples import (
    HOST,
    STREAMS,
    analyze_migration,
    cloud_hypervisor,
    expression,
    fingerprint,
    payload,
    payload_values,
    reg_list,
    reglist_lines,
    snapshot_editor,
    stream,
)


def read(data: bytes, **options: str) -> RegisterFile:
    file = inspect(io.BytesIO(data), **options)  # type: ignore[arg-type]
    assert sum(part.n_bytes for part in file.parts) + file.description_bytes == len(data) == file.total_bytes
    return file


def numbers(features: str) -> dict[int, int]:
    return {reg: int.from_bytes(value, "little") for reg, value in sorted(payload_values(features).items())}


@pytest.mark.parametrize(
    "path", sorted(HOST.parent.glob("*/payload-*.bin.xz")), ids=lambda p: f"{p.parent.name}-{p.name}"
)
def test_payloads_have_the_ids_of_the_recorded_set(path: Path) -> None:
    file = inspect(path)
    release, _, cpu = path.parent.name.removeprefix("linux-").partition("-")
    features = path.name.removeprefix("payload-").removesuffix(".bin.xz")
    recorded = smc.register_set(release, cpu=cpu.removesuffix("-nested"), features=features)
    assert file.register_set().ids.tolist() == recorded.ids.tolist()
    assert file.register_set().value_bytes == recorded.value_bytes


def test_a_payload_has_every_value_whole() -> None:
    file = read(payload())
    assert (file.format, file.n_vcpu) == (Format.RECORDED_PAYLOAD, 1)
    assert file.values_of() == numbers("psci02+sve")


@pytest.mark.parametrize("features", [None, "none", "psci02+pmu+sve+pauth"])
def test_a_recorded_list_has_the_payloads_values_where_they_are_whole(features: str | None) -> None:
    file = read(reglist_lines(), **({"features": features} if features else {}))
    expected = numbers(features or "psci02")
    told = file.values_of()
    assert told.keys() == expected.keys()
    narrow = {reg for reg, value in payload_values(features or "psci02").items() if len(value) <= 8}
    moving = {0x603000000013DF1A, 0x603000000013DF01, 0x603000000013DF11, 0x603000000013DF19}  # timers went on
    assert {reg for reg, value in told.items() if value is not None} == narrow
    assert {reg for reg in narrow - moving if told[reg] != expected[reg]} == set()


def test_a_fingerprint_has_the_recorded_values() -> None:
    file = read(fingerprint())
    assert (file.format, file.n_vcpu) == (Format.FINGERPRINT, 1)
    assert file.values_of() == numbers("psci02")
    assert file.provenance.told_by == {"kernel_version": "6.12.107"}


def test_a_value_with_a_bit_that_is_left_alone_is_not_told() -> None:
    entry = b'{"addr": "0x6030000000140000", "bitmap": "0b1x"}'
    told = read(b'{"guest_cpu_config": {"reg_modifiers": [%s]}}' % entry).values_of()
    assert told == {0x6030000000140000: None}


@pytest.mark.parametrize(("kernel", "n_reg"), [("5.10", 312), ("6.1", 242), ("6.18", 254)])
def test_real_fingerprints_have_their_known_counts(kernel: str, n_reg: int) -> None:
    folder = os.environ.get("FASTSMC_FINGERPRINTS")
    if not folder:
        pytest.skip("Firecracker's fingerprints are not copied here: FASTSMC_FINGERPRINTS names a folder of them")
    paths = sorted(Path(folder).glob(f"*_{kernel}host.json"))
    assert paths
    for path in paths:
        plain = {
            int(entry["addr"], 0): int(entry["bitmap"], 0)
            for entry in json.loads(path.read_text())["guest_cpu_config"]["reg_modifiers"]
        }
        file = inspect(path)
        assert file.values_of() == plain
        assert file.registers_per_vcpu == n_reg


def test_the_selftests_list_names_the_recorded_ids() -> None:
    file = read(reg_list())
    assert (file.format, file.has_values) == (Format.REG_LIST, False)
    assert file.register_set().ids.tolist() == sorted(payload_values("psci02+sve"))


@pytest.mark.parametrize(
    ("line", "reg"),
    [  # ids of the recorded lists and of uapi/asm/kvm.h
        ("KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc),", 0x6030000000100040),
        (
            "KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(fp_regs.vregs[31]),",
            0x60400000001000D0,
        ),
        ("KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_DEMUX | KVM_REG_ARM_DEMUX_ID_CCSIDR | 3,", 0x6020000000110003),
        ("\tARM64_SYS_REG(3, 0, 0, 0, 5),\t/* MPIDR_EL1 */", 0x603000000013C005),
        ("KVM_REG_ARM_FW_REG(0),", 0x6030000000140000),
        ("KVM_REG_ARM_FW_FEAT_BMAP_REG(3),", 0x6030000000160003),
        ("KVM_REG_ARM64_SVE_VLS,", 0x606000000015FFFF),
        ("KVM_REG_ARM_TIMER_CNT,", 0x603000000013DF1A),
        ("KVM_REG_ARM64_SVE_ZREG(1, 0),", 0x6080000000150020),
        ("KVM_REG_ARM64_SVE_PREG(1, 0),", 0x6050000000150420),
        ("KVM_REG_ARM64_SVE_FFR(0),", 0x6050000000150600),
    ],
)
def test_a_line_of_the_selftest_is_this_register(line: str, reg: int) -> None:
    assert list(read(line.encode(), format="get-reg-list").values_of()) == [reg]


@pytest.mark.parametrize("text", ["{:#x},\n{:#x},\n", "vregs:\n\t{:#x}\n\t{:#x}", "0x{:X}\r\n0x{:X}\r\n"])
def test_ids_alone_are_a_list_too(text: str) -> None:
    ids = [0x603000000010003E, 0x6030000000140000]
    file = read(text.format(*ids).encode())
    assert (file.format, list(file.values_of())) == (Format.REG_LIST, ids)


def test_samples_spell_wide_registers_as_the_selftest_does() -> None:
    assert expression(0x6050000000150600) == "KVM_REG_ARM64_SVE_FFR(0)"


def test_what_snapshot_editor_prints_is_told_only_where_it_is_certain() -> None:
    expected = numbers("psci02")
    file = read(snapshot_editor())
    assert (file.format, file.n_vcpu) == (Format.SNAPSHOT_EDITOR, 2)
    told = file.values_of(1)
    assert told.keys() == expected.keys()
    assert {reg for reg, value in told.items() if value not in (None, expected[reg])} == set()
    untold = {reg for reg, value in told.items() if value is None}
    assert 0 < len(untold) < len(expected) / 4
    assert scopes(file).untold == tuple(sorted(untold))


@pytest.mark.parametrize(
    ("digits", "value"),
    [
        ("00000103", 0x10003),
        ("0000000000010003", 0x10003),
        ("1f000000b", None),
        ("1010101010101010", 0x1010101010101010),
    ],
)
def test_bytes_without_their_leading_zero(digits: str, value: int | None) -> None:
    """0x1f and six more bytes, or 1, 0xf0, …: nine digits for eight bytes may be cut in several ways."""
    told = read(f"vcpu 0:\n0x6030000000140000 0x{digits}\n".encode()).values_of()
    assert told == {0x6030000000140000: value}


def test_plain_numbers_are_read_as_such_but_not_mixed() -> None:
    plain = b"vcpu 0:\n0x6030000000140000 0x10003\n0x6030000000140001 0x0\n"
    assert read(plain).values_of() == {0x6030000000140000: 0x10003, 0x6030000000140001: 0}
    with pytest.raises(RegisterFileError, match="line 2: a value shorter than its register, while line 4"):
        read(plain + b"0x6030000000140002 0x00000000\n")


@pytest.mark.parametrize("is_bytes", [False, True])
def test_cloud_hypervisors_vcpus_are_the_recorded_ones(is_bytes: bool) -> None:
    data = cloud_hypervisor("psci02+pmu", is_bytes=is_bytes)
    file = read(data)
    assert (file.format, file.n_vcpu) == (Format.CLOUD_HYPERVISOR, 2)
    assert file.values_of(1) == numbers("psci02+pmu")
    escaped = data[data.index(b'"state":"{\\"Kvm') + 9 :]
    escaped = escaped[: escaped.index(b'"}')]
    assert [(part.name, part.instance, part.n_bytes) for part in file.parts[:2]] == [
        ("vcpu", 0, len(escaped)),
        ("vcpu", 1, len(escaped)),
    ]


@pytest.mark.parametrize("layout", ["v20", "v29"])
def test_states_as_arrays_of_bytes_are_read(layout: str) -> None:
    """Up to v28 {"vcpu-section": {"snapshot": [123, …]}}, up to v38 [123, …]; core_regs is an object in those."""
    data = cloud_hypervisor("psci02+pmu", layout=layout)
    file = read(data)
    assert (file.format, file.n_vcpu, file.part_of) == (Format.CLOUD_HYPERVISOR, 2, "")
    assert [file.values_of(vcpu) for vcpu in (0, 1)] == [numbers("psci02+pmu")] * 2
    array = data[data.index(b"[123,34,75") :]
    assert [part.n_bytes for part in file.parts[:2]] == [array.index(b"]") - 1] * 2


def test_a_v_register_has_all_its_128_bits_as_a_number() -> None:
    tree = json.loads(cloud_hypervisor())
    state = json.loads(tree["snapshots"]["cpu-manager"]["snapshots"]["0"]["snapshot_data"]["state"])["Kvm"]
    core = json.loads(cloud_hypervisor(layout="v29"))["snapshots"]["cpu-manager"]["snapshots"]["0"]["snapshot_data"]
    state["core_regs"] = json.loads(bytes(core))["Kvm"]["core_regs"]
    state["core_regs"]["fp_regs"]["vregs"][31] = (1 << 128) - 2
    file = read(json.dumps(state).encode())
    assert file.values_of()[0x60400000001000D0] == (1 << 128) - 2
    assert "one vCPU's state" in file.part_of
    assert file.no_host.startswith("is one vCPU's state")


def test_an_sve_vcpu_of_a_snapshot_has_no_v_registers() -> None:
    """KVM lists Z registers in their place; kvm_regs has room for V registers all the same."""
    file = read(cloud_hypervisor("psci02+sve"))
    assert file.values_of() == numbers("psci02+sve")


@pytest.mark.parametrize("cut", ["node", "manager"])
def test_a_node_of_the_tree_alone_is_told_as_what_it_is(cut: str) -> None:
    manager = json.loads(cloud_hypervisor())["snapshots"]["cpu-manager"]
    node = manager["snapshots"]["1"] if cut == "node" else manager
    file = read(json.dumps(node).encode())
    assert (file.n_vcpu, bool(file.part_of)) == ((1, True) if cut == "node" else (2, False))


def test_the_scripts_json_is_the_stream() -> None:
    file = read(analyze_migration())
    real = inspect(io.BytesIO(stream()))
    assert (file.format, file.n_vcpu, file.registers_per_vcpu) == (Format.ANALYZE_MIGRATION, 2, 258)
    assert [file.values_of(vcpu) for vcpu in (0, 1)] == [real.values_of(vcpu) for vcpu in (0, 1)]


def test_a_description_alone_says_how_many_registers_it_lacks() -> None:
    data = stream()
    text = data[data.rindex(b"\0") :]
    with pytest.raises(RegisterFileError, match=r"description \(2 vCPUs with 258 registers\) has no register ids"):
        read(text[text.index(b"{") :])


def test_vcpus_with_different_lists_are_kept_apart() -> None:
    lines = ["vcpu 0:", "0x6030000000140000 0x10003", "0x603000000013c005 0x0", "vcpu 1:", "0x6030000000140000 0x10001"]
    file = read("\n".join(lines).encode())
    assert [(bank.vcpus.tolist(), bank.registers.n_reg) for bank in file.banks] == [([0], 2), ([1], 1)]
    found = scopes(file)
    assert found.conflicts == (0x6030000000140000,)
    assert found.not_everywhere == (0x603000000013C005,)
    with pytest.raises(InputError, match="vCPU 2"):
        file.values_of(2)


def test_scopes_agree_with_a_comparison_value_by_value() -> None:
    file = inspect(STREAMS / "cortex-a53-8-el2.bin.xz")
    columns = {reg: {file.values_of(vcpu)[reg] for vcpu in range(8)} for reg in file.values_of()}
    found = scopes(file)
    equal = {reg for reg, values in columns.items() if len(values) == 1}
    assert {*found.equal_global, *found.equal_undeclared} == equal
    assert {*found.conflicts, *found.different} == columns.keys() - equal


def test_xz_is_unpacked_and_said_so_in_the_total(tmp_path: Path) -> None:
    path = tmp_path / "list.xz"
    path.write_bytes(lzma.compress(reg_list()))
    assert inspect(path).total_bytes == len(reg_list())
    assert smc.migrate.inspect is inspect


@pytest.mark.parametrize("form", ["{:#x} {:#x}", "{:#x} 0x{:016x}", "{:#X} {:#X}", "{:#x}\t{:#x}"])
def test_numbers_however_written_are_the_numbers(form: str) -> None:
    expected = {0x6020000000110000: 0x700FE01A, 0x6030000000140000: 0x10003, 0x60400000001000A0: 0xDEADBEEF12}
    text = "\n".join(form.format(reg, value) for reg, value in expected.items()).replace("0X", "0x")
    assert read(text.encode(), format="snapshot-editor").values_of() == expected


def test_one_value_too_long_makes_no_numbers_of_bytes() -> None:
    damaged = snapshot_editor() + b"\n0x6030000000140010 0x00000000000000001\n"
    with pytest.raises(RegisterFileError, match="17 digits for 8 bytes"):
        read(damaged)
