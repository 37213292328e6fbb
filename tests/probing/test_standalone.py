"""The probe against KVM of every recorded host, and every errno that KVM may give."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastsmc.probing import standalone
from fastsmc.probing.shape import SHAPE, check_shape
from fastsmc.recordings.folder import open_recording
from tests.support import fake_kvm
from tests.support.fake_kvm import HOSTS, RECORDINGS, FakeKvm, recorded_lists
from tests.support.places import ROOT

ERRNOS = [errno.EPERM, errno.EINTR, errno.EIO, errno.ENOMEM, errno.EACCES, errno.EFAULT, errno.EBUSY, errno.ENODEV]
ERRNOS += [errno.EINVAL, errno.ENFILE, errno.EMFILE, errno.ENOTTY, errno.ENOENT, errno.ENOEXEC, errno.E2BIG, 517]
"""What an ioctl of KVM may give; 517 has no name."""


@pytest.fixture(scope="module")
def probed() -> dict[str, tuple[dict[str, Any], FakeKvm]]:
    """By host: its profile, and the KVM that was asked."""
    return {name: (standalone.probe(kvm), kvm) for name in HOSTS for kvm in [FakeKvm(name)]}


@pytest.mark.parametrize("name", HOSTS)
def test_registers_are_those_that_were_recorded(name: str, probed: dict[str, tuple[dict[str, Any], FakeKvm]]) -> None:
    profile, kvm = probed[name]
    by_features = {int(one["init"], 16): one for one in profile["register_sets"]}
    recorded = recorded_lists(name)
    assert {0, 4} <= by_features.keys()
    for features in by_features.keys() & recorded.keys():
        told = {int(reg, 16): int(value, 16) for reg, value in by_features[features]["registers"].items()}
        assert list(told) == list(recorded[features])
        own = {reg: value for reg, value in told.items() if reg >> 16 & 0xFFF not in (0x14, 0x16)}
        assert own == {reg: recorded[features][reg] for reg in own}
        assert by_features[features]["unread"] == {}
    assert profile["refused"] == []
    assert kvm.open_fds == {}


@pytest.mark.parametrize("name", [name for name in HOSTS if (RECORDINGS / name / "setreg.jsonl.xz").exists()])
def test_limits_are_those_that_were_recorded(name: str, probed: dict[str, tuple[dict[str, Any], FakeKvm]]) -> None:
    """Of the records of SET_ONE_REG before a run: bits one at a time, and words of the other registers."""
    found = {one["id"]: one for one in probed[name][0]["firmware"]}
    taken: dict[str, set[int]] = {}
    refused: dict[str, set[int]] = {}
    for _, record in open_recording(RECORDINGS / name).records("setreg"):
        if record["t"] in ("pre", "workaround", "psci_version") and record.get("phase", "pre") == "pre":
            reg = record.get("reg", f"{0x6030000000140000 + record.get('n', 0):#x}")
            (refused if record["errno"] else taken).setdefault(reg, set()).add(int(record["val"], 16))
    assert taken
    for reg, one in found.items():
        if "accepted_bits" in one:
            bits = int(one["accepted_bits"], 16)
            assert bits == sum(value for value in taken[reg] if value.bit_count() == 1)
            assert all(value & ~bits for value in refused[reg])
        elif reg in taken:
            told = {int(word, 16) for word in one["accepted"]}
            assert told >= {value for value in taken[reg] if value < 64 or reg.endswith("0000")}
            assert not told & (refused.get(reg, set()) - taken[reg])


@pytest.mark.parametrize("name", HOSTS)
def test_capabilities_filter_and_cpu_are_those_of_the_host(
    name: str, probed: dict[str, tuple[dict[str, Any], FakeKvm]]
) -> None:
    profile, kvm = probed[name]
    told = {number: [max(one, -1) for one in pair] for number, pair in profile["kvm"]["capabilities"].items()}
    assert told == kvm.meta["caps"]
    assert profile["filter"]["errno"] == kvm.meta["has_smccc_filter_errno"]
    is_max = "-max" in name
    assert profile["cpu"]["kinds"] == [{"midr": "0xf0510" if is_max else "0x414fd0c1", "cores": 1}]
    assert bool(profile["emulated_by"]) == is_max
    assert bool(profile["kvm"]["sve_lengths"]) == is_max
    assert profile["vulnerabilities"] == kvm.meta["vulnerabilities"]
    limit = kvm.caps[66][1]
    assert profile["kvm"]["largest_vm"] == {"limit": limit, "made": limit, "ended_by": "limit"}


def test_nothing_runs_and_no_memory_is_given(probed: dict[str, tuple[dict[str, Any], FakeKvm]]) -> None:
    """Every ioctl is one of these, so KVM_RUN and KVM_SET_USER_MEMORY_REGION are not among them."""
    asked = {number for _, kvm in probed.values() for number in kvm.n_call}
    assert asked == {*fake_kvm.REQUESTS, fake_kvm.CHECK_EXTENSION, fake_kvm.HAS_DEVICE_ATTR, fake_kvm.SET_DEVICE_ATTR}


@pytest.mark.parametrize("name", HOSTS)
def test_a_profile_is_of_its_own_shape(name: str, probed: dict[str, tuple[dict[str, Any], FakeKvm]]) -> None:
    check_shape(json.loads(json.dumps(probed[name][0])), SHAPE, "the profile")


@pytest.mark.parametrize(
    ("mode", "caps", "protected", "told"),
    [
        ("", {}, False, "default"),
        ("kvm-arm.mode=nvhe", {}, False, "nvhe"),
        ("kvm_arm.mode=nested", {240: (1, 1)}, False, "nested"),
        ("kvm-arm.mode=nested", {}, False, "default"),
        ("kvm-arm.mode=protected", {}, True, "protected"),
    ],
)
def test_the_mode_is_how_kvm_acts(mode: str, caps: dict[int, tuple[int, int]], protected: bool, told: str) -> None:
    host = fake_kvm.recorded_host("linux-7.3.4-max")
    acts = type(host)(host.release, workaround=host.workaround, kvm_arm_mode="protected" if protected else "default")
    kvm = FakeKvm("linux-7.3.4-max", host=acts)
    kvm.files["/proc/cmdline"] = f"quiet {mode}"
    kvm.caps |= caps
    profile = standalone.probe(kvm)
    assert profile["kvm"]["mode"] == told
    assert profile["kvm"]["mode_asked"] == (mode.partition("=")[2] or None)
    assert kvm.open_fds == {}
    if caps:  # the capability is there, and KVM_ARM_VCPU_INIT says no: told as it is
        refused = {one["features"]: one["errno"] for one in profile["refused"]}
        assert refused["psci02+el2"] == errno.EINVAL


OPENING = {
    errno.ENOENT: "it is not there: this kernel has no KVM",
    errno.EACCES: "you may not: run the probe as root, or as a member of the group",
    errno.EPERM: "give this container the device /dev/kvm",
    errno.ENODEV: "load KVM, or boot a kernel with CONFIG_KVM",
    errno.ENXIO: "load KVM, or boot a kernel with CONFIG_KVM",
    errno.EIO: "dmesg may tell why",
}


def ends_in(kvm: FakeKvm, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says of a host that cannot be asked; it writes nothing and leaves nothing open."""
    path.write_text("before")
    assert standalone.main(["-o", str(path)], kvm) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert path.read_text() == "before"
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert kvm.open_fds == {}
    return said.err


@pytest.mark.parametrize("code", OPENING)
def test_a_host_that_may_not_be_asked(code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kvm = FakeKvm()
    kvm.fails["open"] = code
    said = ends_in(kvm, tmp_path / "host.json", capsys)
    assert f"/dev/kvm cannot be opened ({errno.errorcode[code]}): " in said
    assert OPENING[code] in said


def test_another_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kvm = FakeKvm()
    kvm.machine = "x86_64"
    said = ends_in(kvm, tmp_path / "host.json", capsys)
    assert "this machine is Linux on x86_64" in said
    assert "copy this file to an arm64 host" in said
    assert kvm.n_call == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda kvm: setattr(kvm, "api_version", 11), "is 11, and every KVM since Linux 2.6.22 says 12"),
        (lambda kvm: kvm.caps.pop(70), "lacks KVM_CAP_ONE_REG (70)"),
        (lambda kvm: kvm.caps.pop(102), "lacks KVM_CAP_ARM_PSCI_0_2 (102)"),
        (lambda kvm: kvm.fails.update({fake_kvm.GET_API_VERSION: errno.ENOTTY}), "this is not KVM of arm64"),
        (
            lambda kvm: kvm.fails.update({fake_kvm.CREATE_VM: errno.ENOMEM}),
            "KVM_CREATE_VM failed with ENOMEM: the host",
        ),
        (lambda kvm: kvm.fails.update({fake_kvm.CREATE_VM: errno.EMFILE}), "raise the limit (ulimit -n)"),
        (lambda kvm: kvm.fails.update({fake_kvm.CREATE_VCPU: errno.ENOMEM}), "KVM_CREATE_VCPU failed with ENOMEM"),
        (lambda kvm: kvm.fails.update({fake_kvm.VCPU_INIT: errno.EINVAL}), "a vCPU with PSCI 0.2 failed with EINVAL"),
        (lambda kvm: kvm.fails.update({fake_kvm.SET_ONE_REG: errno.EBUSY}), "KVM_SET_ONE_REG of 0x6030000000140000"),
        (lambda kvm: kvm.fails.update({fake_kvm.GET_ONE_REG: errno.EIO}), "KVM_GET_ONE_REG of 0x606000000015ffff"),
        (lambda kvm: kvm.fails.update({fake_kvm.GET_REG_LIST: errno.EFAULT}), "KVM_GET_REG_LIST failed with EFAULT"),
    ],
)
def test_a_kvm_that_does_not_answer(
    change: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kvm = FakeKvm()
    change(kvm)
    assert words in ends_in(kvm, tmp_path / "host.json", capsys)


@pytest.mark.parametrize("after", [0, 1, 9])
@pytest.mark.parametrize(
    "request_number",
    [*fake_kvm.REQUESTS, fake_kvm.CHECK_EXTENSION, fake_kvm.HAS_DEVICE_ATTR, fake_kvm.SET_DEVICE_ATTR],
)
def test_whatever_fails_is_told_in_a_sentence_or_in_the_profile(request_number: int, after: int) -> None:
    """And leaves nothing open. System.ioctl tries again after EINTR, which a System of tests does not."""
    for code in ERRNOS:
        kvm = FakeKvm("linux-7.3.4-n1")
        kvm.fails[request_number], kvm.after = code, after
        refused = ""
        try:
            check_shape(json.loads(json.dumps(standalone.probe(kvm))), SHAPE, "the profile")
        except standalone.ProbeError as error:
            refused = str(error)
        assert "\n" not in refused
        assert not refused or errno.errorcode.get(code, str(code)) in refused or "lacks" in refused
        assert kvm.open_fds == {}


def test_a_host_that_runs_out_of_vcpus_says_how_many_there_were() -> None:
    for code in (errno.ENOMEM, errno.EMFILE, errno.EINVAL):
        kvm = FakeKvm()

        def checked(_: int, kvm: FakeKvm = kvm, code: int = code) -> None:
            if sum(of["kind"] == "vcpu" for of in kvm.open_fds.values()) == 40:
                kvm.fails[fake_kvm.CREATE_VCPU] = code

        kvm.before = checked
        profile = standalone.probe(kvm)
        assert profile["kvm"]["largest_vm"] == {"limit": 512, "made": 40, "ended_by": errno.errorcode[code]}
        assert kvm.open_fds == {}


def test_vcpus_are_made_for_a_while_and_no_longer() -> None:
    kvm = FakeKvm()
    clock = iter(range(10_000))
    kvm.seconds = lambda: float(next(clock))  # type: ignore[method-assign]
    assert standalone.probe(kvm)["kvm"]["largest_vm"] == {"limit": 512, "made": 3, "ended_by": "time"}


def test_limits_are_looked_for_in_all_bits_and_words() -> None:
    """Of a kernel that has the last bit of a bitmap, and the last version that is tried."""
    host = fake_kvm.recorded_host("linux-7.3.4-max")
    rules = replace(host.release, bitmap_limit=(1 << 63 | 1, 1, 3, 0), psci_versions=(1, 2, 0x1000F, 0x2000F))
    kvm = FakeKvm("linux-7.3.4-max", host=replace(host, release=rules))
    found = {one["name"]: one for one in standalone.probe(kvm)["firmware"]}
    assert found["STD_BMAP"]["accepted_bits"] == "0x8000000000000001"
    assert found["VENDOR_HYP_BMAP_2"]["accepted_bits"] == "0x0"
    assert found["PSCI_VERSION"]["accepted"] == ["0x1", "0x2", "0x1000f", "0x2000f"]
    assert found["PSCI_VERSION"]["reset"] == "0x2000f"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_an_output_that_is_full_or_gone(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.support.fake_kvm import FakeKvm; from fastsmc.probing import standalone\n"
        "sys.exit(standalone.main(['--json'], FakeKvm('linux-5.10.218-n1')))"
    )
    command = [sys.executable, "-c", code]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert done.returncode == 3
    assert done.stderr == "fastsmc_probe: the output cannot be written: No space left on device\n"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as gone:
        assert gone.stdout is not None
        gone.stdout.close()
        assert gone.wait() == 0


def test_signs_of_an_emulated_host() -> None:
    kvm = FakeKvm("linux-7.3.4-n1")
    assert standalone.probe(kvm)["emulated_by"] == []
    kvm.files["/proc/device-tree/compatible"] = "linux,dummy-virt\0"
    kvm.files["/sys/class/dmi/id/sys_vendor"] = "QEMU\n"
    assert [sign.partition(":")[0] for sign in standalone.probe(kvm)["emulated_by"]] == ["device tree", "DMI"]


def test_cpus_of_two_kinds_are_counted() -> None:
    kvm = FakeKvm()
    core = (
        "processor\t: {}\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU variant\t: 0x{:x}\nCPU part\t: 0xd0{:x}\n"
    )
    core += "CPU revision\t: 2\n\n"
    kvm.files["/proc/cpuinfo"] = "".join(core.format(n, *((1, 0xC) if n < 3 else (2, 0xD))) for n in range(4))
    cpu = standalone.probe(kvm)["cpu"]
    assert cpu["kinds"] == [{"midr": "0x411fd0c2", "cores": 3}, {"midr": "0x412fd0d2", "cores": 1}]
    assert cpu["features"] == "fp asimd"
