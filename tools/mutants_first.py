"""What tools/mutate.py breaks of a process that starts: its byte order, when kernels pay, and NumPy until then."""

from __future__ import annotations

from tools.mutant import Mutant, in_file

MUTANTS_FIRST: list[Mutant] = [
    *in_file("jit/byte_order.py", ('if byteorder != "little":', 'if byteorder == "middle":')),
    *in_file(
        "jit/first.py",
        ("if done > LOADING and itemsize not in self._absent:", "if itemsize not in self._absent:"),
        ("        self.ready.add(itemsize)\n", ""),
        ("        first_work.done = done\n", ""),
        ("first_work.done + n_call + BATCH", "first_work.done + n_call"),
    ),
    *in_file(
        "dispatcher/columnwise.py",
        ("if looks_first and columns[1].size and", "if columns[1].size and False and"),
        ("columns[1][part].copy()", "columns[1][part]"),
        ("at += plane_bytes * _PLANE[conduit]", "at += plane_bytes * conduit"),
        ("for _ in range(depth - 1):", "for _ in range(depth):"),
        ("np.flatnonzero(verdict >= SEARCH)", "np.flatnonzero(verdict > SEARCH + 1)"),
        ("np.zeros(n, np.uint32)", "np.ones(n, np.uint32)"),
        ("            return first + n\n", "            return n\n"),
    ),
]
