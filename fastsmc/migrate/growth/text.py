"""What n more registers change, as text: rows, limits, directions, the map, and the claim of 2022."""

from __future__ import annotations

from fastsmc.migrate.growth.result import MoreRegisters, VmmRow
from fastsmc.results.layout import drawn, number, starred, words
from fastsmc.results.units import significant

ASSUMES = "the cost of an ioctl, QEMU's second write at load, crosvm's bytes; no VMM was traced"


def told(found: MoreRegisters) -> str:
    """The whole answer as text."""
    claim = [f"claim: {point}" for point in found.claim]
    end = [f"verdict: {found.conclusion}.", f"assumes: {ASSUMES}."]
    return "\n".join([*_rows(found), *_limits(found), *_map(found), *claim, *end])


def _rows(found: MoreRegisters) -> list[str]:
    s = "s" * (found.n_new != 1)
    lines = [
        found.answer,
        f"{found.subject}: {found.n_reg} registers carried by QEMU, and {found.n_new} more {found.size_bits}-bit "
        f"firmware register{s} ({found.family.value}), {found.link} (modelled)",
    ]
    vcpus = starred([row.n_vcpu for row in found.rows], [row.is_hypothetical for row in found.rows])
    lines += drawn(
        (
            *(
                number("vCPUs", names_row=True),
                words("VMM", names_row=True),
                number("bytes"),
                number("+ bytes"),
                number("ioctls"),
                number("+ ioctls"),
            ),
            *(number("ms, low to high"), number("+ ms, low to high")),
        ),
        [(n_vcpu, row.vmm, round(row.n_byte.mid), *_added(row)) for n_vcpu, row in zip(vcpus, found.rows, strict=True)],
    )
    lines += [
        f"{row.vmm}, {row.n_vcpu} vCPUs: {row.refused}" for row in found.rows if row.ms_after is None and row.refused
    ]
    if any(row.is_hypothetical for row in found.rows):
        runs = "more vCPUs than the VMM runs (QEMU 512, Cloud Hypervisor 255, Firecracker 32) or KVM (512)"
        lines += [f"* hypothetical: {runs}"]
    return lines


def _added(row: VmmRow) -> tuple[object, ...]:
    before = f"{significant(row.ms.low)} to {significant(row.ms.high)}"
    if row.n_byte_after is None or row.ioctls_after is None or row.ms_after is None:
        return "-", row.ioctls, "-", before, "-"
    more = f"{significant(row.ms_after.low - row.ms.low)} to {significant(row.ms_after.high - row.ms.high)}"
    n_byte = round(row.n_byte_after.mid - row.n_byte.mid)
    return n_byte, row.ioctls, row.ioctls_after - row.ioctls, before, more


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
    ]
    heads = (*map(number, ("vCPUs", "bytes", "ioctls", "low ms", "mid ms", "high ms")), words(reach))
    rows = [
        (
            *(saved.n_vcpu, saved.n_byte, saved.ioctls, *(f"{ms:.3f}" for ms in saved.ms)),
            "never" if saved.n_vcpu == 1 else f"{least.low:,.0f} to {least.high:,.0f}",
        )
        for saved, least in zip(found.savings, found.needed, strict=True)
    ]
    return [*lines, *drawn(heads, rows)]
