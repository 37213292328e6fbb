"""A result of every kind that a command prints or saves as JSON, several where its form differs; each is small."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastsmc as smc
from fastsmc.facts.packaged import GUEST_BOOT_TRACE, SAMPLES, packaged
from fastsmc.results import files
from tests.support import read_samples
from tests.support.places import ROOT, TESTS

TRACES = TESTS / "recordings" / "guest-traces"
STREAMS = TESTS / "streams"
FLEET = TESTS / "plan" / "fleet"
LOGS = TESTS / "downtime"
STREAM, OTHER_STREAM = STREAMS / "cortex-a57-2.bin.xz", STREAMS / "max-1.bin.xz"
PAYLOAD = packaged("payloads", "linux-6.18.15-max", "payload-psci02+pmu.bin.xz")
LINK = smc.Link(gbit_per_s=10)
HIST = """# trigger info: hist:keys=r0.hex:vals=hitcount:sort=hitcount:size=2048 [active]
#
{ r0:         84000000 } hitcount:          2
{ r0:         c4000053 } hitcount:         41

Totals:
    Hits: 43
    Entries: 2
    Dropped: 0
"""
TEMPLATE = {
    "reg_modifiers": [{"addr": "0x603000000013c020", "bitmap": "0bxxxxxxxxxxxx0001" + "x" * 48}],
    "kvm_capabilities": ["171", "!56"],
    "vcpu_features": [{"index": 0, "bitmap": "0b11xxxxx"}],
}
MODEL = {"return": {"model": {"name": "host", "props": {"sve": True, "sve128": True, "pmu": False}}}}
REPORT = "qemu-system-aarch64: Could not set register fw reg 3 to 2 (is 1)\n"


def text(content: str | bytes, name: str = "file") -> Path:
    """A file of its own that holds a text."""
    path = Path(tempfile.mkdtemp(prefix="fastsmc-results-")) / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def inventory(hosts: str = "pool-hosts.csv", vms: str = "pool-vms.csv") -> Any:
    return smc.plan.Inventory.read(hosts=FLEET / hosts, vms=FLEET / vms)


def simulated(**options: Any) -> Any:
    return smc.simulate(ROOT / "examples" / "trng_to_vmm.toml", calls=5, **options)


def crowded() -> Any:
    """A scenario whose host has fewer cores than vCPUs."""
    told = (ROOT / "examples" / "trng_to_vmm.toml").read_text(encoding="utf-8").replace("256", "4")
    return smc.simulate(text("calls = 5\n" + told.replace("seed = 7", "seed = 7\n[host]\ncores = 16\n", 1), "s.toml"))


def swept(*over: Any) -> Any:
    return smc.sweep(
        ROOT / "examples" / "trng_to_vmm.toml", over={"vms[0].count": [1, 2], "calls": list(over)}, run_on=1
    )


def asked_over() -> Any:
    question = {"question": "largest_shape", "registers": "7.3", "link": "25G"}
    return smc.sweep(question, over={"downtime_ms": [100, 300]}, run_on=1)


def drained_over() -> Any:
    fleet = {name: str(SAMPLES[f"{name}.csv"]) for name in ("hosts", "vms")}
    question = {"question": "evacuate", **fleet, "drain": "each", "within_s": 60, "replicas": 2}
    return smc.sweep(question, over={"downtime_ms": [100, 300]}, run_on=1)


def saved_run() -> Any:
    return json.loads(files.to_json(simulated().run()))


def saved_plan() -> Any:
    path = text("", "plan.json")
    smc.plan.largest_shape(registers=182, link=[LINK], downtime_ms=300).save(path)
    return json.loads(path.read_text(encoding="utf-8"))


def drained() -> Any:
    return smc.plan.evacuate(inventory("hosts.csv", "vms.csv"), hosts=["n1", "n3"], within_s=1800, replicas=20)


RESULTS: dict[str, list[Callable[[], Any]]] = {
    "verify": [lambda: smc.verify([TESTS / "recordings" / "linux-6.12.107-max"], kinds=["danger"])],
    "trace": [
        lambda: smc.trace(GUEST_BOOT_TRACE),
        lambda: smc.trace(TRACES / "tools-6.1.trace-cmd.txt"),
        lambda: smc.trace(TRACES / "6.18-el2.ftrace.txt", el2=True),
    ],
    "counts": [lambda: smc.trace(text(HIST, "hist")), lambda: smc.trace(text(HIST, "hist"), el2=True)],
    "services": [
        lambda: smc.services(GUEST_BOOT_TRACE),
        lambda: smc.services(TRACES / "6.1-6.1.ftrace.txt", release="6.12", bitmaps={"STD_BMAP": 0}, deny=["ptp"]),
        lambda: smc.services(GUEST_BOOT_TRACE, release="5.10"),
        lambda: smc.services(GUEST_BOOT_TRACE, el2=True, deny=["ptp"]),
    ],
    "dispatch": [
        lambda: smc.dispatch(["TRNG_RND64=3", "PTP"], release="6.12", bitmaps={"STD_BMAP": 0}, forward=["ptp"]),
        lambda: smc.dispatch([0x8000_3FFF, "PSCI_SYSTEM_OFF"], release="5.15.0-125-generic"),
        lambda: smc.dispatch([0x8000_3FFF, "PSCI_SYSTEM_OFF"], release="6.18", features="psci02+el2"),
    ],
    "explain": [lambda: smc.explain(["0x86000001", "STD_BMAP", "0x86000063", "0x603000000013c801"], release="6.18")],
    "releases": [lambda: smc.releases()],
    "scope": [lambda: smc.scope("6.18", n_vcpu=[1, 3, 4]), lambda: smc.scope("5.10", features="pmu", n_vcpu=[8])],
    "simulate": [simulated, crowded, lambda: smc.simulate(ROOT / "examples" / "boot_storm.toml")],
    "run": [saved_run],
    "sweep": [asked_over, drained_over, lambda: swept(5)],
    "inspect": [
        lambda: smc.migrate.inspect(STREAM),
        lambda: smc.migrate.inspect(STREAMS / "max-4.bin.xz"),
        lambda: smc.migrate.inspect(PAYLOAD),
        lambda: smc.migrate.inspect(text(read_samples.fingerprint(), "fingerprint.json")),
        lambda: smc.migrate.inspect(text(json.dumps(TEMPLATE), "template.json")),
        lambda: smc.migrate.inspect(text(json.dumps(MODEL), "model.json")),
        lambda: smc.migrate.inspect(text(REPORT, "report.txt")),
    ],
    "matrix": [lambda: smc.migrate.matrix()],
    "diff": [
        lambda: smc.migrate.diff(STREAM, OTHER_STREAM),
        lambda: smc.migrate.diff(PAYLOAD, text(read_samples.fingerprint(), "fingerprint.json")),
    ],
    "encode": [lambda: smc.migrate.encode("6.12", n_vcpu=4), lambda: smc.migrate.encode(PAYLOAD, zstd_level=3)],
    "check": [
        lambda: smc.migrate.check("6.12", "6.18"),
        lambda: smc.migrate.check("7.3", "6.1"),
        lambda: smc.migrate.check("5.14.0-570.el9.aarch64", "6.12+pmu+sve"),
        lambda: smc.migrate.check("6.18", "6.12", vmm="firecracker"),
        lambda: smc.migrate.check(STREAM, "6.6"),
        lambda: smc.migrate.check(text(read_samples.fingerprint(), "fingerprint.json"), "6.6", vmm="kvm"),
    ],
    "size": [
        lambda: smc.migrate.size(182, n_vcpu=4),
        lambda: smc.migrate.size("6.18+pmu", n_vcpu=[1, 64], suppress_vmdesc=True),
    ],
    "downtime": [
        lambda: smc.migrate.downtime(182, n_vcpu=64, link=LINK),
        lambda: smc.migrate.downtime("6.18+sve", n_vcpu=4, link=smc.Link(25, 80)),
        lambda: smc.migrate.downtime(
            182,
            n_vcpu=4,
            link=LINK,
            trace=[LOGS / "source.log", LOGS / "destination.log"],
            query_migrate=LOGS / "query-migrate-7.2.22.json",
        ),
    ],
    "add-registers": [
        lambda: smc.migrate.add_registers("7.3", n_new=2, n_vcpu=[64, 512], link=LINK),
        lambda: smc.migrate.add_registers("6.12", n_new=40, n_vcpu=[2048], link=LINK),
    ],
    "problems": [lambda: smc.plan.problems(hosts=FLEET / "hosts.csv", vms=FLEET / "vms.csv")],
    "plan": [
        lambda: smc.plan.baseline(inventory()),
        lambda: smc.plan.upgrade(inventory(), to="6.18", vmm="qemu:11.1"),
        drained,
        lambda: smc.plan.largest_shape(registers=[182, "6.18+pmu"], link=[LINK], downtime_ms=[100.0, 300.0]),
        lambda: smc.plan.migration_table(
            registers="6.18", n_vcpu=64, memory_gib=64, dirty_mib_per_s=200, link=["1G", "10G"]
        ),
        lambda: smc.plan.filter_cost(n_range=[0, 100], measure=False),
    ],
    "saved-plan": [saved_plan],
    "compare": [
        lambda: smc.compare(STREAM, OTHER_STREAM),
        lambda: smc.compare(simulated(seed=1), simulated(seed=2)),
        lambda: smc.compare(*(smc.plan.filter_cost(n_range=[0, n], measure=False) for n in (9, 100))),
    ],
    "bench": [lambda: smc.bench(seconds=0.01, only=["verdicts"])],
    "probe": [lambda: smc.probe(SAMPLES["host.json.xz"])],
    "new": [lambda: smc.new("inventory", text("").parent)],
    "samples": [lambda: smc.samples(text("").parent)],
    "schema": [lambda: smc.schema()],
}
"""By kind: calls of the library whose result is `as_dict()`, or what a file holds."""


def plain(result: Any) -> Any:
    """A result as JSON has it."""
    told = result if isinstance(result, dict | list) else result.as_dict()
    return json.loads(json.dumps(told, allow_nan=False))
