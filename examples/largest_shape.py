"""How large may a VM be, by kernel, link and downtime? A table, and a plot if a file is named for it (.svg, .png)."""

import sys

import numpy as np
from matplotlib.figure import Figure

import fastsmc as smc

KERNELS, LINKS = ["5.10", "6.12+pmu", "7.3+pmu+sve+pauth"], ["1G", "10G", "100G"]
print(smc.plan.largest_shape(registers=KERNELS, link=LINKS, downtime_ms=[100, 300]).table)

budgets = np.geomspace(10, 1000, 1000)
plan = smc.plan.largest_shape(registers=KERNELS, link=LINKS, downtime_ms=budgets)
print(plan.answer)
axes = Figure().subplots()
for kernel, (low, mid, high) in zip(KERNELS, np.moveaxis(plan.cube.values["n_vcpu"].values[:, 1], 2, 1), strict=True):
    axes.plot(budgets, mid, label=kernel)
    axes.fill_between(budgets, high, low, alpha=0.2)
axes.set(xscale="log", xlabel="downtime, ms", ylabel="vCPUs over 10 Gbit/s (modelled)")
axes.legend()
if len(sys.argv) > 1:
    axes.figure.savefig(sys.argv[1])
