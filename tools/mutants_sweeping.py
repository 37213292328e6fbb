"""What tools/mutate.py breaks in sweeps, and in what a scenario's overrides and setups are."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_SWEEPING = [
    *in_file(
        "sweeping/grid.py",
        ('int.from_bytes(mixed, "little") & MOST_SEED', "7"),
        (
            "        if not repeat:\n            return self.seed",
            "        if repeat < 0:\n            return self.seed",
        ),
        ("if i != j and other[: len(one)] == one:", "if i != j and other == one:"),
        ("for size in reversed(shape):", "for size in shape:"),
        ("self.points[:, None] * self.repeats + np.arange", "self.points[:, None] + np.arange"),
    ),
    *in_file(
        "sweeping/where.py",
        ("case ast.BoolOp(op=ast.And(), values=values):", "case ast.BoolOp(op=ast.Or(), values=values):"),
        ("        if name not in self.names:", "        if False:"),
        ("    if isinstance(value, int | float):\n        return value", "    return value"),
    ),
    *in_file(
        "sweeping/design.py",
        ("json.dumps(value, allow_nan=False) for name", "json.dumps(value, allow_nan=False, sort_keys=True) for name"),
        ("if n_refused[value] >= min(_TRIES, n_point[value]):", "if n_refused[value] >= 1:"),
        ("*(put(base.table, axis.path, value) for axis in axes for value in axis.values)]", "]"),
        ("if not base.subject.has_seed and (n_repeat > 1 or", "if not base.subject.has_seed and (n_repeat > 2 or"),
        ("        if axis.path[0] in base.subject.fixed:", "        if False:"),
        ("            if not values:\n", "            if False:\n"),
    ),
    *in_file(
        "sweeping/journal.py",
        ("                    _require_same(_parts(database), design, file)", "                    pass"),
        ("if application != _APPLICATION or found != _TABLES:", "if application != _APPLICATION:"),
        ('"INSERT OR REPLACE INTO cells VALUES (?, ?, ?)"', '"INSERT OR IGNORE INTO cells VALUES (?, ?, ?)"'),
        ("                held = _held(file)", "                held = socket.socket()"),
    ),
    *in_file(
        "sweeping/tasks.py",
        ("lost = [back.pop(0)]", "lost = []"),
        ("self._waiting.extendleft(reversed(back))", "pass"),
    ),
    *in_file(
        "sweeping/cube.py",
        ("max(rest[1], one.max_ns)", "one.max_ns"),
        ("        counts += one.counts", "        counts[:] = one.counts"),
        ('state[design.grid.cells] = STATES["left"]', 'state[:] = STATES["left"]'),
    ),
    *in_file("sweeping/held.py", ("text = text.replace(place, name)", "pass")),
    *in_file(
        "sweeping/questions.py",
        ("        key = json.dumps(given)", '        key = ""'),
        ("._replace(file=Path(given).name)", ""),
        (
            "return Record([float(known[one].of(plan)) for one in measures], {}, plan.answer)",
            "return Record([float(known[one].of(plan)) for one in known], {}, plan.answer)",
        ),
    ),
    *in_file(
        "sweeping/asking.py",
        ("limits.having(**changed) if changed else limits", "Limits().having(**changed) if changed else limits"),
        ('Limits() if preset == "none" else', "Limits() if preset else"),
        ('    if value == "optimal":', '    if value == "":'),
        ('"filter_cost": {"measure": False}', '"filter_cost": {"measure": True}'),
        ('        own["link"] = {"gbit_per_s": links}', "        pass"),
    ),
    *in_file(
        "sweeping/answers.py",
        ('if plan.table["leave"].sum() else math.nan', "if True else math.nan"),
        ('(plan.table["over_share"] * leave).sum() / leave.sum()', 'plan.table["over_share"].mean()'),
        ("[..., figure].min())", "[..., figure].max())"),
        ("int(np.nanargmin(total_s))", "int(np.nanargmax(total_s))"),
        ('back["vms"][back["verdict"] == "restores"].sum()', 'back["vms"].sum()'),
        ('int(plan.table["n_range"].argmax())', "-1"),
        ('(plan.table["stay"] > 0)', "False"),
    ),
    *in_file("sweeping/inventories.py", ("(is_count and not value)", "False")),
    *in_file("sweeping/text.py", ("if not math.isnan(value):", "if True:")),
    *in_file("sweeping/run.py", ("if cell not in done]", "]")),
    *in_file(
        "sweeping/cluster.py", ("    if sources != sources_digest():\n        return sources_digest(), []", "    ...")
    ),
    *in_file("sweeping/record.py", ("    if at != len(rest):", "    if at > len(rest):")),
    *in_file(
        "scenario/overrides.py",
        ("for n_part in range(len(parts), 0, -1):", "for n_part in range(1, len(parts) + 1):"),
        ("copy: Any = list(table) if isinstance(table, list) else dict(table or {})", "copy: Any = table"),
    ),
    *in_file("scenario/fleets.py", ("group.psci, group.bitmaps, group.filter)", "group.psci, group.bitmaps, ())")),
]
