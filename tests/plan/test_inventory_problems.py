"""Problems of an inventory: all that is wrong or unknown, each with its place; judged again by loops over rows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmc.errors import FastsmcError, InputError
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import feature_bits
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.inventory.words import of_features, of_kernel, of_vmm
from fastsmc.results.layout import laid_out_for

NAN, INF = float("nan"), float("inf")


def told(inventory: Inventory) -> set[tuple[str, int, str, str]]:
    return {(one.file, one.row, one.column, one.severity) for one in inventory.problems()}


def one_by_one(hosts: dict[str, list[Any]], vms: dict[str, list[Any]]) -> set[tuple[str, int, str, str]]:
    """What the rules say of each row, by loops."""
    found = set[tuple[str, int, str, str]]()

    def wrong(file: str, row: int, column: str, is_wrong: bool, severity: str = "wrong") -> None:
        if is_wrong:
            found.add((file, row, column, severity))

    for file, table, sizes in (
        ("hosts", hosts, ("cores", "memory_gib", "nic_gbit_per_s")),
        ("vms", vms, ("vcpus", "memory_gib", "downtime_ms")),
    ):
        for row, name in enumerate(table["name"]):
            wrong(file, row, "name", name == "" or name in table["name"][:row])
            for column in sizes:
                value = table[column][row]
                is_count = column in ("cores", "vcpus")
                wrong(file, row, column, value < 0 or value == INF or (value == 0 and not is_count))
    place = {name: row for row, name in reversed(list(enumerate(hosts["name"])))}
    for row, (kernel, state) in enumerate(zip(hosts["kernel"], hosts["state"], strict=True)):
        verdict = of_kernel(kernel)
        wrong("hosts", row, "kernel", verdict is not None, verdict.severity if verdict else "")
        wrong("hosts", row, "state", state not in ("", "cordoned", "down"))
    taken = Counter[int]()
    apart = set[tuple[int, str]]()
    for row, name in enumerate(vms["host"]):
        wrong("vms", row, "host", name not in place or name == "")
        wrong("vms", row, "vcpus", vms["vcpus"][row] == 0, "unknown")
        wrong("vms", row, "vcpus", vms["vcpus"][row] > 512)
        wrong("vms", row, "dirty_mib_per_s", vms["dirty_mib_per_s"][row] < 0 or vms["dirty_mib_per_s"][row] == INF)
        if name not in place:
            continue
        host = place[name]
        wrong("vms", row, "vcpus", vms["vcpus"][row] > hosts["cores"][host] > 0)
        wrong("vms", row, "memory_gib", vms["memory_gib"][row] > hosts["memory_gib"][host] > 0)
        if 0 < vms["memory_gib"][row] < INF:
            taken[host] += vms["memory_gib"][row]
        group = vms["apart"][row]
        wrong("vms", row, "apart", group != "" and (host, group) in apart)
        apart.add((host, group))
    for host, memory in taken.items():
        wrong("hosts", host, "memory_gib", memory > hosts["memory_gib"][host] > 0)
    return found


SIZES = st.sampled_from([NAN, NAN, 1.0, 2.0, 4.0, 8.0, 0.0, -1.0, INF])
COUNTS = st.sampled_from([0, 1, 2, 4, 8, -1, 512, 513])
NAMES = st.sampled_from(["h1", "h2", "h3", "h4", "h5", ""])


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    def column(values: st.SearchStrategy[Any], n: int) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    n, m = draw(st.integers(0, 4)), draw(st.integers(0, 6))
    hosts = {
        "name": column(NAMES, n),
        "kernel": column(st.sampled_from(["6.12", "", "6.99", "5.4.0-1-generic", "6.12+pmu", "x"]), n),
        "cores": column(COUNTS, n),
        "memory_gib": column(SIZES, n),
        "nic_gbit_per_s": column(SIZES, n),
        "state": column(st.sampled_from(["", "down", "cordoned", "gone"]), n),
    }
    vms = {
        "name": column(NAMES, m),
        "host": column(NAMES, m),
        "vcpus": column(COUNTS, m),
        "memory_gib": column(SIZES, m),
        "downtime_ms": column(SIZES, m),
        "dirty_mib_per_s": column(SIZES, m),
        "apart": column(st.sampled_from(["", "", "x", "y"]), m),
    }
    return hosts, vms


@given(tables())
@settings(deadline=None, max_examples=300)
def test_the_rules_on_columns_are_those_on_rows(
    given_tables: tuple[dict[str, list[Any]], dict[str, list[Any]]],
) -> None:
    hosts, vms = given_tables
    inventory = Inventory.of(hosts=hosts, vms=vms)
    found = inventory.problems()
    assert told(inventory) == one_by_one(hosts, vms)
    assert len(found) == len(list(found)) == found.n_wrong + found.n_unknown
    assert found.exit_code == (4 if found.n_wrong else 5 if found.n_unknown else 0)
    assert str(found).splitlines()
    assert len(repr(found)) <= 200
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["wrong"] == found.n_wrong
    assert found.table.n_row == len(found)
    if found.n_wrong:
        with pytest.raises(InputError):
            inventory.check()
    else:
        assert inventory.check() is inventory


KERNELS = {
    "6.12": "",
    "6.12.48+deb13-arm64": "",
    "5.14.0-570.73.1.el9_6.aarch64+64k": "",
    "6.8.12-4-pve": "",
    "6.1.0-50-cloud-arm64": "",
    "6.1.112++": "",
    "5.10.177-158.645.amzn2.aarch64": "",
    "6.99": "wrong",
    "5.20.1": "wrong",
    "6.9.99": "wrong",
    "4.9.999": "wrong",
    "six": "wrong",
    "6,12": "wrong",
    "6.12+pmu": "wrong",
    "5.4.0-150-generic": "unknown",
    "4.18.0-147.el8.aarch64": "unknown",
    "9.1": "unknown",
    "6.8.0-106-amd64": "unknown",
    "6.12.5-4.el10.x86_64": "unknown",
}
VMMS = {
    "qemu:10.1": "",
    "qemu": "",
    "qemu-kvm-9.1.0-15.el9": "",
    "QEMU 8.2.2": "",
    "cloud-hypervisor:v42": "",
    "crosvm": "",
    "qemu:99.1": "unknown",
    "bhyve:14": "unknown",
    "qemu:": "wrong",
    "qemu:latest": "wrong",
    "crosvm:3": "unknown",
}
FEATURES = {
    "psci02+pmu": "",
    "none": "",
    "psci02+64k": "wrong",
    "psci02,pmu": "wrong",
    "psci02+pnu": "wrong",
    "psci02+pauth_address_only": "wrong",
    "psci02+el2": "unknown",
}


@pytest.mark.parametrize(
    ("judge", "text", "severity"),
    [
        (judge, text, severity)
        for judge, texts in ((of_kernel, KERNELS), (of_vmm, VMMS), (of_features, FEATURES))
        for text, severity in texts.items()
    ],
)
def test_texts_are_known_unknown_or_wrong(judge: Any, text: str, severity: str) -> None:
    verdict = judge(text)
    assert (verdict.severity if verdict else "") == severity
    assert verdict is None or (verdict.what and verdict.remedy)


@given(st.text(max_size=20) | st.from_regex(r"[4-9]\.[0-9]{1,2}(\.[0-9]{1,3})?(-[a-z0-9.+]{1,12})?", fullmatch=True))
@settings(deadline=None, max_examples=500)
def test_a_kernel_is_known_where_it_has_rules(text: str) -> None:
    try:
        Host.of(text)
        is_known = True
    except FastsmcError:
        is_known = text == ""
    assert (of_kernel(text) is None) == is_known
    try:
        feature_bits(text)
        is_known = True
    except FastsmcError:
        is_known = text == ""
    verdict = of_features(text)
    assert is_known or verdict is not None
    assert verdict is None or is_known or verdict.severity == "wrong"
    of_vmm(text)


def test_each_problem_has_its_line_its_words_and_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "hosts.csv").write_text(
        "name,kernel,cores,memory_gib,state\nh1,6.99,64,512,\n\nh2,5.4.0-150-generic,64,,gone\nh1,,4,8,\n", "utf-8"
    )
    (tmp_path / "vms.csv").write_text(
        "name,host,vcpus,memory_gib,features\na,h1,4,600,psci02+64k\nb,H2.example.org,,1,\nc,h9,x,-1,\nc,,128,inf,\n",
        "utf-8",
    )
    from fastsmc.plan import problems

    found = problems(hosts=tmp_path / "hosts.csv", vms=tmp_path / "vms.csv")
    texts = [str(one) for one in found]
    expected = [
        "hosts.csv line 2, kernel '6.99': never existed: 6.19 was the last 6.x; did you mean 6.19?; write what",
        "hosts.csv line 4, kernel '5.4.0-150-generic': outside 5.10 to 7.3, the releases that are known; what its KVM",
        "hosts.csv line 4, state 'gone': no state that there is; it must be one of cordoned, down, or empty",
        "hosts.csv line 5, name 'h1': a host of that name is there before; name each once",
        "hosts.csv line 2, memory_gib 'VMs of 600 GiB on 512 GiB': its VMs have more memory than it has; correct",
        "vms.csv line 2, memory_gib '600 on a host of 512 GiB': larger than its host; correct its size",
        "vms.csv line 2, features 'psci02+64k': 64k is the page size at the end of a kernel, and no vCPU feature",
        "vms.csv line 3, host 'H2.example.org': no host has that name; did you mean 'h2'?",
        "vms.csv line 3, vcpus '0': its vCPUs were not told; write how many it has",
        "vms.csv line 4, host 'h9': no host has that name; add the host",
        "vms.csv line 4, vcpus 'x': no whole number; write a whole number, in vCPUs, or leave it empty",
        "vms.csv line 4, memory_gib '-1.0': negative; write more than 0 GiB",
        "vms.csv line 5, name 'c': a VM of that name is there before; name each once",
        "vms.csv line 5, host '': no host was told; write the name of the host it runs on",
        "vms.csv line 5, memory_gib 'inf': infinite; write a number",
    ]
    for begin in expected:
        assert sum(text.startswith(begin) for text in texts) == 1, (begin, texts)
    assert len(texts) == len(expected)
    assert (found.n_wrong, found.n_unknown, found.exit_code) == (13, 2, 4)
    assert str(found).splitlines()[0] == "13 wrong, 2 unknown in 3 hosts and 4 VMs"
    assert found[0] == next(iter(found))
    with pytest.raises(InputError, match=r"vms.csv line 4, vcpus 'x'"):
        Inventory.read(hosts=tmp_path / "hosts.csv", vms=tmp_path / "vms.csv")


def test_kinds_are_counted_and_what_is_not_told_is_said() -> None:
    n = 1000
    inventory = Inventory.of(
        hosts={"name": ["h"], "kernel": ["6.12"], "cores": [64]},
        vms={"name": [f"v{i}" for i in range(n)], "host": ["gone"] * (n - 1) + ["h"], "vcpus": [96] * n},
    )
    found = inventory.problems()
    assert [len(group.rows) for group in found.groups] == [n - 1, 1]
    with laid_out_for(240):
        assert len(str(found).splitlines()) == 6
    assert found.untold["vms.memory_gib"] == n
    assert "hosts.kernel" not in found.untold
    assert found.overcommitted == (1, 1.5)
    assert str(found).splitlines()[-1] == "more vCPUs than cores: 1 host, up to 1.5 a core"


def test_an_inventory_of_nothing_has_no_problem() -> None:
    nothing = Inventory.of(hosts={"name": []}, vms={"name": [], "host": [], "vcpus": []})
    assert not len(nothing.problems())
    assert str(nothing.problems()).splitlines()[0] == "nothing wrong, 0 unknown in 0 hosts and 0 VMs"
    assert nothing.problems().overcommitted == (0, 0)
    assert np.array_equal(nothing.host_of_vm, [])


def test_sizes_that_are_none_make_no_room() -> None:
    vms = {"name": ["a", "b", "c"], "host": ["h"] * 3, "vcpus": [1, 1, 1], "memory_gib": [8.0, 1.0, -1.0]}
    found = Inventory.of(hosts={"name": ["h"], "memory_gib": [8.0]}, vms=vms).problems()
    assert [(one.file, one.row, one.value) for one in found if one.column == "memory_gib"] == [
        ("vms", 2, "-1.0"),
        ("hosts", 0, "VMs of 9 GiB on 8 GiB"),
    ]


def test_the_rows_of_one_kind_are_in_order() -> None:
    kernels = ["6.99", "6.12", "5.99"] * 100
    found = Inventory.of(
        hosts={"name": [f"h{i}" for i in range(300)], "kernel": kernels}, vms={"name": [], "host": [], "vcpus": []}
    ).problems()
    assert [one.row for one in found if one.value == "6.99"] == list(range(0, 300, 3))
    assert [one.row for one in found if one.value == "5.99"] == list(range(2, 300, 3))
    assert len(found) == 200
