"""What tools/mutate.py breaks in outlooks of many VMs, and in rolling upgrades."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_UPGRADE = [
    *in_file(
        "migrate/compat/prepared.py",
        ("unsure = side.doubtful.keys() | side.left_out", "unsure = side.left_out"),
        ("if is_same:", "if False:"),
        ("regs = () if is_same_kernel else", "regs = () if True else"),
    ),
    *in_file("migrate/compat/outlooks.py", ("if not source.strip() or not dest.strip():", "if False:")),
    *in_file(
        "plan/kernels/rolling.py",
        ("if vms[other, APART] == group:", "if False:"),
        ("hosts[host, MIB] < vms[vm, NEEDS_MIB]", "False"),
    ),
    *in_file("plan/ways.py", ("if source.cpu != dest.cpu:", "if False:")),
    *in_file(
        "plan/rolling/fate.py",
        (
            "code[unsized], cause[unsized], dest[unsized] = UNKNOWN",
            "code[unsized], cause[unsized], dest[unsized] = RESTORES",
        ),
    ),
    *in_file(
        "plan/rolling/schedule.py",
        ("if part[room:]:", "if False:"),
        ("- first) // at_once", "- first) // (at_once + 1)"),
    ),
    *in_file("plan/rolling/pools.py", ('hosts["state"] != "down"', 'hosts["state"] != ""')),
]
