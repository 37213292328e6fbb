"""The report of the kernel's selftest get-reg-list: registers that a kernel lists and the test does not know, or lacks.

Source: tools/testing/selftests/kvm/get-reg-list.c (run_test); before 6.6 aarch64/get-reg-list.c, and before 5.14
without the configuration's name. Prefixes of a runner ("# ") or a mail ("> ", "| ") are taken off.
"""

from __future__ import annotations

import re
from collections import Counter

from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.limits import MAX_REGISTERS
from fastsmc.migrate.read.lines import numbered, uncommented
from fastsmc.migrate.read.naming import NamedRegister, NamedRegisters
from fastsmc.migrate.read.reg_list import expression
from fastsmc.migrate.read.result import Format

NEW = "listed by this kernel, not known to the test (new)"
MISSING = "known to the test, not listed by this kernel (missing)"

_PREFIX = re.compile(r"^(?:[#>|]\s*)*")
_NAME = r"(?:([\w+, .-]{1,80}): +)?"
_COUNTED = re.compile(rf"{_NAME}There are +(\d{{1,6}}) (new|missing) registers\.", re.ASCII)
_NUMBER = re.compile(rf"{_NAME}Number (blessed registers|registers): +(\d{{1,6}})\b.*", re.ASCII)
_FAILED = re.compile(rf"{_NAME}Failed to (get|set|reject) *(?:\(ret[^)]{{0,40}}\))? +(\S.*)", re.ASCII)
_ENDED = re.compile(rf"{_NAME}(PASS|FAIL|SKIP)\b.*", re.ASCII)
_REGISTER = re.compile(r"(KVM_|ARM64_SYS_REG\(|0x60)", re.ASCII)
_MOST_TOLD = 20


def is_ours(text: str) -> bool:
    """Whether the text counts new or missing registers, or those of both lists, near its beginning."""
    head = text[:65536]
    return any(mark in head for mark in (" new registers.", " missing registers.", "Number blessed registers:"))


def read(text: str) -> NamedRegisters:
    """The registers that the report names, by configuration; the path is still "".

    Raises:
        RegisterFileError: a register that cannot be read, another count than announced, or none at all.
    """
    found: list[NamedRegister] = []
    told: dict[str, None] = {}
    announced: dict[tuple[str, str], int] = {}
    group = said = ""
    n_other = 0
    for number, raw in numbered(text):
        line = uncommented(_PREFIX.sub("", raw)).strip()
        if counted := _COUNTED.fullmatch(line):
            group, said = counted[1] or "", NEW if counted[3] == "new" else MISSING
            announced[group, said] = int(counted[2])
        elif counts := _NUMBER.fullmatch(line):
            whose = "the test's own" if counts[2].startswith("blessed") else "this kernel's"
            told[f"{counts[1] or 'the only configuration'}: {counts[3]} registers in {whose} list."] = None
        elif failed := _FAILED.fullmatch(line):
            what = f"the kernel refused to {failed[2]} it"
            found.append(_named(failed[3], what, failed[1] or group, number))
        elif _REGISTER.match(line):
            if not said:
                msg = f"line {number}: a register before the report says whether it is new or missing"
                raise RegisterFileError(msg)
            found.append(_named(line, said, group, number))
        elif ended := _ENDED.fullmatch(line):
            told[f"{ended[1] or 'the test'}: {ended[2]}."] = None
        else:
            n_other += bool(line) and not line.startswith(
                ("Consider adding", "list with the following", "The following")
            )
        if len(found) > MAX_REGISTERS or len(announced) + len(told) > MAX_REGISTERS:
            msg = f"line {number}: more than {MAX_REGISTERS} registers or configurations are named"
            raise RegisterFileError(msg)
    _check_counts(found, announced)
    sentences = [*told, *([f"{n_other} other lines are passed over."] if n_other else [])]
    what = "a report of get-reg-list (get-reg-list --list gives a whole list)"
    return NamedRegisters("", Format.REG_LIST_REPORT, what, tuple(found), tuple(sentences)[:_MOST_TOLD])


def _named(text: str, said: str, group: str, number: int) -> NamedRegister:
    spelled = text.strip().rstrip(",").strip()
    return NamedRegister(expression(spelled, f"line {number}"), spelled[:120], said, number, group)


def _check_counts(found: list[NamedRegister], announced: dict[tuple[str, str], int]) -> None:
    """Raises RegisterFileError if a part of the report names another number of registers than it announces."""
    counts = Counter((one.group, one.said) for one in found)
    for (group, said), count in announced.items():
        named = counts[group, said]
        if named != count:
            where = f"{group}: " if group else ""
            word = said.rpartition("(")[2][:-1]
            msg = f"{where}{count} registers are announced as {word}, and {named} are named: is the report whole?"
            raise RegisterFileError(msg)
