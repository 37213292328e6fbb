"""What tools/mutate.py breaks in command lines: whose fault an error is, thresholds, and counts as they are typed."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_CLI = [
    *in_file(
        "results/thresholds.py",
        ("if value is not None and not math.isnan(value)]", "if value is not None]"),
        ('worst = min(meeting) if "<" in self.comparison else max(meeting)', "worst = max(meeting)"),
        ("if len(known) < len(values):", "if not known and values:"),
        ("if own and _key(self.metric) != _key(name):", "if False:"),
        ("if not own or _UNITS[own][0] != dimension:", "if not own:"),
        ("self.number * scale / _UNITS[own][1]", "self.number * _UNITS[own][1] / scale"),
        ('    if "per" in words:\n        return None\n', ""),
        ("and not isinstance(value, bool)):", "):"),
    ),
    *in_file(
        "checks.py",
        ("if step < 1 + is_factor or", "if step < is_factor or"),
        ("if high < low:\n            msg", "if high < low - 1:\n            msg"),
        ("// step >= _MOST_NUMBERS:", "// step > _MOST_NUMBERS:"),
        ("range(low, high + 1, step)", "range(low, high, step)"),
    ),
    *in_file(
        "cli/refused.py",
        ("and not isinstance(error, _OF_FILES) and not is_of_file", "and not isinstance(error, _OF_FILES)"),
        ('text = re.sub(rf"{_BEFORE}n_{word[:3]}\\w*", name, text)', "pass"),
        ('key=lambda one: one.param_type_name != "option")', 'key=lambda one: one.param_type_name == "option")'),
    ),
    *in_file("cli/policies.py", ("return name, int(word, 0)", "return name, int(word)")),
]
