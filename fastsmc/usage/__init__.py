"""What a guest used of the hypercall services: the least that still answers it, and what a policy would take away."""

from __future__ import annotations

from fastsmc.usage.asked import dispatch
from fastsmc.usage.decided import Decided, DecidedCall
from fastsmc.usage.policy import Policy
from fastsmc.usage.used import Used, services

__all__ = ["Decided", "DecidedCall", "Policy", "Used", "dispatch", "services"]
