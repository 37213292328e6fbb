"""Waiting, service and response times of some calls, as histograms that add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastsmc.results.histogram import Histogram

QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Times of calls of one kind: response = waiting + service, call by call.

    Attributes:
        waiting: for the VMM's lock or a worker, and for a core where the host has fewer than vCPUs.
        service: the kernel's and the VMM's work, nobody in the way.
        response: from the guest's HVC or SMC until it goes on.
    """

    waiting: Histogram
    service: Histogram
    response: Histogram

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {getattr(self, name).mean_ns:.4g}" for name in ("waiting", "service", "response"))
        return f"<Times of {self.n_call} calls; means in ns: {means}>"

    @property
    def n_call(self) -> int:
        return self.response.n

    @classmethod
    def merged(cls, parts: Iterable[Times]) -> Times:
        """The times of all calls of the parts."""
        all_parts = list(parts)
        return cls(
            *(Histogram.merged(getattr(p, name) for p in all_parts) for name in ("waiting", "service", "response"))
        )
