"""What n more registers change, as text: rows, limits, directions, the map, and the claim of 2022."""

from __future__ import annotations

from fastsmc.migrate.growth.result import MoreRegisters, VmmRow
from fastsmc.results.units import significant

ASSUMES = "the cost of an ioctl, QEMU's second write at load, crosvm's bytes; no VMM was traced"


def told(found: MoreRegisters) -> str:
    """The whole answer as text."""
    claim = [f"claim: {point}" for point in found.claim]
    end = [f"verdict: {found.conclusion}.", f"assumes: {ASSUMES}."]
    return "\n".join([*_rows(found), *_limits(found), *_map(found), *claim, *end])


def _rows(found: MoreRegisters) -> list[str]:
    s = "s" * (found.n_new != 1)
    titles = f"{'bytes':>9} {'+':>8} {'ioctls':>8} {'+':>7} {'ms (low to high)':>18} {'+ ms (low to high)':>18}"
    lines = [
        f"{found.subject}: {found.n_reg} registers carried by QEMU, and {found.n_new} more {found.size_bits}-bit "
        f"firmware register{s} ({found.family.value}), {found.link} (modelled)",
        f"{'vCPUs':>7}  {'VMM':17} {titles}",
    ]
    for row in found.rows:
        mark = "*" if row.is_hypothetical else " "
        lines += [f"{row.n_vcpu:6d}{mark}  {row.vmm:17} {row.n_byte.mid:9.0f} {_added(row)}"]
    if any(row.is_hypothetical for row in found.rows):
        runs = "more vCPUs than the VMM runs (QEMU 512, Cloud Hypervisor 255, Firecracker 32) or KVM (512)"
        lines += [f"* hypothetical: {runs}"]
    return lines


def _added(row: VmmRow) -> str:
    before = f"{significant(row.ms.low)} to {significant(row.ms.high)}"
    if row.n_byte_after is None or row.ioctls_after is None or row.ms_after is None:
        return f"{'-':>8} {row.ioctls:8d} {'-':>7} {before:>18} {row.refused}"
    more = f"{significant(row.ms_after.low - row.ms.low)} to {significant(row.ms_after.high - row.ms.high)}"
    n_byte = row.n_byte_after.mid - row.n_byte.mid
    return f"{n_byte:8.0f} {row.ioctls:8d} {row.ioctls_after - row.ioctls:7d} {before:>18} {more:>18}"


def _limits(found: MoreRegisters) -> list[str]:
    lines = []
    for limit in found.limits:
        state = "CROSSED" if limit.is_crossed else "kept"
        most = f"{limit.what}: {limit.before} before, {limit.after} after, {limit.most} at most"
        room = "" if limit.room is None else f"; {max(limit.room, 0)} new registers fit"
        lines += [f"limit {state}: {limit.vmm}, {most}{room}"]
    for way in found.directions:
        lines += [f"{way.vmm}, new kernel to old: {way.new_to_old}", f"{way.vmm}, old kernel to new: {way.old_to_new}"]
    return lines


def _map(found: MoreRegisters) -> list[str]:
    reach = f"{found.share_percent:g} % of {found.limit_ms:g} ms from so many VM-global registers on"
    lines = [
        f"a map of {found.savings[0].n_global} VM-global registers would save QEMU (modelled)",
        f"{'vCPUs':>7} {'bytes':>10} {'ioctls':>8} {'low ms':>9} {'mid ms':>9} {'high ms':>9}  {reach}",
    ]
    for saved, least in zip(found.savings, found.needed, strict=True):
        columns = " ".join(f"{ms:9.3f}" for ms in saved.ms)
        from_on = "never" if saved.n_vcpu == 1 else f"{least.low:,.0f} to {least.high:,.0f}"
        lines += [f"{saved.n_vcpu:7d} {saved.n_byte:10d} {saved.ioctls:8d} {columns}  {from_on}"]
    return lines
