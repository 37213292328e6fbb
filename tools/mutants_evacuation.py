"""What tools/mutate.py breaks in evacuations: where VMs go, what migrations share, what is counted, what decides."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_EVACUATION = [
    *in_file(
        "plan/kernels/precopying.py",
        ("if seconds < guests.hot_s[vm]:", "if seconds < 0.0:"),
        ("        progress.left[vm], progress.round_s[vm] = left, 0.0", "        progress.left[vm] = left"),
        ("    progress.round_s[vm] += passed", "    progress.round_s[vm] += 0.0"),
        (
            "at + left / rate + guests.registers_s[vm]\n        return\n    before",
            "at + left / rate\n        return\n    before",
        ),
    ),
    *in_file(
        "plan/kernels/draining.py",
        ("work.nic[dest] / work.n_in[dest]))", "work.nic[dest]))"),
        ("min(rules.cap, min(work.nic", "min(np.inf, min(work.nic"),
        ("    if n_active >= rules.cluster:\n        return CLUSTER\n", ""),
        (">= rules.inbound:", "> rules.inbound:"),
        ("    if work.before[vm] > 0:\n        return FIRST\n", ""),
        ("if n_active == 0 or not rules.is_batch:", "if True:"),
        ("max(guests.memory[vm] * _PER_GIB, rules.timeout_gib)", "rules.timeout_gib"),
        ("ends_at = max(rules.give_up_s, progress.at[vm])", "ends_at = progress.at[vm]"),
        ("    work.n_in[dest] -= 1\n", ""),
        ("memory + moves.registers_s[vm, k] > moves.budget_s[vm]", "memory > moves.budget_s[vm]"),
        ("guests.hot[vm] / (rate - guests.dirty[vm]) if is_hot", "guests.hot[vm] / rate if is_hot"),
        ("base = mixed(seed + u64(replica + 1) * STEP)", "base = mixed(seed)"),
        ("        return SOURCE_NIC if out <= into else DEST_NIC", "        return SOURCE_NIC"),
    ),
    *in_file(
        "plan/kernels/placing.py",
        ("        if not hosts.is_open[host] or hosts.drain[host] == drain:", "        if not hosts.is_open[host]:"),
        ("        elif hosts.free[host] < guests.memory[i]:", "        elif hosts.free[host] < 0:"),
        ("                hosts.free[host] -= guests.memory[i]", "                hosts.free[host] -= 0.0"),
        ("                guests.at[guests.vm[i]] = host\n", ""),
        ("                hosts.free[dest[i]] += guests.memory[i]", "                hosts.free[dest[i]] += 0.0"),
        ("            hosts.turn[pool] = turn + 1", "            hosts.turn[pool] = turn"),
        ("host = find(hosts, guests, fates, i, RESTORES)", "host = find(hosts, guests, fates, i, UNKNOWN)"),
    ),
    *in_file(
        "plan/evacuation/judged.py",
        ("    if found.excuses:\n        is_met = False\n", ""),
        ("(found.doubts and True in said)", "False"),
        ('        every.append((end("", 0), end("", 1)))', "        pass"),
        ("and self.over_share[ioctl] <= miss_share", ""),
        ("late.mean(axis=0).max(initial=0) if is_each", "late.mean() if is_each"),
    ),
    *in_file(
        "plan/evacuation/fates.py",
        ("if found.outlook is Outlook.RESTORES:", "if found.outlook is not Outlook.FAILS:"),
    ),
    *in_file(
        "plan/evacuation/evacuate.py",
        ("asked.downtime_ms if limits.downtime_limit_ms is None else limits.downtime_limit_ms", "asked.downtime_ms"),
        ("np.where(np.isnan(budget), asked.downtime_ms, budget)", "np.full(len(vm), asked.downtime_ms)"),
        ("        np.where(np.isnan(hot), np.inf, 0.0),", "        np.full(len(vm), np.inf),"),
    ),
]
