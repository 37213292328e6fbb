"""What does a guest wait whose TRNG calls go to the VMM: under one lock per VM, with four workers, without a lock?"""

import fastsmc as smc

MIX = {"PSCI_VERSION": 0.5, "TRNG_RND64": 0.5}
FORWARD = [{"base": "TRNG_RND64", "action": "FWD_TO_USER"}]
WORKLOADS = {"w": {"kind": "closed", "think": {"law": "exponential", "mean_us": 500}, "mix": MIX}}
VMS = {"count": 16, "vcpus": 64, "filter": FORWARD, "workload": "w", "service": {"law": "exponential", "mean_us": 20}}

for vmm in ({"lock": "vm"}, {"lock": "workers", "workers": 4}, {"lock": "none"}):
    run = smc.simulate(smc.Scenario.of({"seed": 1, "vms": [VMS | {"vmm": vmm}], "workloads": WORKLOADS}))
    trng, busy = run.groups[0].by_service()["TRNG"], run.groups[0].utilisation.mean()
    p50, p99 = (trng.response.quantile(share) / 1e3 for share in (0.5, 0.99))
    wait = trng.waiting.mean_ns / 1e3
    print(f"{vmm['lock']:8} response p50 {p50:6.1f} us, p99 {p99:6.1f} us; mean wait {wait:6.1f} us, busy {busy:.2f}")
weakest = run.as_dict()["profile"]["weakest"]
print(f"modelled from {run.scenario.profile.name}; weakest figure: {weakest['name']} ({weakest['kind']})")
