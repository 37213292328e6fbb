"""Which VMs block the upgrade of 1,000 hosts from Linux 6.12 to 6.18, and how many waves does it take?"""

import numpy as np

import fastsmc as smc

dice = np.random.default_rng(1)
names = np.char.add("h", np.arange(1000).astype(str))
hosts = {"name": names, "kernel": np.repeat(["6.12.107", "6.16.12"], [900, 100]), "cores": np.full(1000, 80)}
hosts |= {"memory_gib": np.full(1000, 512.0), "vmm": np.where(np.arange(1000) // 50 == 7, "qemu:10.1", "qemu:11.1")}
hosts |= {"pool": np.char.add("p", (np.arange(1000) // 50).astype(str))}
vcpus = dice.choice([1, 2, 4, 8], 10_000, p=[0.5, 0.25, 0.125, 0.125])
vms = {"name": np.char.add("v", np.arange(10_000).astype(str)), "host": dice.choice(names, 10_000), "vcpus": vcpus}
vms |= {"memory_gib": vcpus * 3.5, "features": dice.choice(["psci02+pmu", "psci02+pmu+sve"], 10_000)}
vms |= {"tenant": np.char.add("t", dice.integers(0, 2000, 10_000).astype(str))}

plan = smc.plan.upgrade(smc.plan.Inventory.of(hosts=hosts, vms=vms), to="6.18", hosts_at_once=20, per_tenant_at_once=1)
print(plan)
