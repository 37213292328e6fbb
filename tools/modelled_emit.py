"""Assembly of the wide kernels' loops for any CPU, made on this one.

    python -m tools.modelled_emit neon aarch64-unknown-linux-gnu neoverse-n1 neon codes < arguments.pickle

A process of its own: it tells Numba that the machine is another one before anything of ours is imported, so the kernels
choose the operations that they would choose there, and Numba's own passes run for that CPU. Nothing that is compiled
here is loaded, let alone called. Standard output is a JSON object: assembly by the name of the loop.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import sys
from typing import Any

import llvmlite.binding as llvm


class Features(dict[str, bool]):
    """A CPU's features as llvmlite has them."""

    def flatten(self, sort: bool = True) -> str:
        return ",".join(
            f"{'+' if has else '-'}{name}" for name, has in (sorted(self.items()) if sort else self.items())
        )


def pretend(triple: str, cpu: str, features: Features) -> None:
    """From now on Numba compiles for another machine, and loads nothing. Before anything of ours is imported."""
    os.environ["FASTSMC_JIT_CACHE"] = "0"
    os.environ["NUMBA_CPU_NAME"], os.environ["NUMBA_CPU_FEATURES"] = cpu, features.flatten()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    platform.machine = lambda: triple.partition("-")[0]
    for name, value in (("host_cpu_name", cpu), ("host_cpu_features", features), ("process_triple", triple)):
        setattr(llvm, f"get_{name}", lambda value=value: value)
    from numba.core import codegen

    def begin(self: Any, _module: Any) -> None:
        """As CPUCodegen._init, for the other machine and without an engine to load code into."""
        target = llvm.Target.from_triple(triple)
        self._tm_features = ""
        reloc = "static" if triple.startswith("x86") else "default"  # as JITCPUCodegen has it
        self._tm = target.create_target_machine(cpu=cpu, opt=3, reloc=reloc, codemodel="jitdefault", jit=True)
        self._target_data = self._tm.target_data
        self._data_layout = str(self._target_data)
        self._loopvect, self._opt_level, self._engine = False, 0, None

    nothing = {"_init": begin, "set_env": lambda *_: None, "_add_module": lambda *_: None}
    for name, method in nothing.items():
        setattr(codegen.JITCPUCodegen, name, method)
    codegen.JITCodeLibrary._finalize_specific = lambda _: None
    codegen.JITCodeLibrary.get_pointer_to_function = lambda self, _name: self._ensure_finalized() or 0


def assembly(given: dict[str, Any], names: str) -> dict[str, str]:
    """The assembly of loops, by name. `names`: see `modelled_loops.chosen`."""
    from numba import typeof

    from fastsmc.jit.level import BACK_END
    from tools.modelled_loops import chosen

    found = {}
    for loop in chosen(names, BACK_END):
        kinds = tuple(typeof(argument) for argument in loop.arguments(given))
        loop.kernel.compile(kinds)
        found[loop.name] = loop.kernel.inspect_asm(kinds)
    return found


def main(back_end: str, triple: str, cpu: str, features: str, names: str) -> None:
    """Prints the assembly of loops as JSON.

    Raises:
        SystemExit: the kernels would choose another back end on that CPU.
    """
    pretend(triple, cpu, Features(dict.fromkeys(filter(None, features.split(",")), True)))
    from fastsmc.jit.level import BACK_END

    if back_end != BACK_END:
        msg = f"for {cpu} the kernels choose the back end {BACK_END}, not {back_end}"
        raise SystemExit(msg)
    json.dump(assembly(pickle.load(sys.stdin.buffer), names), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
