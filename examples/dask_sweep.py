"""A scenario over a grid on a Dask cluster: two processes here, elsewhere as many machines as you have."""

from pathlib import Path

from distributed import Client, LocalCluster

import fastsmc as smc

SCENARIO = Path(__file__).parent / "trng_to_vmm.toml"
OVER = {"vms[0].vcpus": [2, 4, 8], "vms[0].vmm.workers": [2, 4, 8]}

if __name__ == "__main__":  # Dask's workers import this file
    here = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with here as cluster, Client(cluster) as client:
        sweep = smc.sweep(SCENARIO, over=OVER, repeats=4, seed=1, run_on=client)
    print(f"{sweep.done} cells done, {len(sweep.failed)} failed")
    p99 = sweep.quantile(0.99, over="repeat") / 1e3
    for n, row in zip(OVER["vms[0].vcpus"], p99.values, strict=True):
        print(f"{n:3} vCPUs: p99 response {row.round().astype(int).tolist()} us with 2, 4, 8 workers (modelled)")
