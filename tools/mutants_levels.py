"""What tools/mutate.py breaks of guests with EL2 and protected VMs in the vectorized path."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_LEVELS = [
    *in_file(
        "bitmaps.py",
        ("np.where(has_el2[:, None], Verdict.TO_VEL2, verdict)", "verdict"),
        ("np.where(has_el2[:, None], Verdict.TO_VEL2, by_rule)", "by_rule"),
        ("is_fast | policies.is_protected[:, None] & _IS_FAST_IF_PROTECTED", "is_fast"),
        ("policies.is_protected[:, None] & _IS", "_IS"),
        (" | vms.is_protected.astype(np.uint64) << np.uint64(32)", ""),
        ("has_el2 = policies.features & FEATURE_EL2 != 0", "has_el2 = policies.features & 0x180 != 0"),
    ),
    *in_file(
        "fleet/rows.py",
        ("[Verdict.SMC_REFUSED, Verdict.TO_VEL2]", "[Verdict.SMC_REFUSED]"),
    ),
    *in_file(
        "fleet/columns.py",
        (" | is_protected.astype(np.uint64) << np.uint64(32)", ""),
        ("np.sort(changes[np", "np.flip(changes[np"),
        ("given.dtype != np.bool_ or given.ndim > 1", "given.ndim > 1"),
    ),
    *in_file(
        "fleet/interned.py",
        ("if is_protected or not rules.has_filter:", "if not rules.has_filter:"),
        (", has_run[vms], is_protected[vms]]", ", has_run[vms], has_run[vms]]"),
    ),
    *in_file("fleet/judged.py", ("if fleet.is_protected[vm]:", "if False:")),
    *in_file("fleet/refusals.py", ("if first == ENOEXEC else", "if first else")),
    *in_file(
        "vm.py",
        ("has &= ~self.is_protected[chosen]", ""),
        ("(self.features[vms] & FEATURE_EL2 != 0) & ~self.has_gic[vms]", "~self.has_gic[vms]"),
        ("& FEATURE_EL2 != 0) & ~self.has_gic[vms]", "& FEATURE_EL2 != 0)"),
        ("np.where(is_ready, np.where(lacks_gic, EAGAIN, 0), ENOEXEC)", "np.where(lacks_gic, EAGAIN, 0)"),
        ("self.has_run_once[chosen[errnos == 0]] = True", "self.has_run_once[chosen] = True"),
    ),
    *in_file(
        "calls/columns.py",
        ("is_none = level > max(Level)", "is_none = level > 7"),
        ("is_none |= level == number", "pass"),
    ),
    *in_file(
        "calls/workload.py",
        ('"is_plain", self.x3 is self.level is None', '"is_plain", self.x3 is None'),
        (
            "self.conduit, self.x1, self.x2, self.x3, self.level)\n        object",
            "self.conduit, self.x1, self.x2, self.x3)\n        object",
        ),
        ("x1, x2, x3, level)", "x1, x2, x3)"),
        ("            check_levels(self.level)\n", ""),
    ),
    *in_file(
        "calls/grouped.py",
        ("calls.x1, calls.x2, calls.x3, calls.level)", "calls.x1, calls.x2, calls.x3)"),
        ("conduit, x1, x2, x3, level)", "conduit, x1, x2, x3)"),
        ("            check_levels(self.level)\n", ""),
    ),
    *in_file(
        "dispatcher/levels.py",
        ("    _check_levels(now, calls, level, n_thread)\n    if", "    if"),
        ("loops.as_hvc(given[part], level[part], taken[part])", "taken[part] = given[part]"),
        ("(verdict == Verdict.FAST_PATH) & (conduit != taken)", "verdict == Verdict.FAST_PATH"),
        ("level & np.repeat(lacks[calls.block_vcpu], np.diff(calls.block_first))", "level & 0"),
        ("part.start + found if found < n", "found if found < n"),
    ),
    *in_file(
        "dispatcher/kernels/levels.py",
        ("if level[c] == _VEL1_TSC else", "if level[c] >= _VEL1_TSC else"),
        ("(what == _FAST_PATH) & (conduit[c] != taken[c])", "what == _FAST_PATH"),
        ("return first + int(_bad(", "return int(_bad("),
        ("bad |= level[c] & lacks[v if v < last else last]", "bad |= level[c]"),
    ),
    *in_file(
        "dispatcher/batch.py",
        ("(Verdict.FAST_PATH, Verdict.TO_VEL2)", "(Verdict.FAST_PATH, Verdict.FAST_PATH)"),
        ("    if calls.conduit is not None and taken is not None:\n        trap(calls.conduit, taken, verdict)\n", ""),
        ("        if conduit is not given:\n            trap(given[part], conduit[part], out)\n", ""),
        ("np.may_share_memory(verdict, calls.level)", "False"),
    ),
    *in_file(
        "dispatcher/answers.py",
        ("what[what == Verdict.TO_VEL2] = Verdict.FORWARDED", "pass"),
        ("if has_protected:", "if False:"),
        ("(func_id == its_id) & (verdict == Verdict.FAST_PATH)", "func_id == its_id"),
        ("(*forbidden, forbidden[-1])", "(forbidden[-1], *forbidden)"),
    ),
    *in_file(
        "scenario/fleets.py",
        ("group.kvm_arm_mode, group.is_protected)", '"default", group.is_protected)'),
        ('"is_protected": group.is_protected}', '"is_protected": False}'),
    ),
    *in_file("scenario/groups.py", ("if level is not None and not has_el2(group.features):", "if False:")),
    *in_file("scenario/profiles.py", ("key in table or key not in optional", "key not in optional")),
    *in_file("latency/verdicts.py", ("level=np.array(level, np.uint8)", "level=None")),
]
