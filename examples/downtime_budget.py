"""How many vCPUs can a VM have if its registers must move within 300 ms over 25 Gbit/s?"""

import fastsmc as smc

link = smc.Link("25G", "80us")
registers = smc.register_set("7.3", features="psci02+pmu+pauth+sve")

plan = smc.plan.largest_shape(registers=registers, link=link, downtime_ms=300)
print(plan)
print()

n_vcpu = plan.cube.values["n_vcpu"].values.ravel()  # with all figures low, middle and high
found = smc.migrate.downtimes(registers, n_vcpu=n_vcpu, link=link)
print(f"{n_vcpu} vCPUs take {found.total_ms.diagonal().round(1)} ms (modelled)")
for step in found.steps:
    print(f"  {step.name:26} {step.ms[1, 1]:6.1f} ms of the middle one, {step.kind}")
