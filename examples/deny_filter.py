"""What does a 32-range deny filter cost a fleet of 1024 vCPUs?"""

import fastsmc as smc

SERVICES = {"PSCI_VERSION": 0.2, "TRNG_RND64": 0.5, "VENDOR_HYP_PTP": 0.2, "0xc2000001": 0.1}  # the last is unknown
RANGES = [smc.FilterRange(0xC200_0000 + 0x1000 * n, 16, smc.FilterAction.DENY) for n in range(32)]

fleet = smc.Fleet.uniform(n_vm=16, n_vcpu=64)
fleet.install_filter(RANGES)
calls = smc.mix(SERVICES, n_call=1_000_000, n_vcpu=fleet.n_vcpu, seed=1)
counts = smc.dispatch(fleet, calls).counts()
for (service, verdict), n_call in counts.items():
    print(f"{service:12} {verdict:10} {n_call:7d} calls")

plan = smc.plan.filter_cost(n_range=[0, 32], measure=False)  # KVM's time; this simulator's own is another thing
(added_ns,) = plan.table.where(n_range=32)["kvm_added_ns"]
print(plan.answer)
print(f"all of these calls together: {added_ns * sum(counts.values()) / 1e6:.0f} ms more in KVM (assumed)")
