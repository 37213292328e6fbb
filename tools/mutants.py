"""What tools/mutate.py breaks: one rule per mutant, each in reach of some test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One rule broken: in a file, the only match of a text replaced by another."""

    path: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path}: {self.old.strip()[:60]!r} -> {self.new.strip()[:60]!r}"

    @property
    def key(self) -> str:
        """What tells the mutant from all others."""
        return f"{self.path}: {self.old!r} -> {self.new!r}"

    def applied(self, text: str) -> str:
        """The text with the rule broken.

        Raises:
            ValueError: the rule is not there once, so the list below is out of date.
        """
        if text.count(self.old) != 1:
            msg = f"{self.path} holds {self.old!r} {text.count(self.old)} times: mend the list of mutants"
            raise ValueError(msg)
        return text.replace(self.old, self.new)


def _in(path: str, *pairs: tuple[str, str]) -> list[Mutant]:
    return [Mutant(f"fastsmc/{path}", old, new) for old, new in pairs]


MUTANTS = [
    *_in(
        "migrate/formats/qemu_section.py",
        ('"env.banked_spsr"] + 8 * (n + 1)', '"env.banked_spsr"] + 8 * n'),
        ('_MINUS_ONE = ("env.exclusive_addr", ', "_MINUS_ONE = ("),
        ("np.uint64(1) != 0)", "np.uint64(2) != 0)"),
        ("(16, high, _Z_BYTES - 16)]", "(0, high, _Z_BYTES - 16)]"),
    ),
    *_in("migrate/kernels/records.py", ("word > (_U64 - digit) // _10", "word > _U64 // _10")),
    *_in("migrate/kernels/records.py", ("if n_bit < 64 and bits >> np.uint64(n_bit):", "if n_bit < 0:")),
    *_in(
        "facts/smccc.py",
        (
            '_arch(0x8000_0001, "SMCCC_ARCH_FEATURES", Gate.DEFAULT)',
            '_arch(0x8000_0001, "SMCCC_ARCH_FEATURES", Gate.NONE)',
        ),
        ('"SMCCC_ARCH_SOC_ID", Gate.NONE, _NEVER', '"SMCCC_ARCH_SOC_ID", Gate.DEFAULT, ""'),
        ('"SMCCC_ARCH_WORKAROUND_3", Gate.FAST_PATH', '"SMCCC_ARCH_WORKAROUND_3", Gate.NONE'),
        ("_arch(0x8000_7FFF,", "_arch(0x8000_7FFE,"),
        ('trng.c", STD_BMAP, 0', 'trng.c", STD_HYP_BMAP, 0'),
        ('_vendor(0x8600_0001, "VENDOR_HYP_PTP", 1)', '_vendor(0x8600_0001, "VENDOR_HYP_PTP", 0)'),
        ('_vendor(0x8600_FF01, "VENDOR_HYP_CALL_UID", 0)', '_vendor(0x8600_FF01, "VENDOR_HYP_CALL_UID", 1)'),
        ("source, STD_HYP_BMAP, 0, needs", "source, STD_BMAP, 0, needs"),
        ('_psci(0x8400_0005, "PSCI_MIGRATE")', '_psci(0x8400_0005, "PSCI_MIGRATE", PSCI_0_2)'),
        ('"PSCI_FEATURES", PSCI_1_0', '"PSCI_FEATURES", PSCI_0_2'),
        ('0x8400_0012, "PSCI_SYSTEM_RESET2", PSCI_1_1', '0x8400_0012, "PSCI_SYSTEM_RESET2", PSCI_1_0'),
        ('"PSCI_SYSTEM_OFF2_64", PSCI_1_3', '"PSCI_SYSTEM_OFF2_64", PSCI_1_2'),
        (
            '0x8400_000E, "PSCI_SYSTEM_SUSPEND", PSCI_1_0, vm_cap="SYSTEM_SUSPEND"',
            '0x8400_000E, "PSCI_SYSTEM_SUSPEND", PSCI_1_0',
        ),
        ('"PSCI_SYSTEM_OFF", PSCI_0_2, exits=True', '"PSCI_SYSTEM_OFF", PSCI_0_2'),
        ("PSCI_ALLOWED_OWNER, PSCI_ALLOWED_LAST = 4, 0x1F", "PSCI_ALLOWED_OWNER, PSCI_ALLOWED_LAST = 4, 0x1E"),
        ("(0xC000_0000, 0xC000_FFFF))", "(0xC000_0000, 0xC000_FFFE))"),
        ("((0x8000_0000, 0x8000_FFFF)", "((0x8000_0001, 0x8000_FFFF)"),
    ),
    *_in(
        "facts/releases.py",
        ('Change((5, 12), "5.12 merge', 'Change((5, 10), "5.12 merge'),
        ('Change((5, 13), "5.13 merge', 'Change((6, 2), "5.13 merge'),
        ("backports={(5, 10): 105,", "backports={(5, 10): 305,"),
        (
            '"psci_versions": (PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1)}',
            '"psci_versions": (PSCI_0_1, PSCI_0_2, PSCI_1_0)}',
        ),
        ('"bitmap_limit": (1, 1, 3, 0)', '"bitmap_limit": (1, 1, 7, 0)'),
        ('"bitmap_reset": (1, 1, 3, 0)', '"bitmap_reset": (1, 1, 1, 0)'),
        ('"bitmap_limit": (1, 1, 3, 3)', '"bitmap_limit": (1, 1, 3, 1)'),
        ('"is_gated": True', '"is_gated": False'),
        ('"has_filter": True, "serves_smc": True', '"has_filter": True, "serves_smc": False'),
        ('"has_system_suspend": True', '"has_system_suspend": False'),
        ('sets={"filter_empty_at_0_errno": EINVAL}', 'sets={"filter_empty_at_0_errno": EEXIST}'),
        ('sets={"mpidr_masks_extra_bits": False}', 'sets={"mpidr_masks_extra_bits": True}'),
        ('sets={"a32_refuses_all_smc64": True}', 'sets={"a32_refuses_all_smc64": False}'),
        ('sets={"has_event_data": True}', 'sets={"has_event_data": False}'),
    ),
    *_in(
        "facts/registers.py",
        ("WORKAROUND_LIMIT = 0xF", "WORKAROUND_LIMIT = 0x1F"),
        ("WORKAROUND_2_ENABLED = 0x10", "WORKAROUND_2_ENABLED = 0x20"),
        (
            "WORKAROUND_2_AVAIL, WORKAROUND_2_NOT_REQUIRED = 2, 3",
            "WORKAROUND_2_AVAIL, WORKAROUND_2_NOT_REQUIRED = 3, 3",
        ),
        ("WORKAROUND_NOT_REQUIRED = 2", "WORKAROUND_NOT_REQUIRED = 1"),
        ("ARCH_MASK = 0xFF0F_FFFF_0000_0000", "ARCH_MASK = 0xFF00_0000_0000_0000"),
    ),
    *_in("facts/services.py", ("0x8000_0000,  # SMCCC_VERSION: how", "0x8000_0001,  # SMCCC_VERSION: how")),
    *_in(
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
    *_in(
        "reference/services.py",
        ("answered(0 if x1 in known else", "answered(0 if x1 & MASK32 in known else"),
        ("if n > 3 * word_bits", "if n >= 3 * word_bits"),
        ("free = (0, mask >> 2 * word_bits & word", "free = (0, mask >> word_bits & word"),
        ("vm.shown_bitmap(VENDOR_HYP_BMAP), 0, vm", "vm.shown_bitmap(VENDOR_HYP_BMAP), vm"),
    ),
    *_in(
        "reference/psci.py",
        ("PSCI_INVALID_PARAMS if is_0_1 else PSCI_ALREADY_ON", "PSCI_ALREADY_ON"),
        ("if target is None or x2 > 3", "if target is None or x2 > 4"),
        ("if reset_type != 0 and reset_type < 0x8000_0000", "if reset_type < 0x8000_0000"),
        ("if x1 & MASK32 > 1 or x2 != 0", "if x1 & MASK32 > 1"),
    ),
    *_in(
        "kernels.py",
        ("passed if is_psci(f) else refused", "refused if is_psci(f) else passed"),
        ("overrules = u8(0) - ((default >> _SEARCH_BIT) &", "overrules = u8(0) - (u8(1) &"),
        ("(action | action >> u8(1)))", "action)"),
        ("search >> (u64(4) if is_psci(func_id) else u64(0))", "search >> u64(0)"),
        ("_PSCI_BITS, _PSCI = u32(0x3F00_FFE0)", "_PSCI_BITS, _PSCI = u32(0x3F00_FFC0)"),
        ("else 2 if conduit & _IMMEDIATE else 1", "else 1 if conduit & _IMMEDIATE else 2"),
        ("kind < _VENDOR_RESET", "kind <= _VENDOR_RESET"),
        ("end = min(block_first[block + 1] - first, out.size)", "end = min(block_first[block + 1], out.size)"),
    ),
    *_in(
        "dispatcher/kernels/steps.py",
        ("const(0x3F00_FFE0, 16, I32)", "const(0x3F00_FFF0, 16, I32)"),
        ("return builder.and_(begins, wanted)", "return wanted"),
        ("builder.and_(address, ir.Constant(I64, 63))", "builder.and_(address, ir.Constant(I64, 31))"),
    ),
    *_in(
        "dispatcher/kernels/blocks.py",
        ("LONG_BLOCK = 256", "LONG_BLOCK = 63"),
        ("in range(at - start, block_end - start, STEP)", "in range(at - start, block_end - start - 1, STEP)"),
        ("range(STEP):  # whole stores", "range(STEP - 1):  # whole stores"),
        ("block_end = min(blocks.first[block + 1], end)", "block_end = min(blocks.first[block], end)"),
        ("has_bits = 0, 0, bit_row.size > 0", "has_bits = 0, 0, True"),
        ("while at < n_call and at < start + CHUNK:", "while at < n_call:"),
        ("        if end - at >= LONG_BLOCK:\n            break\n", ""),
        ("end = min(max(at, start + STEP), func_id.size)", "end = max(at, start + STEP)"),
        ("end = min(max(at, start + STEP), func_id.size)", "end = at"),
        ("        start = min(start, end - STEP)\n", ""),
        ("while block_first[its_block] > start:", "while block_first[its_block] > start + 1:"),
        ("while block_first[its_block] > start:", "while block_first[its_block] > end:"),
        ("its_block, start, end, groups", "block, start, end, groups"),
        ("place = u64(min(step, verdicts.size - STEP))", "place = u64(step)"),
    ),
    *_in(
        "dispatcher/kernels/wide.py",
        ("is_folded, asks, n = is_one and not coded,", "is_folded, asks, n = is_one,"),
        ("    if run_of_group[low] != run_of_group[high]:\n                return False\n", "    pass\n"),
        ("n_vcpu <= N_BIT_VCPU", "n_vcpu <= N_BIT_VCPU + 1"),
        ("        if step:\n            bits_step", "        if step > STEP:\n            bits_step"),
        ("else CHUNK, len(spans) > 1", "else CHUNK, len(spans) > 2"),
    ),
    *_in(
        "fleet/rows.py",
        (" | is_empty * np.uint8(IS_EMPTY)", ""),
        ("class_of_bucket | product[3] & np.uint8(KEY_TOP)", "class_of_bucket"),
        ("1 << 31, 31", "1 << 30, 31"),
    ),
    *_in(
        "dispatcher/decide.py",
        ("if looks_first and not is_one_chunk", "if not is_one_chunk and False"),
        ("is_one_chunk = n_call <= CHUNK", "is_one_chunk = n_call <= 4 * CHUNK"),
        ("return HAS_WIDE and n_call >= N_WIDE", "return HAS_WIDE and n_call >= N_WIDE - 1"),
        ("    if exist is False:\n        return False\n", ""),
        ("looks_first = looks_first and exist is None", "looks_first = False"),
        ("not (calls.conduit is not None or len(counts)", "not (len(counts)"),
        ("or len(counts) or rows.has_ranges)", "or rows.has_ranges)"),
        ("or len(counts) or rows.has_ranges)", "or len(counts))"),
        ("if is_plain and takes_wide(len(out)):", "if is_plain:"),
        ('first, side="right")) - 1', 'first, side="right"))'),
        ("calls.block_vcpu, block, first, its_vcpu)", "calls.block_vcpu, block, 0, its_vcpu)"),
    ),
    *_in(
        "dispatcher/given.py",
        ("int(calls.block_vcpu.max()) < n_vcpu", "int(calls.block_vcpu.max()) <= n_vcpu"),
        ("return calls.n_vcpu <= n_vcpu", "return calls.n_vcpu < n_vcpu"),
        ("return calls.n_vcpu <= n_vcpu", "return calls.n_vcpu <= n_vcpu + 1"),
        ("n_vcpu >> 8 * calls.vcpu.itemsize", "n_vcpu + 1 >> 8 * calls.vcpu.itemsize"),
        ("flags.c_contiguous and flags.writeable and flags", "flags.c_contiguous and flags"),
        ('("vcpu", "func_id", "conduit", "x1", "x2", "x3")', '("vcpu", "func_id")'),
    ),
    *_in(
        "dispatcher/batch.py",
        ("if looks_first or isinstance(calls, GroupedCalls):", "if looks_first:"),
        ("if looks_first or isinstance(calls, GroupedCalls):", "if isinstance(calls, GroupedCalls):"),
        ("all_exist &= decide(", "all_exist = decide("),
        ("for more, _ in done[1:]:", "for more, _ in done[2:]:"),
        ("all(exist for _, exist in done)", "done[0][1]"),
    ),
    *_in(
        "dispatcher/timing.py",
        ("times[:, 1] / times[:, 0], Disp", "times[:, 0] / times[:, 1], Disp"),
        ('method="higher"', 'method="lower"'),
        ("batch = batches[i % len(batches)]", "batch = batches[0]"),
    ),
    *_in(
        "calls/grouped.py",
        ("np.clip(self.block_first[low : high + 1], start, stop)", "self.block_first[low : high + 1]"),
        ("np.clip(self.block_first[low : high + 1], start, stop)", "self.block_first[low : high + 1].clip(start)"),
        ('start, side="right")) - 1, 0)', 'start, side="right")), 0)'),
        ('start, side="right")) - 1, 0)', 'start, side="left")) - 1, 0)'),
        ('stop, side="left")), low)', 'stop, side="right")), low)'),
        ('stop, side="left")), low)', 'stop, side="left")), 0)'),
        ('call, side="right") - 1]', 'call, side="left") - 1]'),
        ("np.flatnonzero(np.diff(calls.vcpu)) + 1", "np.flatnonzero(np.diff(calls.vcpu))"),
        ("first = first[: len(first) if len(calls) else 1]", "pass"),
        ("if first[0] != 0 or first[-1]", "if first[-1]"),
        ("first[-1] != len(self.func_id)", "first[-1] > len(self.func_id)"),
        (" or (first[1:] < first[:-1]).any():", ":"),
        ('for name in ("block_vcpu", "block_first"):', 'for name in ("block_vcpu",):'),
        ('for name in ("block_vcpu", "block_first"):', 'for name in ("block_first",):'),
        ("n_call=total, last=max(Conduit)", "n_call=total, last=255"),
        ("if total != len(ids):", "if total > len(ids):"),
    ),
    *_in("checks.py", ("not first <= number <= last", "not 0 <= number <= last")),
    *_in(
        "calls/columns.py",
        ("owner = np.array(values)", "owner = values"),
        ("    return owner[:]", "    return owner"),
        ("    owner.flags.writeable = False\n", ""),
        (" and array.dtype == dtype and", " and"),
        (" and array.shape == shape", ""),
        ("not array.flags.c_contiguous or ", ""),
        (" or not array.flags.aligned:", ":"),
        ("if array.dtype != dtype or limit < np.iinfo(dtype).max:", "if array.dtype != dtype:"),
        ("(array < 0) | (array > limit)", "array > limit"),
        ("array.ndim != 1", "array.ndim > 2"),
        ("isinstance(found, bool) or ", ""),
    ),
    *_in(
        "calls/workload.py",
        ("int(vcpu.max()) + 1 if", "int(vcpu.max()) if"),
        ("vcpu = frozen(self.vcpu)", "vcpu = self.vcpu"),
        ("part_of(self.conduit, part), x1", "None, x1"),
        ("in VCPU_DTYPES and vcpu.ndim == 1", "in VCPU_DTYPES"),
        ("not self.vcpu.flags.c_contiguous or ", ""),
        (" or not self.vcpu.flags.aligned:", ":"),
        ("cumsum(share / share.max())", "cumsum(share)"),
    ),
    *_in(
        "fleet/bit_rows.py",
        ("if len(rows) > BIT_ROWS or", "if len(rows) > BIT_ROWS + 1 or"),
        ("asked[:, left_out] = 0", "pass"),
        ("2 << bit if n_bit == 2 else 0", "2 << bit"),
    ),
    *_in(
        "bitmaps.py",
        ("filter_action == FilterAction.DENY, Verdict.DENIED", "filter_action == FilterAction.DENY, handled"),
        ("(psci >= _PSCI_MIN) & (psci <= _PSCI_MAX)", "(psci >= _PSCI_MIN)"),
        ("_NEEDS_CAP | policies", "_NEEDS_CAP & policies"),
    ),
    *_in(
        "fleet/firmware.py",
        (
            "[value & ~limit != 0, has_run & (value != current)], [EINVAL, EBUSY]",
            "[has_run & (value != current), value & ~limit != 0], [EBUSY, EINVAL]",
        ),
        ("(value != level) | (value > available)", "(value != level) | (value >= available)"),
    ),
    *_in(
        "fleet/filters.py",
        ("index >= 0 and taken[index][1] >= new.base", "index >= 0 and taken[index][1] > new.base"),
        ("if start[-1] == first:", "if start[-1] == first + 1:"),
    ),
    *_in(
        "dispatcher/kernels/power.py",
        (
            "if power.mp_state[power.first + number] == _STOPPED:",
            "if power.mp_state[power.first + number] != _STOPPED:",
        ),
        ("            if base != _SUSPEND:", "            if True:"),
    ),
    *_in(
        "migrate/compat/vmms.py",
        ("len(incoming) > len(own):", "len(incoming) >= len(own):"),
        ("    if incoming - own:", "    if own - incoming:"),
        ("frozenset({CLASS_SVE, CLASS_FW_FEAT_BMAP})", "frozenset({CLASS_SVE})"),
        ("by_hand=frozenset({CLASS_CORE, CLASS_SVE})", "by_hand=frozenset({CLASS_SVE})"),
    ),
    *_in(
        "migrate/compat/lists.py",
        ("return release.series >= self.by", "return release.series > self.by"),
        ("not change.is_listed and not bits & change.feature:", "not change.is_listed:"),
    ),
    *_in(
        "migrate/compat/judge.py",
        ("if value and own & ((1 << longest) - 1) == value:", "if value and own == value << 1:"),
        ("if kind not in FIRMWARE_CLASSES and takes_any_value(reg):", "if kind not in FIRMWARE_CLASSES:"),
    ),
    *_in(
        "migrate/compat/visible.py",
        ("written = carried(source, vmm) - lost", "written = frozenset(source.values) - lost"),
        ("_in_order(after[0] - before[0]), _in_order(before[0] - after[0])", "_in_order(after[0] & before[0]), ()"),
    ),
    *_in(
        "migrate/switchover/steps.py",
        ("alone + longest(", "alone + total("),
        ("if not step.is_budgeted)", "if step.is_budgeted)"),
        ("gic * self.n_vcpu * int", "gic * int"),
    ),
    *_in(
        "migrate/switchover/modelled.py",
        (".save_ioctls) - again", ".save_ioctls)"),
        ("state_bytes = stream.total_bytes - stream.description_bytes", "state_bytes = stream.total_bytes"),
    ),
    *_in(
        "migrate/switchover/measured.py",
        ("max(saved.get(key, 0), loaded.get(key, 0))", "saved.get(key, 0) + loaded.get(key, 0)"),
        ("if n_cpu not in (0, waterfall.n_vcpu):", "if False:"),
        ("if None not in gaps and", "if gaps[0] is not None and"),
        ("min(query.downtime_ms, wire_ms)", "wire_ms"),
    ),
    *_in("migrate/switchover/trace_log.py", ("if at < latest:", "if at > latest:"), ("        log.save.clear()\n", "")),
    *_in("migrate/growth/global_map.py", ("repeats = n_global * (n_vcpu - 1)", "repeats = n_global * n_vcpu")),
    *_in(
        "migrate/growth/by_vmm.py",
        ("base.n_reg + new.n_new > most:", "base.n_reg + new.n_new >= most:"),
    ),
    *_in("migrate/growth/result.py", ("self.after > self.most", "self.after >= self.most")),
    *_in("migrate/growth/carriers.py", ("Span.exactly(_ID_BYTES + n_byte)", "Span.exactly(_ID_BYTES + 8)")),
    *_in(
        "migrate/qemu/layout.py",
        ('length = {"array_len": n} if n > 1 else {}', 'length = {"array_len": n}'),
        ("SECTION_FOOT = 1 + 4", "SECTION_FOOT = 4"),
        ("low, bound, width = bound, bound * 10, width + 1", "low, bound, width = bound, bound * 10, width"),
    ),
    *_in(
        "migrate/qemu/size.py",
        (
            "size += (n_vcpu - 1) * (element + _SEPARATOR) + more_digits",
            "size += (n_vcpu - 1) * (element + _SEPARATOR)",
        ),
        ('if layout["name"] != "arm_gicv3" or n_vcpu == 1:', 'if layout["name"] != "arm_gicv3":'),
        ("(n_section - 1) * _SEPARATOR", "n_section * _SEPARATOR"),
        ('if n_vcpu > 1 and not data["last_has_index"]:', 'if not data["last_has_index"]:'),
    ),
    *_in("migrate/qemu/machine.py", ("return self.cpu_max or self.za", "return self.cpu_max")),
    *_in(
        "usage/least.py",
        ("if what != Verdict.DENIED]", "if what == Verdict.HANDLED]"),
        ("begin = max(begin, last + 1)", "begin = max(begin, last)"),
    ),
    *_in("traces/counted.py", ("if not (n >= 0 and new < _MOST):", "if not new < _MOST:")),
    *_in("traces/text.py", ("self.n_skipped_call += is_call_like(line)", "self.n_skipped_call += 1")),
]
