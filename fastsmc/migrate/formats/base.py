"""What every format can do, and how damage is reported."""

from __future__ import annotations

from typing import Protocol

from fastsmc.checks import U8Array
from fastsmc.errors import InputError
from fastsmc.migrate.formats.state import Expected, RegisterState


class PayloadFormat(Protocol):
    """One way to write the registers of a VM as bytes."""

    @property
    def name(self) -> str:
        """What users call the format."""
        ...

    def n_bytes(self, state: RegisterState) -> int:
        """What `encode` writes, in closed form.

        Raises:
            InputError: a register this format does not carry.
        """
        ...

    def encode(self, state: RegisterState, out: U8Array) -> None:
        """Fills uint8[n_bytes].

        Raises:
            InputError: a register or value this format does not carry.
        """
        ...

    def decode(self, data: U8Array, expected: Expected) -> RegisterState:
        """Reads it back, bit for bit.

        Raises:
            InputError: damaged, cut off, longer, or of other registers or vCPUs than expected; with the offset.
        """
        ...


def damage(at: int, message: str) -> InputError:
    """The error that says what is wrong at which byte."""
    return InputError(f"byte {at}: {message}")


def check_length(data: U8Array, size: int, what: str) -> None:
    """Raises InputError unless the data are `size` bytes."""
    if data.size != size:
        shorter = "cut off at" if data.size < size else "goes on beyond"
        raise damage(min(data.size, size), f"the data are {data.size} bytes and {shorter} here; {what} take {size}")
