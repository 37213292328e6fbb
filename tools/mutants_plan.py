"""What tools/mutate.py breaks in plans and the questions that lead to them."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_PLAN = [
    *in_file(
        "plan/result.py",
        ("key=lambda excuse: -excuse.n_row", "key=lambda excuse: excuse.n_row"),
        ("tuple(dict.fromkeys(self.assumptions))", "self.assumptions"),
        ("None: UnknownError.exit_code}", "None: 0}"),
    ),
    *in_file(
        "plan/saving.py",
        ("    if low > high:", "    if low > high + 1:"),
        ("if made.seed != (seed if type(seed) is int else 0):", "if False:"),
        ("if not isinstance(one, list) or len(one) != length:", "if not isinstance(one, list):"),
    ),
    *in_file(
        "plan/compared.py",
        ("for name in chosen if any((t[name] != t[name][:1]).any() for t in (first, second))]", "for name in chosen]"),
        ("all(len(np.unique(t[name])) == t.n_row for t in (first, second))", "True"),
        ("is_same |= np.isnan(ones) & np.isnan(others)", "pass"),
        ("return other / one if", "return one / other if"),
    ),
    *in_file(
        "plan/common/items.py",
        ("MAYBE if len(told) > 1 else", "YES if len(told) > 1 else"),
        ("bits.bit_length() <= release.n_vcpu_feature", "bits.bit_length() < release.n_vcpu_feature"),
        ("word == release.psci_versions[-1]", "word in release.psci_versions"),
    ),
    *in_file(
        "plan/common/tally.py",
        ("np.where(self._seen[cpu] | ~_NEEDS_CPU, YES, MAYBE)", "np.where(self._seen[cpu] | ~_NEEDS_CPU, YES, YES)"),
        ('seen & (self.cpus != "")[:, None]', "seen"),
        ('serves = columns["state"] != "down"', 'serves = columns["state"] != "gone"'),
    ),
    *in_file(
        "plan/common/pool.py",
        ("self.tally.of_hosts[self.hosts].min(axis=0)", "self.tally.of_hosts[self.hosts].max(axis=0)"),
        ("found[row.name] = max(shared)", "found[row.name] = min(shared)"),
        ("if self.common[i] == YES]", "if self.common[i] >= MAYBE]"),
        ("return None if self.unknown or is_open", "return None if is_open"),
        ("is_open = len(self.kernels) > 1 and", "is_open ="),
    ),
    *in_file(
        "plan/filters.py",
        ("[ns - bare for ns in modelled]", "[ns for ns in modelled]"),
        ("figure.value / 2,", "figure.value,"),
        ('"simulator_ratio": Column.of(ratios, "measured"', '"simulator_ratio": Column.of(ratios, "modelled"'),
    ),
    *in_file(
        "plan/shapes_told.py",
        ("is_met=False if missed.any() else None if unsure.any() else True", "is_met=False if missed.any() else True"),
        ("parts[4] + round_trip", "parts[4]"),
        ("if n == cell.grid.limit:", "if False:"),
    ),
    *in_file(
        "plan/migrations.py",
        ("True if is_some.all(-1).any() else None if is_some.any() else False", "bool(is_some.any())"),
    ),
    *in_file(
        "plan/moving.py",
        ("self.memory.converges & (self.left_ms >= 0)", "self.memory.converges"),
        ("self.memory.total_s + self.registers_ms / 1e3", "self.memory.total_s"),
    ),
    *in_file(
        "plan/grid.py",
        ("np.isfinite(array) & (array > 0)", "np.isfinite(array)"),
        ("each.ndim == 2", "True"),
    ),
]
