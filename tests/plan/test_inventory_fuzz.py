"""Damaged inventories from every source: tables whose columns belong together, or one sentence; little memory."""

from __future__ import annotations

import gzip
import io
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastsmc.errors import FastsmcError
from fastsmc.plan.inventory.columns import DTYPES, TABLES
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.inventory.problems import Problems
from tests.support import fleets
from tests.support.damaged import damaged
from tests.support.json_mutants import tree_mutant
from tests.support.memory import forget_peak, peak_mib
from tests.support.places import TESTS

N_QUICK, N_BATCH = 300, 50
N_SOAK = {"csv": 15_000, "kubectl": 6_000, "proxmox": 6_000, "openstack": 6_000, "libvirt": 6_000, "parquet": 4_000}
"""Files of each source, 43,000 together: a minute on one core; kubectl's and CSV take a millisecond each."""
MOST_S, MOST_MIB = 5, 256
HOSTS: dict[str, Any] = {"name": ["n1", "n2", "c1"], "kernel": ["6.12", "6.18", "5.10.1"]}
WORDS = (
    *(b",", b"\n", b"\r\n", b"\r", b'"', b'""', b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe9", b"\xd9\xa1", b" " * 300),
    *(b"-1", b"0", b"1e999", b"nan", b"inf", b"9" * 40, b"1_0", b"0x10", b"16Gi", b"+64k", b"6.99", b"x" * 3000),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"null",
        b"true",
        b"<",
        b"/>",
        b"<a>",
        b"&amp;",
        b"&x;",
        b"<!DOCTYPE a>",
        b"<![CDATA[",
    ),
    *(b"Domain: 'a'", b"dirtyrate.calc_status=2", b"name", b"host", b"PAR1", b"\x00\x00\x00\x7f"),
)


def read_stdin(data: bytes, how: Callable[[str], Any]) -> Any:
    """What a reader makes of bytes on a pipe."""
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(data))):
        return how("-")


def csv_seeds() -> list[bytes]:
    texts = [(TESTS / "plan" / "fleet" / name).read_bytes() for name in ("hosts.csv", "vms.csv")]
    return [*texts, texts[1].replace(b"\n", b"\r\n"), gzip.compress(texts[1]), texts[1].decode().encode("utf-16")]


def parquet_seeds() -> list[bytes]:
    columns = {
        "name": ["a", "b", None],
        "host": ["n1", "n1", "n2"],
        "vcpus": [1, None, 2],
        "memory_gib": [0.5, 1, None],
    }
    found = []
    for more in ({"compression": "none"}, {"use_dictionary": False, "compression": "snappy"}):
        file = io.BytesIO()
        pq.write_table(pa.table(columns), file, **more)
        found.append(file.getvalue())
    return found


def json_seeds(value: Any) -> list[bytes]:
    return [json.dumps(value).encode(), json.dumps(value, indent=4).encode()]


def read_table(data: bytes) -> Problems | Inventory:
    """A table of VMs or of hosts, all of whose problems are told."""
    from fastsmc.plan import problems

    if b"kernel" in data[:100]:
        return read_stdin(data, lambda path: problems(hosts=path, vms={"name": [], "host": [], "vcpus": []}))  # type: ignore[no-any-return]
    return read_stdin(data, lambda path: problems(hosts=HOSTS, vms=path))  # type: ignore[no-any-return]


def read_folder(data: bytes, folder: Path) -> Inventory:
    """A folder of libvirt's in which one file holds the data."""
    name = "web.xml" if b"<domain" in data else "more.txt"
    (folder / "h1").mkdir(exist_ok=True)
    (folder / "h1" / "more.txt").unlink(missing_ok=True)
    (folder / "h1" / "web.xml").write_bytes(fleets.DOMAIN.encode())
    (folder / "h1" / name).write_bytes(data)
    return Inventory.from_libvirt(folder)


READ: dict[str, Callable[[bytes], Any]] = {
    "csv": read_table,
    "parquet": read_table,
    "kubectl": lambda data: read_stdin(data, Inventory.from_kubectl),
    "proxmox": lambda data: read_stdin(data, lambda path: Inventory.from_proxmox(path, {"pve1": fleets.NODE_STATUS})),
    "openstack": lambda data: read_stdin(
        data, lambda path: Inventory.from_openstack(path, kernels=HOSTS, flavors=fleets.FLAVORS)
    ),
}
SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "csv": csv_seeds,
    "parquet": parquet_seeds,
    "kubectl": lambda: json_seeds(fleets.CLUSTER),
    "proxmox": lambda: json_seeds(fleets.RESOURCES),
    "openstack": lambda: json_seeds(fleets.SERVERS),
    "libvirt": lambda: [fleets.DOMAIN.encode(), *(text.encode() for text in fleets.HOST_TEXTS.values())],
}


def rearranged(data: bytes, draw: random.Random) -> bytes:
    """A table or a document with fields, rows or elements changed, lost, swapped or there twice."""
    if data[:1] in (b"{", b"["):
        return tree_mutant(data.decode(), draw)
    sign = draw.choice((b",", b"\n")) if b"<" not in data else draw.choice((b"<", b"\n"))
    parts = data.split(sign)
    for _ in range(draw.choice((1, 1, 2, 3))):
        at, other = draw.randrange(len(parts)), draw.randrange(len(parts))
        match draw.randrange(4):
            case 0:
                parts[at] = draw.choice(WORDS)
            case 1:
                parts[at], parts[other] = parts[other], parts[at]
            case 2:
                parts.insert(at, parts[other])
            case 3 if len(parts) > 1:
                del parts[at]
    return sign.join(parts)


def check(read: Callable[[bytes], Any], data: bytes) -> bool:
    """Whether it was read; if so, its columns belong together, and its problems can be told."""
    try:
        found = read(data)
    except FastsmcError as error:
        told = str(error)
        assert 10 < len(told) < 1200, told
        assert "\n" not in told
        return False
    problems = found if isinstance(found, Problems) else found.problems()
    for name, table in problems.tables.items():
        specs = TABLES[name]
        assert list(table.columns) == list(specs)
        assert len({len(column) for column in table.columns.values()}) == 1
        assert all(np.issubdtype(table.columns[one].dtype, DTYPES[spec.type]) for one, spec in specs.items())
    assert len(repr(problems)) <= 200
    assert str(problems)
    assert sum(1 for _ in problems) == len(problems)
    return True


def run(source: str, n: int, seed: int, folder: Path) -> int:
    """Checks n damaged files of a source; how many were read all the same. No batch may take as long as one may."""
    draw = random.Random(seed)
    seeds = SEEDS[source]()
    read = READ.get(source, lambda data: read_folder(data, folder))
    n_read, begin = 0, forget_peak()
    for _ in range(n // N_BATCH):
        start = time.process_time()
        for _ in range(N_BATCH):
            data = draw.choice(seeds)
            n_read += check(read, damaged(data, draw, WORDS) if draw.random() < 0.5 else rearranged(data, draw))
        assert time.process_time() - start < MOST_S
    assert peak_mib() - begin < MOST_MIB
    return n_read


@pytest.mark.parametrize("source", SEEDS)
def test_the_files_are_fine_before_they_are_damaged(source: str, tmp_path: Path) -> None:
    read = READ.get(source, lambda data: read_folder(data, tmp_path))
    assert all(check(read, data) for data in SEEDS[source]())


@pytest.mark.parametrize("source", SEEDS)
def test_some_damaged_files(source: str, memory_folder: Path) -> None:
    n = N_QUICK if source != "parquet" else N_BATCH * 2
    assert 0 < run(source, n, 1, memory_folder) < n


@pytest.mark.soak(
    f"{sum(N_SOAK.values()):,} damaged inventories over all sources; make test tries some {N_QUICK} of each"
)
@pytest.mark.parametrize("source", SEEDS)
def test_damaged_files(source: str, memory_folder: Path) -> None:
    assert 0 < run(source, N_SOAK[source], 100, memory_folder) < N_SOAK[source]


HEAD = b"name,host,vcpus\n"
HOSTILE: dict[str, tuple[str, bytes]] = {
    "commas": ("csv", HEAD + b"," * 3_000_000),
    "quotes": ("csv", HEAD + b'"' * 3_000_001),
    "pairs of quotes": ("csv", HEAD + b'"",' * 1_000_000),
    "empty rows": ("csv", HEAD + b"\n" * 3_000_000),
    "empty fields": ("csv", HEAD + b",,\n" * 300_000),
    "one long name": ("csv", HEAD + b"a,h,1\n" * 100_000 + b"x" * 250 + b",h,1\n"),
    "a long field": ("csv", HEAD + b"x" * 3_000_000 + b",h,1\n"),
    "wrong fields": ("csv", HEAD + b"a,h,x\n" * 200_000),
    "wrong kernels": ("csv", b"name,kernel\n" + b"".join(b"h%d,6.%d\n" % (k, k) for k in range(20_000))),
    "packed zeros": ("csv", gzip.compress(HEAD + bytes(100_000_000), 9)),
    "packed rows": ("csv", gzip.compress(HEAD + b"a,h,1\n" * 3_000_000, 9)),
    "many names": ("csv", b",".join(b"c%d" % k for k in range(100_000)) + b"\n"),
    "brackets": ("kubectl", b"[" * 3_000_000),
    "braces": ("kubectl", b'{"items": [' + b'{"a":' * 500_000),
    "no items": ("kubectl", b'{"items": [' + b"{}," * 100_000 + b"{}]}"),
    "lists": ("kubectl", b'{"items": [{"a": [' + b"[]," * 600_000 + b"[]]}]}"),
    "digits": ("proxmox", b"[" + b"1" * 3_000_000),
    "a text": ("openstack", b'["' + b"x" * 3_000_000),
    "deep elements": ("libvirt", b"<domain>" + b"<a>" * 300_000),
    "many elements": ("libvirt", b"<domain>" + b"<a/>" * 250_000 + b"</domain>"),
    "attributes": ("libvirt", b"<domain " + b" ".join(b"a%d=''" % k for k in range(80_000)) + b"/>"),
    "many domains": ("libvirt", b"Domain: 'a'\n" * 1_000_000),
    "packed blanks": ("libvirt", gzip.compress(b"<domain>" + b" " * 100_000_000)),
}


@pytest.mark.parametrize(("source", "data"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_cost_little(source: str, data: bytes, tmp_path: Path) -> None:
    read = READ.get(source, lambda data: read_folder(data, tmp_path))
    begin, start = forget_peak(), time.process_time()
    check(read, data)
    assert time.process_time() - start < MOST_S
    assert peak_mib() - begin < MOST_MIB
