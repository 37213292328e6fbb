"""What tools/mutate.py breaks in tables: what they hold, how they are drawn, and what becomes of them elsewhere."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_RESULTS = [
    *in_file(
        "results/tables.py",
        ("return [None if value != value else value", "return [value if value != value else value"),
        ("np.isinf(array).any() if unknown else not", "False if unknown else not"),
        ('if unknown and array.dtype.kind not in "iuf":', "if False:"),
        ("if not self.meaning and 0 in lengths.values():", "if False:"),
        ("popitem = clear = _refuse", "popitem = _refuse"),
        ("np.isnan(values) if value is None and", "np.isnan(values) if False and"),
        ("(one.kind, one.meaning, one.unknown, one.values", "(two.kind, one.meaning, one.unknown, one.values"),
        ("equal_nan=one.unknown", "equal_nan=False"),
        ("return len(next(iter(self.values())))", "return len(self)"),
    ),
    *in_file(
        "results/layout.py",
        ("max(columns, NARROWEST)", "columns"),
        ("_width.reset(token)", "pass"),
        ("if sum(least) - _GAP <= limit:", "if sum(least) <= limit + 40:"),
        ("if taken + least[at] - _GAP > limit and", "if taken > limit and"),
        ("space + text if head.is_number else text + space", "text + space"),
        ("k = at - (height - len(part)) * is_head", "k = at"),
        ("cell_len(text) == len(text) else columns // 2", "cell_len(text) == len(text) else columns"),
        ('("*" if mark else " " * any(marks))', '("*" if mark else "")'),
        ("if len(rows) < table.n_row:", "if False:"),
        ("head._replace(title=cell(head.title))", "head"),
    ),
    *in_file(
        "results/headings.py",
        ('return escaped(str(value)).replace("\\n", "\\\\n")', 'return str(value).replace("\\n", "\\\\n")'),
        ('return f"-{text}" if value < 0', 'return f"{text}" if value < 0'),
        ("elif value and not float(text):", "elif False:"),
    ),
    *in_file(
        "results/markup.py",
        ("{html.escape(cell(value))}</td>", "{cell(value)}</td>"),
        (r"[\\`*\[\]|~]|", "[`]|"),
        ("title = html.escape(escaped(", "title = (escaped("),
    ),
    *in_file(
        "results/export.py",
        ("from_pandas=c.unknown", "from_pandas=False"),
        ("order = np.argsort(first)", "order = np.arange(len(first))"),
        ("if len(np.unique(cells)) < table.n_row:", "if False:"),
        ("cube = np.full(shape, np.nan)", "cube = np.zeros(shape)"),
        ("metadata=_told(table.columns[name])", "metadata={}"),
        ("if column.unknown:\n        told", "if False:\n        told"),
        ("if column.unknown\n", "if False\n"),
    ),
]
