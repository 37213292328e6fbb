"""What stands where in the arrays of numbers that kernels share: rows of `per_vm`, entries of `law`."""

from __future__ import annotations

FORWARDED, WAITING, BUSY, RESPONSE, MOST_WAITING, MOST_SERVED, MOST_RESPONSE, LAST_END, QUEUED, TURNS, RAN, SQUARES = (
    range(12)
)
"""Rows of `per_vm`: forwarded calls; sums of waiting, of the VMM's work under its lock and of response times; the
largest waiting, service and response time; and by `each` only: when the last call was over, the sum of
waiting for the lock or a worker, how many turns on a core ended, what they took, and the sum of its squares."""
N_SUM = 12

ENTER, WORK, RANDOM_WORK, GAP, RANDOM_GAP, IS_CLOSED, HAS_LOCK = range(7)
"""Entries of `law`: ns of a forwarded call but for the VMM's work (all of it is spent before the lock: it is the same
for all calls, so what of it comes after makes no difference to anyone's waiting); the VMM's work, fixed and as the mean
of an exponential part; the pause before the next call, likewise; 1.0 where it begins when the call is over, 0.0 where
it began with the call; 1.0 where calls of a VM exclude each other in the VMM, else 0.0."""
N_LAW = 7

ON, OFF, OTHERS, SPREAD, TURN, REST, SLICE = range(N_LAW, N_LAW + 7)
"""Further entries of `law`: mean ns of a burst and of the silence after it, 0 for none. Of overcommit: other runnable
threads per core, their mean (below 0: cores are idle) and standard deviation; for how long one of them runs, in ns, and
twice what is left of that, on average, when somebody looks; the scheduler's time slice in ns, 0 for no overcommit."""
N_LONG_LAW = N_LAW + 7
