"""How many vCPUs can a VM have if its register state must move within 300 ms over 25 Gbit/s?"""

import fastsmc as smc

link = smc.Link(gbit_per_s=25, rtt_us=80)
registers = smc.register_set("7.3", features="psci02+pmu+pauth+sve")

today = smc.plan.max_vcpus(registers, link=link, downtime_ms=300)
once = smc.plan.max_vcpus(registers, link=link, downtime_ms=300, codec=smc.migrate.Codec.QEMU_GLOBAL_ONCE)

print("As QEMU moves registers today:")
print(today)
print()
print("If VM-global registers were read, sent and written once:")
print(once)
