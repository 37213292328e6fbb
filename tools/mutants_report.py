"""What tools/mutate.py breaks in the report: what it counts, what it compares, and how figures come onto its pages."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_REPORT = [
    *in_file(
        "reporting/breaks.py",
        ('] < order[row["source"]]]', '] > order[row["source"]]]'),
    ),
    *in_file(
        "reporting/told_twice.py",
        ("            if found != row[name]:", "            if False:"),
        ('elif row["n_failing"] and row["outlook"] != "fails":', "elif False:"),
        ('only=steps["ioctls"] > 0', 'only=steps["ioctls"] > 10**9'),
        ("    if n_before != 1:", "    if n_before > 1:"),
    ),
    *in_file("reporting/noise.py", ("> MOST_LOAD * max(run.provenance.n_core, 1)", "> max(run.provenance.n_core, 1)")),
    *in_file("reporting/verdict.py", ("wire_ms <= LITTLE * budget else", "wire_ms <= budget * 1e9 else")),
    *in_file("reporting/forms.py", ("            return tag.end()", "            return first")),
    *in_file("reporting/page.py", ('html = html.replace(f"({kind})"', 'html = html.replace(f"[{kind}]"')),
    *in_file("scaling/upgrading.py", ("to_vmm or fleet.assumed", "fleet.assumed")),
]
