"""Guest traces of emulated hosts, but for the emulation: what is prepared, what came out, and what is said of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fastsmc.calls.trace import Trace
from fastsmc.errors import InputError
from fastsmc.facts.releases import release
from fastsmc.traces.text import parse_trace, traced_calls
from fastsmc.usage import services
from tests.support.places import ROOT
from tests.whole.test_hosts_boot import read_newc
from tests.whole.test_hosts_guest_tree import header, read_fdt
from tools import hosts, hosts_guest
from tools.hosts_boot import Collected
from tools.hosts_guest import VARIANTS, ended, job, write
from tools.hosts_guest_check import Answer, answers, beside, modelled
from tools.hosts_initramfs import archive
from tools.hosts_packages import HostsError, Kernel
from tools.hosts_record import Host

TRACES = ROOT / "tests" / "recordings" / "guest-traces"
CONSOLE = """\
guest: Linux 7.3.4+deb13-cloud-arm64, 2 CPUs
guest: /dev/ptp0: 20 times, errno of gettime 0, of precise 0
guest: log: psci: PSCIv1.3 detected in firmware.
guest: log: psci: SMC Calling Convention v1.1
guest: log: smccc: KVM: hypervisor services detected (0x00000000 0x00000000 0x00000000 0x00000003)
guest: log: arm-pv: using stolen time PV
guest: powers off
"""
"""What a guest said on 7.3.4, in a VM that nobody configured."""
WITHOUT = CONSOLE.replace("guest: log: arm-pv: using stolen time PV\n", "")
DENIED = WITHOUT.replace("gettime 0, of precise 0", "gettime 95, of precise 95")
NO_CLOCK = """\
guest: Linux {}, 2 CPUs
guest: /dev/ptp0: errno 2
guest: log: psci: PSCIv{} detected in firmware.
guest: log: psci: SMC Calling Convention v{}
"""
OLD = NO_CLOCK.format("5.10.0-46-cloud-arm64", "1.0", "1.1") + "guest: log: arm-pv: using stolen time PV\n"
PSCI_02 = "".join(NO_CLOCK.format("6.1.0", "0.2", "").splitlines(keepends=True)[:3])
CALL = "CPU 0/KVM-71  [000] .... 2.478778: kvm_hvc_arm64: HVC at 0xffffb523b702a0ac (r0: 0x{:x}, imm: 0x0)\n"
RANDOM, NONE = CALL.format(0xC4000053), CALL.format(0x84000000)


def told_by(variant: str, console: str, text: str, host: str = "7.3.4") -> list[Answer]:
    """What is said of a guest of a variant."""
    one = VARIANTS[variant]
    bitmaps = one.bitmaps(release(host))
    return answers(
        console, parse_trace(text), modelled(host, bitmaps=bitmaps, psci=one.psci, filters=one.filters, n_cpu=2)
    )


@pytest.mark.parametrize(
    ("variant", "host", "console", "text"),
    [
        ("plain", "7.3.4", CONSOLE, RANDOM),
        ("susp", "6.1.192", CONSOLE.replace("v1.3", "v1.1"), RANDOM),
        ("plain", "5.10.262", OLD, NONE),
        ("plain", "7.3.4", OLD.replace("v1.0", "v1.3"), NONE),
        ("fwzero", "7.3.4", NO_CLOCK.format("6.1.0", "1.3", "1.1"), NONE),
        ("psci02", "7.3.4", PSCI_02, NONE),
        ("deny", "7.3.4", DENIED, NONE),
        ("forward", "7.3.4", DENIED, NONE),
    ],
)
def test_what_guests_told_of_real_hosts_is_what_fastsmc_says(variant: str, host: str, console: str, text: str) -> None:
    assert [str(one) for one in told_by(variant, console, text, host) if not one.ok] == []


@pytest.mark.parametrize("path", sorted(TRACES.glob("*.console.txt")), ids=lambda path: path.name[:-12])
def test_what_was_traced_and_told_is_what_fastsmc_says(path: Path) -> None:
    name = path.name.removesuffix(".console.txt")
    release_of, _, variant = name.split("-")
    text = path.with_name(f"{name}.ftrace.txt").read_text("utf-8")
    host = {"6.1": "6.1.192", "7.3": "7.3.4"}[release_of]
    told = told_by(variant, path.read_text("utf-8"), text, host)
    assert [str(one) for one in told if not one.ok] == []
    if host == "7.3.4":
        fits = {one for one in VARIANTS if all(each.ok for each in told_by(one, path.read_text("utf-8"), text, host))}
        assert fits == {"fwzero": {"fwzero"}}.get(variant, {"deny", "forward"})


def test_what_a_real_filter_forwarded_is_what_services_says() -> None:
    """Exits by HVC were traced too, so each exit to the VMM belongs to the call before it."""
    path = TRACES / "7.3-6.1-forward.ftrace.txt"
    assert traced_calls(path).exits == {"HVC64": 68, "KVM_EXIT_HYPERCALL": 42, "KVM_EXIT_SYSTEM_EVENT": 1}
    verdicts = {row["function"]: row["verdict"] for row in services(path, release="7.3").as_dict()["rows"]}
    forwarded = {"VENDOR_HYP_PTP", "TRNG_VERSION", "PV_TIME_FEATURES"}
    assert {name for name, verdict in verdicts.items() if verdict == "FORWARDED"} == forwarded
    ids = {func_id for base, count, _ in VARIANTS["forward"].filters for func_id in range(base, base + count)}
    assert {one for one in traced_calls(path).func_id.tolist() if one in ids} == {0x84000050, 0x86000001, 0xC5000020}


@pytest.mark.parametrize(
    ("what", "console", "text"),
    [
        ("PSCI_VERSION", CONSOLE.replace("v1.3", "v1.1"), RANDOM),
        ("SMCCC_VERSION", CONSOLE.replace("v1.1", "v1.2"), RANDOM),
        ("VENDOR_HYP_FEATURES", CONSOLE.replace("0x00000003", "0x00000001"), RANDOM),
        ("stolen time", WITHOUT, RANDOM),
        ("TRNG, by what is called later", CONSOLE, NONE),
        ("the host's clock, by errno", CONSOLE.replace("precise 0", "precise 95"), RANDOM),
        ("the host's clock, by errno", CONSOLE.replace("20 times", "no"), RANDOM),
    ],
)
def test_each_answer_that_is_otherwise_is_told(what: str, console: str, text: str) -> None:
    (other,) = [one for one in told_by("plain", console, text) if not one.ok]
    assert other.what == what
    assert str(other).startswith(f"{what}: {other.seen}, fastsmc says {other.expected}")


def test_traces_side_by_side() -> None:
    old, new = traced_calls(TRACES / "6.1-6.1.ftrace.txt"), traced_calls(TRACES / "5.10-5.10.ftrace.txt")
    assert beside(old, old) == ([], [])
    for other in (new, traced_calls(TRACES / "7.3-7.3.ftrace.txt")):
        _tell_what_differs(old, other)


def _tell_what_differs(old: Trace, new: Trace) -> None:
    sets, counts = beside(old, new)
    assert all(" 0 there" in one or ": 0 calls" in one for one in sets)
    assert not any(" 0 there" in one or ": 0 calls" in one for one in counts)
    named = {one.partition(":")[0] for one in [*sets, *counts]}
    ours, theirs = old.by_service(), new.by_service()
    assert named == {key[1] for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}


def test_a_job_has_all_that_the_vmm_reads() -> None:
    python = archive(iter([("usr", 0o040755, b"")]))
    files = job(header(offset=0x8000), "vmlinuz", python, release("7.3.4"), VARIANTS["fwzero"])
    told = json.loads(files["guest/how.json"])
    assert told["kernel_offset"] == 0x8000
    assert [hex(one) for one, _ in told["registers"]] == [f"0x603000000016000{at}" for at in range(4)]
    assert {value for _, value in told["registers"]} == {0}
    initrd = files["guest/initrd"]
    assert initrd.startswith(python)
    packed = {name: data for name, _, data in read_newc(initrd[len(python) :])}
    assert packed["init"] == (ROOT / "tools" / "hosts_guest_init.py").read_bytes()
    chosen = read_fdt(files["guest/tree"])["/chosen"]
    assert int.from_bytes(chosen["linux,initrd-end"], "big") - told["map"]["initrd"] == len(initrd)
    assert b"rdinit=/init" in chosen["bootargs"]
    with pytest.raises(HostsError, match=r"initramfs has 2097\d+ bytes, and its memory has room for 199229440"):
        job(header(), "vmlinuz", bytes(200 << 20), release("7.3.4"), VARIANTS["plain"])
    with pytest.raises(InputError, match=r"^vmlinuz: not an arm64"):
        job(b"", "vmlinuz", python, release("7.3.4"), VARIANTS["plain"])


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("host", ["6.12.118", "7.3.4"])
def test_every_variant_is_one_that_kvm_takes(name: str, host: str) -> None:
    one = VARIANTS[name]
    modelled(host, bitmaps=one.bitmaps(release(host)), psci=one.psci, filters=one.filters, n_cpu=2)


@pytest.mark.parametrize(
    ("host", "variant", "why"),
    [
        ("5.10.262", "fwzero", "no firmware bitmaps"),
        ("6.1.192", "deny", "no SMCCC filter"),
        ("5.10.262", "susp", "no KVM_CAP_ARM_SYSTEM_SUSPEND"),
    ],
)
def test_what_a_host_lacks_is_told_before_it_is_booted(
    host: str,
    variant: str,
    why: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel("linux-image-x-cloud-arm64", f"{host}-1", "sid")
    monkeypatch.setattr(hosts.Archive, "kernels", lambda *_, **__: [kernel])
    monkeypatch.setattr(hosts, "version", lambda: "7.2.0")
    assert hosts.main([host, "--variant", variant, "--folder", str(tmp_path)]) == 3
    said = capsys.readouterr()
    assert re.fullmatch(rf"hosts: .*Linux {host} has {why}, .*", said.err.splitlines()[-1])
    assert not list(tmp_path.rglob("*.ftrace.txt"))


def collected_of(end: str, told: list[str]) -> Collected:
    """What comes out of a host whose guest ended so."""
    text = json.dumps({"end": end, "told": told, "guest_seconds": 31.6})
    files = {"guest-console.txt": CONSOLE.encode(), "trace.txt": RANDOM.encode(), "format.txt": b"name: x\n"}
    return Collected(files={**files, "told.json": text.encode()}, up_s=10.2, total_s=50.4)


def test_what_a_guest_left_is_written(tmp_path: Path) -> None:
    found = ended(collected_of("off", ["steal time: errno 6"]), "7.3-7.3", VARIANTS["plain"], tmp_path / "log")
    assert found.seconds == "the host was up after 10 s, the guest ran for 32 s of the host's, all in 50 s"
    path = write(tmp_path / "made", found)
    assert path.name == "7.3-7.3.ftrace.txt"
    assert {one.name: one.read_bytes() for one in path.parent.iterdir()} == {
        path.name: RANDOM.encode(),
        "7.3-7.3.format.txt": b"name: x\n",
        "7.3-7.3.console.txt": CONSOLE.encode(),
    }


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (collected_of("time", []), "the guest did not end within 1200 s, .* 'guest: powers off'"),
        (collected_of("reset", []), "the guest ended by 'reset', and not by 'off'"),
        (collected_of("off", ["filter 0x86000001+1: errno 22"]), "refused what the VM is given: filter 0x86000001"),
        (Collected(), "the VMM left nothing: all that the host said is in .*log"),
    ],
)
def test_a_guest_that_did_not_end_as_it_should_is_told(found: Collected, why: str, tmp_path: Path) -> None:
    with pytest.raises(HostsError, match=why) as told:
        ended(found, "7.3-7.3", VARIANTS["plain"], tmp_path / "log")
    assert "\n" not in str(told.value)


class Here:
    """An archive that has everything already."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, list[str]()
        self.say = self.said.append

    def image(self, kernel: Kernel) -> Path:
        path = self.folder / f"vmlinuz-{kernel.release}"
        path.write_bytes(header())
        return path


@pytest.mark.parametrize(("console", "code"), [(CONSOLE, 0), (CONSOLE.replace("v1.3", "v1.1"), 4)])
def test_from_a_boot_to_what_is_said_of_it(
    console: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = collected_of("off", [])
    found.files["guest-console.txt"] = console.encode()
    asked: dict[str, object] = {}
    monkeypatch.setattr(hosts_guest, "boot", lambda *_, **given: asked.update(given) or found)
    (tmp_path / "python").write_bytes(archive(iter([])))
    monkeypatch.setattr(hosts_guest, "python_archive", lambda _: tmp_path / "python")
    given = hosts._parser().parse_args(
        ["7.3", "--guest-trace", "--add", "--folder", str(tmp_path), "--recordings", str(tmp_path / "kept")]
    )
    (tmp_path / "kept" / "guest-traces").mkdir(parents=True)
    host = Host(Kernel("linux-image-x", "7.3.4-1", "sid"), "max", None)
    assert hosts_guest.traced_guest(Here(tmp_path), host, given) == code  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert "1 call (recorded)" in said
    assert f"PSCI_VERSION: {'1.1, fastsmc says 1.3' if code else '1.3, as fastsmc says'}" in said
    added = tmp_path / "kept" / "guest-traces" / "7.3-7.3.ftrace.txt"
    kept = sorted(one.name for one in added.parent.iterdir())
    assert kept == ([] if code else ["7.3-7.3.console.txt", added.name])
    assert ("added" in said) == (code == 0)
    assert asked["cpu"] == "max"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["7.3", "--variant", "none"], "invalid choice: 'none'"),
        (["7.3", "--guest", "6.1", "--only", "calls"], "a guest's trace has none"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        hosts.main(arguments)
    assert end.value.code == 2
    assert why in capsys.readouterr().err
