"""What tools/mutate.py breaks in what is told of guests with EL2: their traces, and which kinds of guest there are."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_NESTED = [
    *in_file(
        "calls/vel2.py",
        ("return ~np.isin(func_id, _BY_FAST_PATH)", "return np.isin(func_id, _BY_FAST_PATH)"),
        ("if row.gate is Gate.FAST_PATH]", "if row.gate is Gate.NONE]"),
        ('startswith(f"{VEL2} HVC")', "startswith(VEL2)"),
        ('"" if is_said else', '"" if not is_said else'),
    ),
    *in_file(
        "calls/trace.py",
        ('"to_vel2": n * forwarded[k] if self.has_el2 else None', '"to_vel2": n * forwarded[k]'),
        ("sum()) if self.has_el2 else None", "sum())"),
        ("return [*notes, vel2.NOT_HERE] if self.has_el2 else notes", "return notes"),
    ),
    *in_file(
        "calls/counts.py",
        ('"to_vel2": n * is_forwarded if self.has_el2 else None', '"to_vel2": n if self.has_el2 else None'),
    ),
    *in_file(
        "traces/bodies.py",
        ("_EC_SHIFT, _EC_MASK = 26, 0x3F", "_EC_SHIFT, _EC_MASK = 25, 0x3F"),
        ('return kind and f"{VEL2} {kind}"', "return kind"),
    ),
    *in_file(
        "explanation/guests.py",
        ("(Level.VEL2, Level.VEL1, Level.VEL1_TSC)", "(Level.VEL2, Level.VEL1)"),
        ("if not refused(guest, release)", "if guest is not PROTECTED"),
        ("bool(self.outcome.free[0] or self.outcome.unknown or", "bool(self.outcome.free[0] or"),
        ("    if doubt is not None:\n", "    if doubt is None:\n"),
        ("for one in rows if one.fate != usual]", "for one in rows if one.fate == usual]"),
        ("by[ORDINARY.name] is not Verdict.FAST_PATH", "True"),
    ),
    *in_file(
        "reporting/guests.py",
        ('== "TO_VEL2" for by', '!= "TO_VEL2" for by'),
        ('not in (None, by.get("ordinary"))', "is not None"),
        ("dict.fromkeys(_WORDS.get", "list(_WORDS.get"),
    ),
    *in_file("reporting/sections.py", ("if guests.TABLE not in run.tables:", "if True:")),
    *in_file("reporting/needs.py", ("if name in _LATER and name not in run.tables:", "if name in _LATER:")),
    *in_file(
        "scaling/guests.py", ("for conduit in (Conduit.HVC, Conduit.SMC)", "for conduit in (Conduit.HVC, Conduit.HVC)")
    ),
    *in_file("traces/formats.py", ("    if el2:\n", "    if not el2:\n")),
    *in_file(
        "traces/text.py",
        ("has_el2=self.has_el2)", "has_el2=False)"),
    ),
    *in_file(
        "usage/nested.py",
        ("if el2 and not _has_el2(rules):", "if not _has_el2(rules):"),
        ("        if doubt is not None:\n", "        if False:\n"),
        ("if not el2 and isinstance", "if el2 and isinstance"),
    ),
    *in_file("usage/ruled.py", ("if verdict is Verdict.TO_VEL2:", "if verdict is Verdict.EXIT:")),
    *in_file("usage/asked.py", ('"nested" if has_el2(bits) else "default"', '"default"')),
    *in_file(
        "usage/used.py",
        ("el2 = el2 or seen.has_el2", "pass"),
        ("[None if self.has_el2 else n]", "[n]"),
        ("UnknownError.exit_code if self.least is None", "0 if self.least is None"),
        ("nested.FEATURES if el2 else FEATURE_PSCI_0_2", "FEATURE_PSCI_0_2"),
    ),
]
