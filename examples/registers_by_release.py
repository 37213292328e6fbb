"""How many registers and bytes has a vCPU, by release and feature set, and what would one more register add?"""

import fastsmc as smc

FEATURES = ("psci02", "psci02+sve", "psci02+pmu+sve+pauth")

print("release   features                     registers  value bytes  VM-global   (recorded)")
for row in smc.plan.register_table():
    if row.cpu == "max" and row.features in FEATURES:
        print(f"{row.release:9} {row.features:30} {row.n_reg:7d} {row.value_bytes:12d} {row.n_global:10d}")

more = smc.plan.added_register(smc.register_set("7.3"), n_vcpu=[64, 512])
print("\none more firmware register on 7.3, as QEMU moves it (modelled):")
print(f"  {more.n_vcpu} vCPUs: {more.per_vcpu.payload_bytes} bytes more, {(100 * more.share).round(2)} % more")
print(f"  {more.per_vcpu.save_ioctls} ioctls more to save; {more.once.save_ioctls} if VM-global registers went once")
