"""An AArch64 core, as far as the recorder's guests need one: it runs their words, and knows no other.

Instructions as in the Arm ARM (DDI 0487), C6.2; that a word means what is written beside it is thereby tested.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MASK = (1 << 64) - 1
X0, PC, PSTATE = 0x6030000000100000, 0x6030000000100040, 0x6030000000100042
"""Registers as KVM_GET_ONE_REG names them: general register n is X0 + 2 * n."""
SYSTEM = 0x6030000000130000
"""A system register is SYSTEM + (op0 << 14 | op1 << 11 | CRn << 7 | CRm << 3 | op2), as in MRS and MSR."""
VBAR_EL1, SPSR_EL1, ELR_EL1, ESR_EL1, FAR_EL1 = (SYSTEM + one for one in (0xC600, 0xC200, 0xC201, 0xC290, 0xC300))
VBAR_EL2, SPSR_EL2, ELR_EL2, ESR_EL2, HCR_EL2 = (SYSTEM + one for one in (0xE600, 0xE200, 0xE201, 0xE290, 0xE088))
CURRENT_EL = SYSTEM + 0xC212
HCR_RW, HCR_E2H = 1 << 31, 1 << 34
ISB, ERET = 0xD5033FDF, 0xD69F03E0
IL = 1 << 25
"""ESR_ELx.IL: the instruction has 32 bits."""
EC_UNKNOWN, EC_ABORT = 0, 0x25


class Event(NamedTuple):
    """What the core cannot do by itself: a call ("hvc" or "smc", its immediate) or a store ("store", where, what)."""

    kind: str
    first: int
    second: int = 0


class GuestCore:
    """One core.

    Args:
        registers: its registers by id, which are read and written in place; those that are not there are 0.
        memory: the guest's memory.
        begin: where it begins.
        has_el2: it has EL2, and thus its registers.
        has_e2h0: HCR_EL2.E2H may be 0.
    """

    def __init__(
        self, registers: dict[int, int], memory: bytearray, *, begin: int, has_el2: bool = False, has_e2h0: bool = False
    ) -> None:
        self.registers, self.memory, self.begin = registers, memory, begin
        self.has_el2, self.has_e2h0 = has_el2, has_e2h0

    def get(self, number: int) -> int:
        """X0..X30; 31 is the zero register."""
        return 0 if number == 31 else self.registers.get(X0 + 2 * number, 0)

    def set(self, number: int, value: int) -> None:
        if number != 31:
            self.registers[X0 + 2 * number] = value & MASK

    @property
    def level(self) -> int:
        """The exception level."""
        return self.registers[PSTATE] >> 2 & 3

    def run(self) -> Event:
        """Goes on until there is something that the core cannot do; PC is still at that instruction."""
        for _ in range(100_000):
            event = self.step()
            if event is not None:
                return event
        msg = "the guest does not come to an end"
        raise AssertionError(msg)

    def take(self, level: int, syndrome: int, vector: int, back: int) -> None:
        """Takes an exception to EL1 or EL2."""
        esr, spsr, elr, vbar = (
            (ESR_EL1, SPSR_EL1, ELR_EL1, VBAR_EL1) if level == 1 else (ESR_EL2, SPSR_EL2, ELR_EL2, VBAR_EL2)
        )
        self.registers.update({esr: syndrome, spsr: self.registers[PSTATE], elr: back})
        self.registers[PC] = self.registers.get(vbar, 0) + vector
        self.registers[PSTATE] = 0x3C5 if level == 1 else 0x3C9

    def step(self) -> Event | None:
        """One instruction."""
        pc = self.registers[PC]
        assert pc % 4 == 0
        (word,) = struct.unpack_from("<I", self.memory, pc - self.begin)
        self.registers[PC] = pc + 4
        for part in (self._call_or_return, self._memory, self._branch, self._system, self._arithmetic):
            told = part(word, pc)
            if told is not None:
                return told if isinstance(told, Event) else None
        msg = f"word {word:#010x} at {pc:#x}, which no guest of the recorder has"
        raise AssertionError(msg)

    def _call_or_return(self, word: int, pc: int) -> Event | bool | None:
        if word & 0xFFE0001F in (0xD4000002, 0xD4000003):
            self.registers[PC] = pc
            return Event("smc" if word & 1 else "hvc", word >> 5 & 0xFFFF)
        if word == ERET:
            spsr, elr = (SPSR_EL2, ELR_EL2) if self.level == 2 else (SPSR_EL1, ELR_EL1)
            self.registers[PC], self.registers[PSTATE] = self.registers[elr], self.registers[spsr]
            return True
        return True if word == ISB else None

    def _memory(self, word: int, pc: int) -> Event | bool | None:
        """LDR, STR with an unsigned offset; LDP, STP with a signed one; of 64 bits."""
        first, base, second = word & 31, word >> 5 & 31, word >> 10 & 31
        if word >> 22 in (0x3E4, 0x3E5):
            registers, offset, is_load = [first], 8 * (word >> 10 & 0xFFF), bool(word >> 22 & 1)
        elif word >> 22 in (0x2A4, 0x2A5):
            registers, offset, is_load = [first, second], 8 * _signed(word >> 15, 7), bool(word >> 22 & 1)
        else:
            return None
        for number, register in enumerate(registers):
            at = self.get(base) + offset + 8 * number
            place = at - self.begin
            if is_load:
                assert 0 <= place <= len(self.memory) - 8, f"a load from {at:#x}"
                self.set(register, *struct.unpack_from("<Q", self.memory, place))
            elif 0 <= place <= len(self.memory) - 8:
                struct.pack_into("<Q", self.memory, place, self.get(register))
            else:
                assert len(registers) == 1
                self.registers[PC] = pc
                return Event("store", at, self.get(register))
        return True

    def _branch(self, word: int, pc: int) -> bool | None:
        """B, B.EQ, B.HS, CBZ and CBNZ."""
        flags, far = self.registers[PSTATE] >> 28, 4 * _signed(word >> 5, 19)
        if word >> 26 == 5:
            self.registers[PC] = pc + 4 * _signed(word, 26)
        elif word >> 24 == 0x54 and word & 0x1F in (0, 2):
            if flags & (2 if word & 2 else 4):
                self.registers[PC] = pc + far
        elif word >> 24 in (0xB4, 0xB5):
            if bool(self.get(word & 31)) == bool(word >> 24 & 1):
                self.registers[PC] = pc + far
        else:
            return None
        return True

    def _system(self, word: int, pc: int) -> bool | None:
        """MRS and MSR of registers that this level has."""
        if word >> 20 not in (0xD51, 0xD53):
            return None
        reg, is_read = SYSTEM + (word >> 5 & 0xFFFF), bool(word >> 21 & 1)
        if reg == CURRENT_EL and is_read:
            self.set(word & 31, self.level << 2)
            return True
        known = (VBAR_EL1, SPSR_EL1, ELR_EL1, ESR_EL1, FAR_EL1, VBAR_EL2, SPSR_EL2, ELR_EL2, ESR_EL2, HCR_EL2)
        assert reg in known, f"system register {reg:#x}"
        is_of_el2 = reg in known[5:]
        assert self.has_el2 or not is_of_el2
        assert self.level == (2 if is_of_el2 else 1), "a register of another level"
        if not is_read:
            self.registers[reg] = self.get(word & 31)
        forced = (HCR_RW | (0 if self.has_e2h0 else HCR_E2H)) if reg == HCR_EL2 else 0
        if is_read:
            self.set(word & 31, self.registers.get(reg, 0) | forced)
        return True

    def _arithmetic(self, word: int, pc: int) -> bool | None:
        """MOVZ, ADR, ADD, SUB and CMP with an immediate, ORR and BIC of registers, LSR by an immediate."""
        to, one = word & 31, self.get(word >> 5 & 31)
        immediate = word >> 10 & 0xFFF
        if word >> 21 == 0x694:
            self.set(to, word >> 5 & 0xFFFF)
        elif word & 0x9F000000 == 0x10000000:
            self.set(to, pc + 4 * _signed(word >> 5, 19) + (word >> 29 & 3))
        elif word >> 22 in (0x244, 0x344):
            self.set(to, one + immediate if word >> 22 == 0x244 else one - immediate)
        elif word >> 22 == 0x3C4:
            less = one - immediate & MASK
            overflows = (one ^ immediate) & (one ^ less) >> 0 & 1 << 63
            flags = (less >> 63) << 3 | (not less) << 2 | (one >= immediate) << 1 | bool(overflows)
            self.registers[PSTATE] = self.registers[PSTATE] & 0xFFFFFFF | flags << 28
            self.set(to, less)
        elif word & 0xFFE0FC00 == 0xAA000000:
            self.set(to, one | self.get(word >> 16 & 31))
        elif word & 0xFFE0FC00 == 0x8A200000:
            self.set(to, one & ~self.get(word >> 16 & 31))
        elif word & 0xFFC0FC00 == 0xD340FC00:
            self.set(to, one >> (word >> 16 & 63))
        else:
            return None
        return True


def _signed(value: int, n_bit: int) -> int:
    """The low bits of a number, as a signed one."""
    value &= (1 << n_bit) - 1
    return value - (value >> n_bit - 1 << n_bit)
