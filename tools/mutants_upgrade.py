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
    *in_file(
        "plan/ways.py",
        ("if source.cpu != dest.cpu and", "if"),
        ("if found.outlook is Outlook.RESTORES and _has_el2(guest)", "if False"),
    ),
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
    *in_file(
        "plan/rolling/search.py",
        ("least = max(least, -(-int(size[pool.due].sum()) // free) if free else least)", "least = max(least, 1)"),
        ("-(-int(size[pool.due].sum()) // free)", "-(-int(size[pool.due].sum()) // free) + 1"),
        ("int(free.sum()), free + load, ~takes", "int(free.sum()), load, ~takes"),
    ),
    *in_file(
        "plan/kernels/reordering.py",
        ("turn[new] = host", "turn[old] = host"),
        ("(n_stop == most_stops and least > most_waves)", "(n_stop == most_stops and least >= most_waves)"),
    ),
    *in_file("plan/rolling/optimal.py", ("self.model.add(mine + gone <= free)", "self.model.add(mine + gone < free)")),
    *in_file(
        "plan/rolling/blocking.py",
        ("texts = list(told)", "texts = list(told)[:1]"),
        ("rows = sorted(grouped.items()", "rows = list(grouped.items()) or sorted(grouped.items()"),
    ),
    *in_file(
        "plan/text.py",
        ("if excuse.why not in told]", "if True]"),
        ("left_out = BY_CAUSE if CAUSES in plan.tables else ()", "left_out = ()"),
    ),
    *in_file("cli/plan/options.py", ("if has_sve and not all(", "if has_sve and not any(")),
    *in_file("cli/plan/migration_table.py", ("has_sve=has_sve,", "")),
]
