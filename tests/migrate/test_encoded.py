"""`migrate.encode`: sizes against closed forms, bytes read back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.facts.packaged import packaged
from fastsmc.migrate.encoded import Encoded
from fastsmc.migrate.formats import FORMATS, decode_state
from tests.support.command import fastsmc
from tests.support.places import TESTS

PAYLOAD = packaged("payloads", "linux-6.18.15-max", "payload-psci02+pmu.bin.xz")
STREAM = TESTS / "streams" / "cortex-a57-2.bin.xz"


@pytest.fixture(scope="module", params=[PAYLOAD, STREAM], ids=["payload", "stream"])
def found(request: pytest.FixtureRequest) -> Encoded:
    return smc.migrate.encode(request.param)


def test_every_form_is_read_back_bit_for_bit(found: Encoded) -> None:
    assert [form.name for form in found.forms] == list(FORMATS)
    for form in found.forms:
        data = found.bytes_of(form.name)
        assert data.size == form.n_byte
        state = next(one for one in found.states if one.ids.size == form.n_reg)
        assert decode_state(data, form.name, state.expected).equals(state)


def test_sizes_are_the_closed_forms_of_the_documentation() -> None:
    """docs/payload-formats.md: R registers of QEMU's arrays, V vCPUs, G VM-global."""
    registers, n_vcpu = smc.register_set("6.12"), 64
    r, g = registers.qemu_cpregs, registers.n_global
    sizes = {form.name: form.n_byte for form in smc.migrate.encode(registers, n_vcpu=n_vcpu).forms}
    assert sizes["values"] == 8 * r * n_vcpu
    assert sizes["id+value"] == 16 * r * n_vcpu
    assert sizes["values, VM-global once"] == 8 * (g + (r - g) * n_vcpu)
    assert sizes["id+value, VM-global once"] == 16 * (g + (r - g) * n_vcpu)
    assert sizes["ids once"] == 16 + 8 * r + 8 * r * n_vcpu
    assert sizes["qemu cpu section"] == (1276 + 16 * r) * n_vcpu


def test_values_of_a_file_are_repeated_for_more_vcpus() -> None:
    one, many = smc.migrate.encode(PAYLOAD), smc.migrate.encode(PAYLOAD, n_vcpu=8)
    assert next(form.n_byte for form in many.forms if form.name == "firecracker-like") == pytest.approx(
        8 * one.bytes_of("firecracker-like").size, rel=0.01
    )
    values = np.frombuffer(many.bytes_of("values").tobytes(), ">u8").reshape(8, -1)
    assert (values == values[0]).all()
    assert any("has the values of the file's first" in note for note in many.notes)


def test_packed_sizes_are_those_of_the_packed_bytes() -> None:
    found = smc.migrate.encode(PAYLOAD, zstd_level=3)
    for form in found.forms:
        assert form.packed_bytes == found.bytes_of(form.name, zstd_level=3).size
    assert "packed_bytes" in found.table
    assert "packed_bytes" not in smc.migrate.encode(PAYLOAD).table


def test_arrays_are_encoded_as_ever() -> None:
    ids, values = np.array([0x6030000000140000], np.uint64), np.array([[0x10003]], np.uint64)
    assert smc.migrate.encode(ids, values, "values").tobytes().hex() == "0000000000010003"
    out = np.empty(16, np.uint8)
    assert smc.migrate.encode(ids, values, smc.migrate.Codec.QEMU, out=out) is out
    with pytest.raises(smc.FastsmcError, match="codec"):
        smc.migrate.encode(ids, values, "nonsense")
    with pytest.raises(smc.FastsmcError, match="codec"):
        smc.migrate.encode(ids, values)  # type: ignore[call-overload]


def test_a_release_has_no_values_and_says_so() -> None:
    found = smc.migrate.encode("6.18+pmu", n_vcpu=64)
    assert not found.has_values
    assert "delta" not in found.answer
    assert any("tells no values" in note for note in found.notes)
    assert smc.migrate.encode("6.18+pmu").as_dict()["vcpus"] == 1


def test_the_command_writes_the_bytes_that_the_library_has(tmp_path: Path) -> None:
    path = tmp_path / "r.bin"
    done = fastsmc("migrate", "encode", PAYLOAD, "--form", "qemu cpu section", "-o", path, "--json")
    found = smc.migrate.encode(PAYLOAD)
    assert (done.returncode, done.stderr) == (0, f"wrote {path}\n")
    assert path.read_bytes() == found.bytes_of("qemu cpu section").tobytes()
    told = json.loads(done.stdout)
    assert told == found.as_dict() | {"subject": str(PAYLOAD)}
    assert fastsmc("migrate", "encode", PAYLOAD, "--csv").stdout == found.table.to_csv()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("6.99",), 2, "nor is there a file of that name"),
        (("6.18", "--form", "values"), 2, "--form and --out belong together"),
        (("6.18", "--form", "nonsense", "--out", "x.bin"), 2, "is none of values"),
        (("6.18", "--vcpus", "0"), 2, "0"),
        ((TESTS / "plan" / "fleet" / "hosts.csv",), 3, "hosts.csv"),
        (("6.18", "--features", "sve3"), 2, "sve3"),
    ],
)
def test_what_cannot_be_encoded_is_one_sentence(
    arguments: tuple[str | Path, ...], code: int, said: str, tmp_path: Path
) -> None:
    done = fastsmc("migrate", "encode", *arguments, cwd=tmp_path)
    assert said in done.stderr
    assert done.returncode == code
    assert not (tmp_path / "x.bin").exists()
