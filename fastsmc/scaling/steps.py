"""Where the downtime of the largest VM goes, step by step."""

from __future__ import annotations

from fastsmc import migrate
from fastsmc.facts import costs
from fastsmc.results.tables import Table
from fastsmc.scaling._rows import Heading, table
from fastsmc.scaling.moves import KERNELS

LINE_RATE = "10 Gb/s"


def downtime_steps(release: str = KERNELS[-1], *, n_vcpu: int = int(costs.VGIC_V3_MAX_CPUS.value)) -> Table:
    """The steps of a migration's downtime with QEMU, as `migrate.downtime` has them; a row per step."""
    found = migrate.downtime(release, n_vcpu=n_vcpu, link=LINE_RATE)
    rows = [
        (
            *(release, n_vcpu, found.n_reg, LINE_RATE, step.name, step.stage.value),
            *(step.ioctls, step.n_byte, step.ms.low, step.ms.mid, step.ms.high, step.kind, step.is_budgeted),
        )
        for step in found.steps
    ]
    return table("The downtime of one VM, step by step, with QEMU; a row per step.", _STEPS, rows)


_STEPS: tuple[Heading, ...] = (
    ("release", "input", "the kernel whose register list counts"),
    ("n_vcpu", "input", "vCPUs of the VM"),
    ("n_reg", "recorded", "registers that QEMU carries per vCPU"),
    ("line_rate", "input", "of the network"),
    ("step", "", "what is done while the guest stands still"),
    ("stage", "", "before the save, save, wire, load, or after"),
    ("ioctls", "modelled", "ioctls of the step"),
    ("bytes", "modelled", "bytes on the wire"),
    ("low_ms", "assumed", "time at the low cost of an ioctl"),
    ("mid_ms", "assumed", "time at the middle cost"),
    ("high_ms", "assumed", "time at the high cost"),
    ("obtained", "", "modelled, or assumed where it rests on the cost of an ioctl"),
    ("is_budgeted", "", "whether QEMU's own estimate of the downtime has the step"),
)
