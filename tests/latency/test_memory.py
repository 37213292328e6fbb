"""A million vCPUs fit into 2 GiB, 65,536 into 512 MiB, and a longer run takes no more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.places import ROOT

PROGRAM = """
import resource, time
from tests.support.queue_checks import DENIED_ID, FORWARDED_ID, HANDLED_ID, exponential, fixed, scenario
from fastsmc.latency import simulate
from fastsmc.scenario import MixEntry
shares = {{DENIED_ID: 0.1, HANDLED_ID: 0.8, FORWARDED_ID: 0.1}}
mix = tuple(MixEntry(hex(func_id), func_id, share=share) for func_id, share in shares.items())
for calls in ({calls}, 10 * {calls}):
    given = scenario("closed", exponential(20_000), fixed(5000), mix=mix, count={n_vm}, vcpus=4, calls=calls, warmup=2,
                     replicas=1, trap=300.0)
    start = time.process_time()
    simulation = simulate(given)
    print(simulation.n_call, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, time.process_time() - start)
    del simulation
"""


@pytest.mark.parametrize(
    ("n_vm", "calls", "most_mib"),
    [
        (16_384, 4, 512),
        pytest.param(
            *(262_144, 10, 2048),
            marks=pytest.mark.soak("a million vCPUs and 115 million calls; make test has 65,536 and 3 million"),
        ),
    ],
)
def test_a_million_vcpus_take_less_than_two_gib_however_many_calls_they_make(
    n_vm: int, calls: int, most_mib: int
) -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(n_vm=n_vm, calls=calls)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    short, long = ([float(word) for word in line.split()] for line in done.stdout.splitlines())
    assert (short[0], long[0]) == (n_vm * 4 * calls, n_vm * 4 * calls * 10)
    assert long[1] < most_mib
    assert long[1] < short[1] + 32
