"""Which bitmaps and which filter answer all that a guest called, and nothing else?"""

import fastsmc as smc
from fastsmc.facts.packaged import GUEST_BOOT_TRACE

used = smc.services(GUEST_BOOT_TRACE, release="6.18")  # the calls of a real Linux guest that boots
least = used.least
print(f"{used.n_call} calls of {len(used.rows)} functions (recorded)")
for name, word in least.bitmaps:
    print(f"{name:18} {smc.register(name):#x} = {word:#x}")
for denied in least.ranges:
    print(f"{denied.action.name} {denied.base:#010x} to {denied.last:#010x}")

stricter = smc.services(GUEST_BOOT_TRACE, release="6.18", bitmaps={"VENDOR_HYP_BMAP": 0})
print("without VENDOR_HYP_BMAP:", ", ".join(row.function for row in stricter.changed), "are not answered (modelled)")
print(smc.plan.filter_cost(n_range=len(least.ranges), measure=False).answer)
