"""Is a host with 40 VMs empty within four and a half minutes, and under whose limits?"""

import numpy as np

import fastsmc as smc

rng = np.random.default_rng(7)
vms = {"name": [f"vm{i}" for i in range(40)], "host": ["rack1-0"] * 40}
vms |= {"vcpus": (vcpus := rng.choice([2, 4, 8, 16], 40, p=[0.4, 0.3, 0.2, 0.1])), "memory_gib": vcpus * 4.0}
vms |= {"dirty_mib_per_s": np.where(rng.random(40) < 0.75, rng.lognormal(3, 1, 40), np.nan)}  # unknown of a quarter
hosts = {"name": [f"rack1-{i}" for i in range(8)], "kernel": ["6.12.107"] * 8, "vmm": ["qemu:10.1"] * 8}
inventory = smc.plan.Inventory.of(hosts=hosts | {"nic_gbit_per_s": [25.0] * 8}, vms=vms)

for limits in ("kubevirt-1.6", "hco-1.19", "nova-2026.1", "proxmox-9"):
    plan = smc.plan.evacuate(inventory, hosts=["rack1-0"], within_s=270, limits=limits)
    print(f"{limits}, exit code {plan.exit_code}: {plan.answer}\n  bottleneck: {plan.bottleneck}")
    if plan.is_met is None:
        print(f"  {plan.weakest.figure}: at {plan.weakest.low:g} {plan.weakest.at_low}")
        print(f"  at {plan.weakest.high:g} {plan.weakest.at_high}")
