"""The benchmark harness: see README.md. Not part of the installed package."""

import os

# What is timed are kernels, which a process otherwise takes only after its first calls (fastsmc/jit/first.py).
os.environ["FASTSMC_JIT_AT_ONCE"] = "1"
