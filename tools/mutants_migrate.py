"""What tools/mutate.py breaks in migrate, and in what decides its outlooks."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_MIGRATE = [
    *in_file(
        "migrate/formats/qemu_section.py",
        ('"env.banked_spsr"] + 8 * (n + 1)', '"env.banked_spsr"] + 8 * n'),
        ('_MINUS_ONE = ("env.exclusive_addr", ', "_MINUS_ONE = ("),
        ("np.uint64(1) != 0)", "np.uint64(2) != 0)"),
        ("(16, high, _Z_BYTES - 16)]", "(0, high, _Z_BYTES - 16)]"),
    ),
    *in_file("migrate/kernels/records.py", ("word > (_U64 - digit) // _10", "word > _U64 // _10")),
    *in_file("migrate/kernels/records.py", ("if n_bit < 64 and bits >> np.uint64(n_bit):", "if n_bit < 0:")),
    *in_file(
        "migrate/compat/vmms.py",
        ("frozenset({CLASS_SVE, CLASS_FW_FEAT_BMAP})", "frozenset({CLASS_SVE})"),
        ("by_hand=frozenset({CLASS_CORE, CLASS_SVE})", "by_hand=frozenset({CLASS_SVE})"),
        ("if fate.reg == BMAP_2 and fate.value != 0:", "if fate.reg == BMAP_2 and fate.value == 0:"),
        ("if not by.can(Ability.TOLERATES):", "if False:"),
    ),
    *in_file(
        "migrate/compat/stops.py",
        ("(missing and len(incoming) > len(own)):", "(missing and len(incoming) >= len(own)):"),
        ("fate.reg in incoming - own]", "fate.reg in own - incoming]"),
        ("if has_sve and not by.can(Ability.SAVES_SVE) else Stop()", "if False else Stop()"),
        ("(never_given(by, each) for each in features)", "(never_given(by, each) for each in features[:1])"),
    ),
    *in_file(
        "migrate/compat/templates.py",
        ("    if bits >> n_known:", "    if False:"),
        ('return "" if why is None else', 'return "" if True else'),
        ("if index and forced.value)", "if index and not forced.value)"),
    ),
    *in_file("facts/vmm_features.py", ("or by.number >= row.by)", "or True)"), ("(*_APART, *rows)", "_APART")),
    *in_file("facts/releases.py", ("and found.count <= vendor.newest_read", "")),
    *in_file(
        "migrate/compat/values.py",
        ("if len(fields) > 1:", "if len(fields) > 2:"),
        ("if None in others or", "if"),
    ),
    *in_file(
        "migrate/compat/result.py",
        ("return Outlook.UNKNOWN if self.unjudged or", "return Outlook.UNKNOWN if"),
        ("if self.failing or self.stopped_by or self.reason:", "if self.failing and not self.unjudged:"),
        ("self.outlook is Outlook.UNKNOWN and self.is_unknown_accepted)", "self.is_unknown_accepted)"),
    ),
    *in_file(
        "migrate/compat/filed.py",
        ("is_whole=is_listed or side.is_emulated", "is_whole=True"),
        ("if len(values) < _LEAST and", "if False and"),
    ),
    *in_file(
        "migrate/compat/likely.py",
        ("return frozenset(set(listed) - unsure(rules, features, listed).keys())", "return frozenset()"),
        ("for reg in certain_ids(other, features) - values.keys():", "for reg in set[int]():"),
    ),
    *in_file(
        "migrate/compat/vcpus.py",
        ("(places[0].get(vcpu, 0), places[1].get(vcpu, 0))", "(0, 0)"),
        ("if not n or not own or n == own:", "if True:"),
    ),
    *in_file(
        "migrate/compat/lists.py",
        ("return release.series >= self.by", "return release.series > self.by"),
        ("not change.is_listed and not bits & change.feature:", "not change.is_listed:"),
    ),
    *in_file(
        "migrate/compat/unsure.py",
        ("for reg in theirs ^ own:", "for reg in theirs & own:"),
        ("if not change.is_uncertain_in(rules) or is_settled:", "if is_settled:"),
    ),
    *in_file(
        "reference/doubts.py",
        ('(FUNCTION_BY_ID if name.endswith("_FEATURES") else ())', "()"),
    ),
    *in_file(
        "migrate/compat/judge.py",
        ("if value and own & ((1 << longest) - 1) == value:", "if value and own == value << 1:"),
        ("if kind not in FIRMWARE_CLASSES and takes_any_value(reg):", "if kind not in FIRMWARE_CLASSES:"),
        ("if is_same and errno is None:", "if False:"),
        ("if reg in dest.left_out and not dest.is_apart(reg):", "if False:"),
        ("        return _LEFT_OUT\n", "        return OK, ''\n"),
    ),
    *in_file(
        "migrate/compat/visible.py",
        ("written = carried(source, vmm) - lost", "written = frozenset(source.values) - lost"),
        ("_in_order(after[0] - before[0]), _in_order(before[0] - after[0])", "_in_order(after[0] & before[0]), ()"),
    ),
    *in_file(
        "migrate/switchover/steps.py",
        ("alone + longest(", "alone + total("),
        ("if not step.is_budgeted)", "if step.is_budgeted)"),
        ("gic * self.n_vcpu * int", "gic * int"),
    ),
    *in_file(
        "migrate/switchover/arrays.py",
        ("calls.save_ioctls - listed", "calls.save_ioctls"),
        ("vms.gbit_per_s, np.zeros(()))", "vms.gbit_per_s, vms.rtt_us)"),
        ("np.where(vms.has_sve, yes, no)", "np.where(vms.has_sve, no, yes)"),
    ),
    *in_file(
        "migrate/switchover/most.py",
        ("last + 1, last * 10", "last + 1, last * 100"),
        ("[rows, figure] <= budget", "[rows, figure] < budget"),
        ("np.where(fits, most, middle - 1)", "np.where(fits, most, middle)"),
    ),
    *in_file(
        "migrate/precopy.py",
        ("n += after(n) > target", "pass"),
        ("is_stuck = ~is_one & (second >= memory)", "is_stuck = ~is_one & (second > memory)"),
        ("np.where(is_one, memory, sent)", "sent"),
        ("n -= (n > 1) & (after(n - 1) <= target)", "pass"),
    ),
    *in_file(
        "migrate/switchover/measured.py",
        ("max(saved.get(key, 0), loaded.get(key, 0))", "saved.get(key, 0) + loaded.get(key, 0)"),
        ("if n_cpu not in (0, waterfall.n_vcpu):", "if False:"),
        ("if None not in gaps and", "if gaps[0] is not None and"),
        ("min(query.downtime_ms, wire_ms)", "wire_ms"),
    ),
    *in_file("migrate/switchover/trace_log.py", ("        log.save.clear()\n", "")),
    *in_file(
        *(
            "migrate/switchover/trace_order.py",
            ("if passed < 0:", "if passed > 0:"),
            ("us > passed + _SLACK_US", "False"),
        ),
        *(("if name in end.lines:", "if False:"), ("            if closing in end.lines:", "            if False:")),
    ),
    *in_file("migrate/growth/global_map.py", ("repeats = n_global * (n_vcpu - 1)", "repeats = n_global * n_vcpu")),
    *in_file(
        "migrate/growth/by_vmm.py",
        ("base.n_reg + new.n_new > most:", "base.n_reg + new.n_new >= most:"),
    ),
    *in_file("migrate/growth/result.py", ("self.after > self.most", "self.after >= self.most")),
    *in_file("migrate/growth/carriers.py", ("Span.exactly(_ID_BYTES + n_byte)", "Span.exactly(_ID_BYTES + 8)")),
    *in_file(
        "migrate/qemu/layout.py",
        ('length = {"array_len": n} if n > 1 else {}', 'length = {"array_len": n}'),
        ("SECTION_FOOT = 1 + 4", "SECTION_FOOT = 4"),
        ("np.maximum(n - power, 0)", "np.maximum(n - power - 1, 0)"),
    ),
    *in_file(
        "migrate/qemu/devices.py",
        ("more * (part + SEPARATOR) + more_digits", "more * (part + SEPARATOR)"),
        ("np.where(np.asarray(more) > 0, some, alone)", "some"),
        ("np.where(np.asarray(n_reg) > 1, n_digit(n_reg), 0)", "n_digit(n_reg)"),
        ("(n_section - 1) * SEPARATOR", "n_section * SEPARATOR"),
        ("        if unnumbered:\n", "        if True:\n"),
    ),
    *in_file("migrate/qemu/size.py", ("(n_section - 1) * SEPARATOR", "n_section * SEPARATOR")),
    *in_file("migrate/qemu/machine.py", ("return self.cpu_max or self.za", "return self.cpu_max")),
]
