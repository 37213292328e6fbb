"""Arrays as Python holds them, read where they lie, and kernels called by address: a call costs what it decides.

Numba makes something of every array before a kernel sees it: memory is allocated and a reference counted, 90 ns for
each. A held array is its Python object's address and nothing else. Where NumPy keeps what is in its C header
(PyArrayObject_fields in ndarraytypes.h), by which every extension reads arrays; `is_readable` looks whether it is so.

A kernel is called by the address of its machine code, with arguments that lie in a block of words. So whoever calls it
is compiled without it, and the kernel is compiled once.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.types import boolean, int64, uint8, uint32, uint64
from numba.extending import NativeValue, intrinsic, models, register_model, unbox
from numba.np.arrayobj import populate_array

from fastsmc.jit.simd import I32, I64, Value
from fastsmc.jit.types import u64

TYPE_AT, DATA_AT, RANK_AT, LENGTHS_AT, DTYPE_AT, FLAGS_AT = (u64(at) for at in (8, 16, 24, 32, 56, 64))
"""Byte offsets in a NumPy array's object; the flags are those of `array.flags.num`."""
CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
"""NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_ALIGNED and NPY_ARRAY_WRITEABLE."""
GIVEN = ("func_id", "vcpu", "conduit", "out")
"""Arguments that each call brings, by name; in a list of kinds the number of each."""
_SCALARS = {"i": int64, "u": uint64, "w": uint32, "b": boolean}
"""A kernel's scalar arguments by kind."""
_ARRAYS = {"a": types.Array(uint8, 1, "C"), "A": types.Array(uint8, 2, "C")}
"""Its arrays, and its arrays of rows, by kind."""


class HeldType(types.Type):
    """A Python object as its address; the caller holds it as long as the call takes."""

    def __init__(self) -> None:
        super().__init__(name="Held")


held = HeldType()


@register_model(HeldType)
class _HeldModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, I64)


@unbox(HeldType)
def _(_kind: Any, value: Any, context: Any) -> Any:
    return NativeValue(context.builder.ptrtoint(value, I64))


@cache
def is_readable() -> bool:
    """Whether arrays lie in memory as they are read here, and Python runs one thread at a time."""
    if numba.config.DISABLE_JIT or sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    memory = np.zeros(3, np.uint16)
    array = memory[1:]
    word = {
        at: ctypes.c_uint64.from_address(id(array) + int(at)).value for at in (TYPE_AT, DATA_AT, LENGTHS_AT, DTYPE_AT)
    }
    half = {at: ctypes.c_uint32.from_address(id(array) + int(at)).value for at in (RANK_AT, FLAGS_AT)}
    return (
        (word[TYPE_AT], word[DTYPE_AT]) == (id(np.ndarray), id(np.dtype(np.uint16)))
        and word[DATA_AT] == memory.ctypes.data + 2
        and (half[RANK_AT], half[FLAGS_AT]) == (1, array.flags.num)
        and ctypes.c_uint64.from_address(word[LENGTHS_AT]).value == 2
    )


# -- from Python: a kernel and its arguments as words ----------------------------------------------------------------


def kinds_of(arguments: Sequence[Any]) -> str:
    """What each argument of a kernel is: a name of GIVEN by its number, arrays and scalars by a letter."""
    return "".join(map(_kind_of, arguments))


def _kind_of(value: Any) -> str:
    if isinstance(value, str):
        return str(GIVEN.index(value))
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise TypeError(value.strides)
        return "_aA"[value.ndim]
    return {bool: "b", int: "i", np.uint32: "w", np.uint64: "u"}[type(value)]


def words_of(arguments: Sequence[Any]) -> list[int]:
    """The arguments that no call brings, as words: address, item's size and shape of an array, value of a scalar.

    Whoever uses them keeps the arrays.
    """
    words: list[int] = []
    for value in arguments:
        if isinstance(value, np.ndarray):
            words += [value.ctypes.data, value.itemsize, *value.shape]
        elif not isinstance(value, str):
            words.append(int(value))
    return words


def n_word(arguments: Sequence[Any]) -> int:
    """How many words they are."""
    return sum(2 + value.ndim if isinstance(value, np.ndarray) else not isinstance(value, str) for value in arguments)


def _type_of(value: Any) -> Any:
    """What Numba's type of an argument depends on, found out in a tenth of the time."""
    return (value.dtype, value.ndim, value.flags.writeable) if isinstance(value, np.ndarray) else type(value)


_addresses: dict[tuple[Any, ...], int] = {}
"""Of kernels, by the types of their arguments."""


def address_of(kernel: Any, arguments: Sequence[Any], given: Mapping[str, Any]) -> int:
    """The address of a kernel's machine code for such arguments, compiled if it was not. The kernel keeps it.

    Args:
        given: for each name of GIVEN an array of the type that calls bring.
    """
    values = [given[value] if isinstance(value, str) else value for value in arguments]
    key = (kernel, *(_type_of(value) for value in values))
    if key not in _addresses:
        kinds = tuple(map(numba.typeof, values))
        kernel.compile(kinds)
        compiled = kernel.overloads[kinds]
        if compiled.signature.return_type != int64:
            raise TypeError(compiled.signature)
        _addresses[key] = int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))
    return _addresses[key]


def entry_point(kernel: Any, n_argument: int) -> Callable[..., int]:
    """A kernel of held objects as a function of Python's: Numba need not find out what it is given."""
    entry: Callable[..., int] = kernel.compile((held,) * n_argument)
    return entry


# -- in kernels ------------------------------------------------------------------------------------------------------


@intrinsic
def object_at(_typing: Any, value: Any) -> Any:
    """The address of a held object."""
    return uint64(value), lambda _context, _builder, _signature, arguments: arguments[0]


@intrinsic
def word_at(_typing: Any, address: Any, offset: Any) -> Any:
    """The word of 64 bits at an address and a byte offset."""
    return uint64(address, offset), _loader(I64)


@intrinsic
def half_at(_typing: Any, address: Any, offset: Any) -> Any:
    """The 32 bits at an address and a byte offset, as a word."""
    return uint64(address, offset), _loader(I32)


def _loader(kind: ir.IntType) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        value = builder.load(builder.inttoptr(builder.add(*arguments), kind.as_pointer()))
        return value if kind == I64 else builder.zext(value, I64)

    return generate


@intrinsic
def array_at(_typing: Any, address: Any, length: Any, dtype: Any) -> Any:
    """The array of so many numbers of a dtype at an address."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        kind = signature.return_type
        size = I64(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        return _array(context, builder, kind, arguments[0], [arguments[1]], size)

    return types.Array(dtype.dtype, 1, "C")(address, length, dtype), generate


@intrinsic
def items_at(_typing: Any, address: Any, length: Any, size: Any) -> Any:
    """The array of so many items of a size in bytes, for a kernel that is `called`: to others it is one of bytes."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return _array(context, builder, signature.return_type, arguments[0], [arguments[1]], arguments[2])

    return _ARRAYS["a"](address, length, size), generate


@intrinsic(prefer_literal=True)
def called(_typing: Any, kinds: Any, block: Any, func_id: Any, vcpu: Any, conduit: Any, out: Any) -> Any:
    """What a kernel returns, an int64: its address lies at `block`, behind it the words of its arguments (`words_of`).

    An array is passed on as an address and numbers, whatever its dtype: as one of bytes here, as its own in the kernel.

    Args:
        kinds: `kinds_of` its arguments, a constant. func_id, vcpu, conduit, out: as `items_at` makes them.
    """
    listed = kinds.literal_value

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        at, its_kinds, values = [8], [], []

        def next_word() -> Value:
            word = builder.load(builder.inttoptr(builder.add(arguments[1], I64(at[0])), I64.as_pointer()))
            at[0] += 8
            return word

        for kind in listed:
            if kind.isdigit():
                its_kinds.append(signature.args[2 + int(kind)])
                values.append(arguments[2 + int(kind)])
            elif kind in _ARRAYS:
                of_bytes = _ARRAYS[kind]
                address, itemsize = next_word(), next_word()
                shape = [next_word() for _ in range(of_bytes.ndim)]
                its_kinds.append(of_bytes)
                values.append(_array(context, builder, of_bytes, address, shape, itemsize))
            else:
                scalar, word = _SCALARS[kind], next_word()
                its_kinds.append(scalar)
                values.append(builder.trunc(word, context.get_value_type(scalar)) if kind in "wb" else word)
        function = context.call_conv.get_function_type(int64, its_kinds)
        code = builder.inttoptr(builder.load(builder.inttoptr(arguments[1], I64.as_pointer())), function.as_pointer())
        _, result = context.call_conv.call_function(builder, code, int64, its_kinds, values)
        return result

    return int64(kinds, block, func_id, vcpu, conduit, out), generate


def _array(context: Any, builder: ir.IRBuilder, kind: Any, address: Value, shape: list[Value], size: Value) -> Value:
    """Numba's array of items in rows that lie one after another."""
    array = context.make_array(kind)(context, builder)
    strides = [size]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    data = builder.inttoptr(address, array.data.type)
    populate_array(array, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
    return array._getvalue()
