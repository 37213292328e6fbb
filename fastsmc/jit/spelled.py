"""Functions that are an instruction or two in kernels: what Numba puts in their place, compiled by nobody.

Numba's own way, an overload that returns a lambda, compiles the lambda for each: some 40 ms of a first start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from llvmlite import ir
from numba.core import types
from numba.core.typing import signature
from numba.core.typing.templates import infer_global, make_concrete_template
from numba.extending import lower_builtin

Generate = Callable[[ir.IRBuilder, Any], Any]
G = TypeVar("G", bound=Generate)


def spelled(function: Callable[..., Any], result: Any, *kinds: Any) -> Callable[[G], G]:
    """Registers what a function is in kernels; outside of them it is what its body says.

    Args:
        result, kinds: Numba's types of what it returns and takes. Numbers of other types are converted.

    Returns:
        A decorator of a function of a builder and the arguments' values, which returns the result's value.
    """

    def register(generate: G) -> G:
        template = make_concrete_template(function.__name__, function, [signature(result, *kinds)])
        infer_global(function, types.Function(template))

        @lower_builtin(function, *kinds)
        def _(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            made = generate(builder, arguments)
            return context.get_dummy_value() if made is None else made

        return generate

    return register
