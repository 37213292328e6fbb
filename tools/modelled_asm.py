"""The loop of a kernel, cut out of the assembly text that LLVM prints, and how many bytes one turn of it stores.

x86-64 as AT&T has it, and arm64. Of a loop with branches the way of the fewest instructions is taken, of those that
store what the caller knows to be stored: rare ways, such as that of a call whose id is unknown, are longer.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field

_LABEL = re.compile(r"^([\w.$]+):")
_COMMENT = re.compile(r"\s(?:##?\s|//).*$")
_JUMP_X86 = re.compile(r"^j(?P<kind>\w+)\s+(?P<to>[\w.$]+)$")
_JUMP_ARM = re.compile(r"^(?P<kind>b(?:\.\w+)?|cbn?z|tbn?z)\s+(?:.*,\s*)?(?P<to>[\w.$]+)$")
_ENDS = re.compile(r"^(retq?|jmpq?|br|ud2|brk)\b")
_CALLS = re.compile(r"^(call|blr?\s)")


_STACK = frozenset(("sp", "rsp"))


class NoLoop(Exception):
    """Raised where assembly has no loop that can be cut out, or one that says less than it must."""


@dataclass(slots=True)
class Block:
    """Instructions that are run one after another, the blocks that may follow, and the bytes stored past the stack."""

    label: str
    lines: list[str] = field(default_factory=list)
    follows: list[str] = field(default_factory=list)
    stored: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a loop: its instructions, and the bytes that they store outside of the stack."""

    lines: tuple[str, ...]
    stored: int


def cut(text: str, unit: int = 1) -> Turn:
    """One turn of the loop that stores most, of all loops in some assembly; of equal ones the longest.

    A loop for the calls that are left over is short, and may store what its calls need twice.

    Args:
        unit: bytes that a turn stores, or a multiple of them: ways through the loop that store others are not taken.

    Raises:
        NoLoop: there is no loop that stores so much, or it calls a function.
    """
    found = blocks(text)
    turns = []
    for head, body in loops(found).items():
        way = shortest_turn({label: block for label, block in found.items() if label in body}, head, unit)
        if way:
            lines = tuple(line for name in way for line in found[name].lines)
            turns.append(Turn(lines, sum(found[name].stored for name in way)))
    best = max(turns, key=lambda turn: (turn.stored, len(turn.lines)), default=Turn((), 0))
    if not best.stored:
        msg = f"no loop stores {unit} bytes a turn, or a multiple of it"
        raise NoLoop(msg)
    for line in best.lines:
        if _CALLS.match(line):
            msg = f"the loop calls a function: {line}"
            raise NoLoop(msg)
    return best


def blocks(text: str) -> dict[str, Block]:
    """Basic blocks in the order of the text, by label; those without one get a number.

    >>> found = blocks("f:\\n\\tnop\\n.L1:\\n\\tdecl %eax\\n\\tjne .L1\\n\\tret")
    >>> [(block.label, block.follows) for block in found.values()]
    [('f', ['.L1']), ('.L1', ['.L1', '2']), ('2', [])]
    """
    found: dict[str, Block] = {}
    now: Block | None = None
    stack = set(_STACK)

    def begin(label: str) -> Block:
        found[label] = Block(label)
        if now is not None:
            now.follows.append(label)
        return found[label]

    for raw in text.splitlines():
        if label := _LABEL.match(raw):
            now = begin(label[1])
            continue
        line = " ".join(_COMMENT.sub("", raw).split())
        if not line or line.startswith((".", "#", "//")):
            continue
        if now is None or (now.lines and jump_of(now.lines[-1])):
            now = begin(str(len(found)))
        now.lines.append(line)
        now.stored += stored_by(line, stack)
        _follow_stack(line, stack)
        kind, to = jump_of(line) or ("", "")
        if to:
            now.follows.append(to)
        if kind == "always" or _ENDS.match(line):
            now = None
    return found


def jump_of(line: str) -> tuple[str, str] | None:
    """Whether an instruction jumps always or sometimes, and where to; None of any other."""
    jump = _JUMP_X86.match(line) or _JUMP_ARM.match(line)
    if jump is None:
        return None
    return "always" if jump["kind"] in ("mp", "b") else "sometimes", jump["to"]


def loops(found: dict[str, Block]) -> dict[str, set[str]]:
    """The blocks of each loop, by the block that it begins with, which every way into the loop passes."""
    first = next(iter(found), "")
    before: dict[str, set[str]] = {label: set() for label in found}
    for label, block in found.items():
        for to in block.follows:
            before.get(to, set()).add(label)
    bodies: dict[str, set[str]] = {}
    for head in found:
        outside = _reached(first, lambda label: found[label].follows, without=head) & found.keys()
        for last in before[head] - outside:
            bodies.setdefault(head, {head}).update(_reached(last, before.__getitem__, without=head))
    return bodies


def _reached(first: str, follows: Callable[[str], Iterable[str]], *, without: str) -> set[str]:
    """The blocks that can be reached from one, itself included, on ways that do not pass another."""
    seen: set[str] = set()
    waiting = [] if first == without else [first]
    while waiting:
        label = waiting.pop()
        if label not in seen:
            seen.add(label)
            waiting += [to for to in follows(label) if to != without]
    return seen


def shortest_turn(found: dict[str, Block], head: str, unit: int) -> list[str]:
    """The blocks from `head` back to it that store a multiple of `unit` bytes, by the way of the fewest instructions.

    None where no such way leads back. A way may pass a block once for each remainder.
    """
    size = {label: len(block.lines) for label, block in found.items()}
    queue = [(size[head], head, found[head].stored % unit, (head,))]
    seen: set[tuple[str, int]] = set()
    while queue:
        length, label, rest, way = heapq.heappop(queue)
        if (label, rest) in seen:
            continue
        seen.add((label, rest))
        for to in found[label].follows:
            if to == head and not rest:
                return list(way)
            if to in found and to not in way:
                heapq.heappush(queue, (length + size[to], to, (rest + found[to].stored) % unit, (*way, to)))
    return []


_TO_MEMORY = re.compile(
    r"^(?P<name>v?mov\w*|v?p?extr\w+|vextract\w+|vpmov\w+|vpcompress\w+)\s+"
    r"(?P<from>.*),\s*(?P<to>[^,\s]*\(.*\))$"
)
_OF_X86 = {"xmm": 16, "ymm": 32, "zmm": 64}
_SUFFIX = {"b": 1, "w": 2, "l": 4, "d": 4, "q": 8}
_OF_ARM = {"q": 16, "d": 8, "s": 4, "h": 2, "b": 1, "x": 8, "w": 4}
_ARM_STORE = re.compile(r"^(?P<name>st\w+)\s+(?P<what>.*?),?\s*\[(?P<base>[a-z]\w+)")


def stored_by(line: str, stack: Set[str] = _STACK) -> int:
    """How many bytes an instruction stores, not counting where a register of `stack` leads.

    >>> [stored_by(line) for line in ("vmovdqu %ymm1, 32(%rdi,%rax)", "movb %al, (%rdi)", "vmovups %zmm5, 96(%rsp)")]
    [32, 1, 0]
    >>> [stored_by(line) for line in ("stp q0, q1, [x8, #32]", "strb w9, [x1]", "str q3, [sp, #16]", "ldr q1, [x2]")]
    [32, 1, 0, 0]
    >>> [stored_by(line) for line in ("st1 { v0.16b, v1.16b }, [x1], #32", "st1 { v0.b }[3], [x1]")]
    [32, 1]
    """
    if arm := _ARM_STORE.match(line):
        return 0 if arm["base"] in stack else _stored_by_arm(arm["name"], arm["what"])
    found = _TO_MEMORY.match(line)
    if found is None or stack & set(re.findall(r"%(\w+)", found["to"])):
        return 0
    return _stored_by_x86(found["name"], found["from"])


_ADDRESS = re.compile(r"^lea\w? (?P<from>\S*), %(?P<to>\w+)$|^(?:add|mov) (?P<arm_to>x\d+), (?P<arm_from>\w+)\b")
_WRITES = re.compile(r"^(?!st|cmp|test)\w+ (?:.*, %(?P<x86>\w+)|(?P<arm>x\d+),.*)$")


def _follow_stack(line: str, stack: set[str]) -> None:
    """Notes which registers hold an address on the stack after an instruction: where LLVM keeps what registers cannot.

    >>> stack = {"sp"}
    >>> for line in ("add x9, sp, #32", "mov x8, x9", "ldr x9, [x1]"):
    ...     _follow_stack(line, stack)
    >>> sorted(stack)
    ['sp', 'x8']
    """
    if address := _ADDRESS.match(line):
        to = address["to"] or address["arm_to"]
        sources = set(re.findall(r"\w+", address["from"] or address["arm_from"]))
        (stack.add if sources & stack else stack.discard)(to)
    elif writes := _WRITES.match(line):
        stack -= {writes["x86"], writes["arm"]} - _STACK


def _stored_by_arm(name: str, what: str) -> int:
    if "{" in what:  # st1 of whole registers, or of one lane of each
        registers = re.findall(r"v\d+\.(\d*)([bhsd])", what)
        one_lane = "]" in what
        return sum(_OF_ARM[kind] * (1 if one_lane else int(n)) for n, kind in registers)
    if name.endswith(("b", "h")):
        return _OF_ARM[name[-1]]
    return sum(_OF_ARM.get(register[0], 0) for register in re.findall(r"[qdshbxw]\w+", what))


def _stored_by_x86(name: str, source: str) -> int:
    registers = re.findall(r"%([xyz]mm)", source)
    if name.startswith("vpmov") and registers:  # a narrowing store: vpmovdb
        return _OF_X86[registers[0]] * _SUFFIX[name[-1]] // _SUFFIX[name[-2]]
    if "extract" in name:
        return {"4": 16, "2": 16, "8": 32}.get(name[-1], 16)
    if "extr" in name or not registers or name in ("vmovd", "vmovq", "movd", "movq"):
        return _SUFFIX.get(name[-1], 0)
    if name in ("vmovlps", "vmovhps", "vmovlpd", "vmovhpd"):
        return 8
    return _OF_X86[registers[-1]]
