"""What tools/mutate.py breaks of guests that are not ordinary: those with EL2, protected VMs, and their recordings."""

from __future__ import annotations

from tools.mutant import in_file

MUTANTS_GUESTS = [
    *in_file(
        "reference/guests.py",
        ("VECTOR_VEL2, VECTOR_VEL1 = 0x200, 0x400", "VECTOR_VEL2, VECTOR_VEL1 = 0x400, 0x200"),
        ("EC_HVC64, EC_SMC64 = 0x16, 0x17", "EC_HVC64, EC_SMC64 = 0x16, 0x16"),
        ("_IL = 1 << 25", "_IL = 0"),
        ("level in (Level.VEL1, Level.VEL1_TSC)", "level in (Level.VEL1,)"),
        ("is_smc and level is not Level.VEL1_TSC", "is_smc and level not in (Level.VEL1_TSC, Level.VEL2_TSC)"),
        ("is_smc and level is not Level.VEL1_TSC", "is_smc"),
        ("elr=0 if is_smc else INSTRUCTION", "elr=INSTRUCTION"),
        ("level is not Level.EL1 and not has_el2", "level is not Level.EL1 and has_el2"),
        ("if x1 or x2 or x3 else MEMORY_GRANULE", "if x1 or x2 else MEMORY_GRANULE"),
        ("    if x2 or x3:", "    if x2:"),
        ("    if x1 % MEMORY_GRANULE:", "    if False:"),
        ("0xC600_0004: _mem_share,", ""),
        ("0xC600_0002: _hyp_meminfo,", ""),
    ),
    *in_file(
        "reference/vm.py",
        ("if self.is_protected and not is_smc and", "if self.is_protected and"),
        ("if self.is_protected and not is_smc and", "if not is_smc and"),
        ("if self.has_el2 else None", "if level else None"),
        ("not self.release.has_filter or self.is_protected", "not self.release.has_filter"),
        ("not self.release.has_system_suspend or self.is_protected", "not self.release.has_system_suspend"),
        (
            "        if errno:\n            return errno\n        self.has_run_once = True",
            "        self.has_run_once = True",
        ),
        ("has_gic=self.has_gic)", "has_gic=True)"),
    ),
    *in_file(
        "reference/state.py",
        ("PSTATE_EL2 if self.has_el2 else", "PSTATE_EL1 if self.has_el2 else"),
        ("PSTATE_A32 if self.is_a32 else PSTATE_EL1", "PSTATE_EL1"),
        ("        if reason:\n", "        if False:\n"),
    ),
    *in_file("reference/psci.py", ("entry=x2, x0=x3", "entry=x3, x0=x2")),
    *in_file(
        "recordings/mode.py",
        ("return found[-1] if found and", "return found[0] if found and"),
        ("or found.group(2) not in KVM_ARM_MODES", ""),
    ),
    *in_file(
        "verification/pair.py",
        ('if mine != fleet:\n            msg = f"mp_state', 'if False:\n            msg = f"mp_state'),
        ("    if verdict != outcome.verdict:", "    if False:"),
        ('return "" if x == expected else', 'return "" if True else'),
    ),
    *in_file(
        "verification/nested.py",
        ("if errno == OK:\n            pairs", "if errno:\n            pairs"),
        ('"n": len(record["regs"]),', '"n": record["n"],'),
        ("if errno]", "if errno < 0]"),
        ("OK if pair.vm.has_el2 else ENOENT", "OK"),
    ),
    *in_file(
        "verification/nested_given.py",
        ("or any(name not in HCR for name, _, _ in bits)", ""),
        ("0 < len(inserts) == len(found)", "0 < len(inserts)"),
    ),
    *in_file(
        "verification/nested_calls.py",
        ("if (outcome.exit is not None) != (number in self.stopped):", "if False:"),
        ('recorded |= {"ends": len(self.one.ends), "lines"', 'recorded |= {"ends": int(runs), "lines"'),
        ("taken.esr | IMMEDIATE[conduit]", "taken.esr"),
        ('INSTRUCTION_AT[record["c"]] + outcome.exception.elr', 'record["to_vEL2"]["elr_off"]'),
        ("(0 if self.pair.vm.features & FEATURE_EL2_E2H0 else HCR_E2H)", "HCR_E2H"),
        ('[0], "hc_ret"', 'recorded["hc_args"], "hc_ret"'),
    ),
    *in_file(
        "verification/nested_power.py",
        ('return f"line {line}: {record}: {apart}" if apart else None', "return None"),
        ('told["to_vEL2"] = exception_told', 'told["to_vel2"] = exception_told'),
    ),
    *in_file(
        "verification/protected.py",
        ("if int(cap) not in CAPS_NOT_FOR_PROTECTED", ""),
        ("EINVAL if kind & ~VM_TYPE_PROTECTED & ~IPA_BITS else errno", "errno"),
        ("if self.n_reg is None else self.n_reg", ""),
        ('{"calls": self.n_call}', '{"calls": record["calls"]}'),
    ),
    *in_file("facts/guests.py", ("*(216, 227, 230,", "*(227, 230,")),
]
