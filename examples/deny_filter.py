"""What does a 32-range deny filter cost a fleet of 1024 vCPUs?"""

import fastsmc as smc
from fastsmc.dispatcher.timing import compare_dispatch

SERVICES = {"PSCI_VERSION": 0.2, "TRNG_RND64": 0.5, "VENDOR_HYP_PTP": 0.2, "0xc2000001": 0.1}  # the last is unknown
RANGES = [smc.FilterRange(0xC200_0000 + 0x1000 * n, 16, smc.FilterAction.DENY) for n in range(32)]

plain = smc.Fleet.uniform(n_vm=16, n_vcpu=64)
filtered = smc.Fleet.uniform(n_vm=16, n_vcpu=64)
filtered.install_filter(RANGES)

calls = smc.mix(SERVICES, n_call=1_000_000, n_vcpu=1024, seed=1)
for (service, verdict), n_call in smc.dispatch(filtered, calls).counts().items():
    print(f"{service:12} {verdict:10} {n_call:7d} calls")
print("time per call with the filter, over without:", compare_dispatch(plain, filtered, calls))
