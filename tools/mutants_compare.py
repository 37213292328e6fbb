"""What tools/mutate.py breaks in the comparison of results and in what becomes of one's own calls."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_COMPARE = [
    *in_file(
        "results/intervals.py",
        ("tail = (1 - LEVEL) / 2", "tail = 1 - LEVEL"),
        ('low = first + int(np.searchsorted(below, tail, side="right"))', "low = first"),
        ('side="left")) + 1', 'side="left"))'),
        ("n = int(times.n / max(design_effect, 1.0))", "n = times.n"),
        (
            "if high <= n else math.inf\n    return Estimate(value, float",
            "if True else math.inf\n    return Estimate(value, float",
        ),
        ("times.n * max(design_effect, 1.0))", "times.n)"),
        ("(high - low) ** 2 / 12", "(high - low) ** 2 * 12"),
        ("low, high = math.hypot(b - b_low, a_high - a)", "low, high = math.hypot(b_high - b, a - a_low)"),
        ("if first.value <= 0 or second.value < 0:", "if second.value < 0:"),
        ("* n_part / (n_part - 1)", ""),
        ("if n_part < LEAST_CLUSTERS or not total:", "if not total:"),
        ("if ratio is None or (ratio.low is None and not is_exact):", "if ratio is None:"),
        ('"higher" if low > 1 else', '"higher" if high > 1 else'),
    ),
    *in_file(
        "latency/saving.py",
        ("return design_effect(means, group.n_call, variance(getattr(group.times, time)))", "return 1.0"),
    ),
    *in_file(
        "comparing/simulations.py",
        ("1.0 if not times.waiting.total_ns else _effect(", "1.0 if True else _effect("),
        ("if effect is None:", "if False:"),
        ("NEW if ours is None else GONE", "GONE if ours is None else NEW"),
        ('{**theirs, "seed": 0}', "{**ours}"),
    ),
    *in_file(
        "comparing/benchmarks.py",
        ("if abs(told.value - ns) > 1e-3 * ns:", "if False:"),
        ('iqr = _number(case, "spread", where) * ns', 'iqr = _number(case, "spread", where)'),
        ('if content.get("schema") != SCHEMA or', "if False and"),
    ),
    *in_file(
        "comparing/asked.py",
        ("if len(kinds) > 1:", "if False:"),
        ("if all(key in content for key in keys):", "if False:"),
    ),
    *in_file(
        "comparing/compared.py",
        ("return set(self.counts) <= {SAME} and not self.differs", "return set(self.counts) <= {SAME}"),
        ("change = math.inf if row.ratio is None", "change = 0.0 if row.ratio is None"),
    ),
    *in_file(
        "usage/mixed.py",
        ("weights[key] = weights.get(key, 0.0) + one.weight", "weights[key] = one.weight"),
        ("0 <= weight < math.inf", "weight < math.inf"),
        ("if len(words) > 3:", "if False:"),
    ),
    *in_file(
        "usage/ruled.py",
        ("if first <= func_id <= last and action", "if first <= func_id < last and action"),
        ('state = "is clear" if verdict is Verdict.DENIED else "is set"', 'state = "is set"'),
        ("if not row.psci_min <= version <= row.psci_max:", "if False:"),
    ),
    *in_file(
        "usage/asked.py",
        ("one.weight / total)", "1 / len(asked))"),
        ("fleet = policy.fleet(host, features=bits)", "fleet = policy.fleet(host)"),
    ),
    *in_file("usage/decided.py", ("if self.x[0] >> 63 else", "if self.x[0] >> 64 else")),
    *in_file(
        "migrate/encoded.py",
        ("rows = np.zeros(n, np.int64)", "rows = np.zeros(1, np.int64)"),
        ("is_global=vm_global_mask(ids))", "is_global=vm_global_mask(ids) & False)"),
        ("if len(file.banks) > 1:", "if False:"),
    ),
    *in_file("templates/written.py", ("if there and not force:", "if False:")),
    *in_file(
        "schemas/convert.py",
        ('"additionalProperties": False,', '"additionalProperties": True,'),
        ("if get_origin(hint) is not NotRequired]", "if False]"),
    ),
]
