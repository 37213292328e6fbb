"""What tools/mutate.py breaks in the probe, in the reader of host profiles, and in what becomes of them."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_PROBING = [
    *in_file(
        "probing/standalone.py",
        ("KVM_ARM_VCPU_FINALIZE = _ioc(1, 0xC2, 4)", "KVM_ARM_VCPU_FINALIZE = _ioc(1, 0xC2, 8)"),
        ("PSCI_WORDS = (0, 1, 2,", "PSCI_WORDS = (0, 1,"),
        ("0x10, 0x60, 0x80, 0x100", "0x10, 0x20, 0x80, 0x100"),
        ("            if not code and bits & SVE:", "            if code and bits & SVE:"),
        ("if code not in (0, errno.EINVAL):", "if code == errno.EFAULT:"),
        ("if code not in (0, errno.ENOENT):", "if code == errno.EFAULT:"),
        ("(PSCI_WORDS, [vcpu, other])", "(PSCI_WORDS, [vcpu])"),
        ("range(64) if vcpu.accepts(reg, 1 << bit)", "range(8) if vcpu.accepts(reg, 1 << bit)"),
        ("for base in (0, 0x84000000):", "for base in (0x84000000, 0):"),
        (
            "for one in made:\n                system.close(one.fd)",
            "for one in made[1:]:\n                system.close(one.fd)",
        ),
        ("        system.close(kvm.fd)\n        raise", "        raise"),
        ("for number in range(N_CAPABILITY)}", "for number in range(100)}"),
        ("if any(told)}", "if all(told)}"),
        ("        hidden.replace(target)", "        target.write_text(text)"),
        ("                hidden.unlink()", "                pass"),
        ("target = target.resolve()  #", "target = target.absolute()  #"),
        ("or machine not in", "and machine not in"),
        ('word.replace("_", "-").startswith', "word.startswith"),
        ('return "nvhe" if _mode_asked(system) == "nvhe" else "default"', 'return _mode_asked(system) or "default"'),
        (
            '[*(system.read("/proc/cpuinfo") or "").splitlines(), "processor"]',
            '[*(system.read("/proc/cpuinfo") or "").splitlines()]',
        ),
    ),
    *in_file(
        "probing/found.py",
        ("versions if one != default), default)", "versions),)"),
        ("    if len(doubt.others) != 1:\n        return None\n", ""),
        ("        elif not is_taken:\n", "        elif is_taken:\n"),
        ("- (own - other) | (other - own)", "| other"),
        ("    if not told or all(taken) == all(other):", "    if not told:"),
        ("if other != new)", "if other == new)"),
        ("and name not in rules.uncertain", ""),
        ("in (0, *_NO_FILTER):", "in range(200):"),
        ("& WORKAROUND_LIMIT for one", "for one"),
    ),
    *in_file(
        "probing/profile.py",
        ("rules = settled(self.known, rules_found(self.content))", "rules = self.known"),
        ("clock in (None, _ARM_COUNTER)", "clock == _ARM_COUNTER"),
        ('or isinstance(value.get("version"), bool)', ""),
        ("if int(text, 16) >> 8 * size:", "if False:"),
        ("return values | dict.fromkeys(", "return values or dict.fromkeys("),
    ),
    *in_file(
        "probing/shape.py",
        ("elif not isinstance(inner, Maybe):", "elif False:"),
        ("            if key not in pattern:", "            if key in ():"),
        ("isinstance(value, int) and not isinstance(value, bool)", "isinstance(value, int)"),
    ),
    *in_file(
        "migrate/read/host_profile.py",
        ('_USUAL = ("psci02+pmu", "psci02")', '_USUAL = ("psci02", "psci02+pmu")'),
        ('"features": name}', '"features": ""}'),
    ),
    *in_file(
        "migrate/compat/filed.py",
        ("        return _by_profile(file, wanted, kernel)", "        return from_file(file, wanted, kernel)"),
        ("            if not refused:\n                raise\n", ""),
    ),
    *in_file(
        "migrate/compat/check.py",
        ("or not side.is_host or features is not None", "or not side.is_host"),
        ("elif beside is not None and (not beside.is_host or", "elif beside is not None and (False or"),
    ),
    *in_file(
        "probing/standalone.py",
        ("return lambda: (ns(2 * n) - ns(n)) / n", "return lambda: ns(n) / n"),
        ("found = [once() / count for _ in range(3)][1:]", "found = [once() / count for _ in range(3)]"),
        ('return "pmu" if reg >> 6 & 1 else "timer"', 'return "timer"'),
        ('for state in ("cold", "warm", "warm"):', 'for state in ("warm", "cold", "warm"):'),
        ("TREE_LEVELS = {1: 1, 10: 2,", "TREE_LEVELS = {1: 1, 10: 1,"),
        ("if begin + 2 * last > end:", "if begin > end + 60:"),
        ('way = over["system_call"] - over["function"]', 'way = over["system_call"]'),
        ('        if spread and spread["median"] / count > own:', "        if spread:"),
        ('more = max(0.0, answered[0] - calls["not supported", 0]["median"])', "more = max(0.0, answered[0])"),
        ("        raise ProbeError(msg)\n    return took", "        pass\n    return took"),
    ),
    *in_file(
        "migrate/profiled.py",
        ('"set_one_reg_ns": (SETS, SETS_AGAIN)', '"set_one_reg_ns": (SETS,)'),
        ("    if ioctl_ns is not None:", "    if False:"),
    ),
    *in_file(
        "scenario/profiles.py",
        ("    if not force:", "    if force:"),
        ("and not low <= number <= high:", "and not number <= high:"),
        ('        if figure.kind == "assumed":\n            return figure\n', ""),
    ),
    *in_file(
        "migrate/switchover/most.py",
        ("some = Vms(n_vcpu=_ANY, by_step=vms.by_step, **chosen)", "some = Vms(n_vcpu=_ANY, **chosen)"),
        ("Vms(n_vcpu=_ANY, by_step=vms.by_step, **part)", "Vms(n_vcpu=_ANY, **part)"),
    ),
]
