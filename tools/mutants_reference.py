"""What tools/mutate.py breaks in the reference: its ioctls, its answers, and what a destination does with registers."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_REFERENCE = [
    *in_file(
        "reference/vm.py",
        ("            return EINVAL  # before the run-once check", "            return EBUSY"),
        ("        self.has_run_once = True\n", ""),
        ("        if last < base or action >", "        if last <= base or action >"),
        ("if any(first <= last and base <= end", "if any(first < last and base <= end"),
        ("            if first <= func_id <= last:", "            if first <= func_id < last:"),
        ("        if is_smc and (conduit == Conduit.SMC_IMM or not", "        if is_smc and (not"),
        ("func_id = x0 & MASK32  # bits", "func_id = x0  # bits"),
        ("(value == PSCI_0_1) == has_psci_0_2", "(value == PSCI_0_1) != has_psci_0_2"),
    ),
    *in_file(
        "reference/services.py",
        ("answered(0 if x1 in known else", "answered(0 if x1 & MASK32 in known else"),
        ("if n > 3 * word_bits", "if n >= 3 * word_bits"),
        ("free = (0, mask >> 2 * word_bits & word", "free = (0, mask >> word_bits & word"),
        ("vm.shown_bitmap(VENDOR_HYP_BMAP), 0, vm", "vm.shown_bitmap(VENDOR_HYP_BMAP), vm"),
    ),
    *in_file(
        "reference/psci.py",
        ("PSCI_INVALID_PARAMS if is_0_1 else PSCI_ALREADY_ON", "PSCI_ALREADY_ON"),
        ("if target is None or x2 > 3", "if target is None or x2 > 4"),
        ("if reset_type != 0 and reset_type < 0x8000_0000", "if reset_type < 0x8000_0000"),
        ("if x1 & MASK32 > 1 or x2 != 0", "if x1 & MASK32 > 1"),
    ),
    *in_file(
        "reference/id_registers.py",
        ("            return wanted > own", "            return wanted < own"),
        ("return wanted == field.safe", "return wanted >= field.safe"),
        ("return value - 16 if value & 8 else value", "return value"),
        ("    if midr != source:", "    if midr < source:"),
        ("{field.name} if field.is_named else {field.name, field.register}", "{field.name, field.register}"),
        ("bool(wanted) != bool(own)", "bool(wanted) == bool(own)"),
        ("for wanted in (EINVAL, None) for fate", "for wanted in (None, EINVAL) for fate"),
        ("& 0xF != _EL0_HAS_AARCH64_ONLY:", "& 0xF < _EL0_HAS_AARCH64_ONLY:"),
    ),
    *in_file("reference/core_registers.py", ("_FIRST_VECTOR <= low < _END", "_FIRST_VECTOR < low < _END")),
    *in_file("reference/core_registers.py", ("fresh[_PFR0] & 0xF < 2", "fresh[_PFR0] & 0xF < 1")),
    *in_file("reference/restore.py", ("features) & FEATURE_SVE:", "features) & ~FEATURE_SVE:")),
]
