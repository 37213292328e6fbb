"""Scenarios: which VMs there are, what they call and when, on which machine. TOML in, frozen and checked values out."""

from __future__ import annotations

from fastsmc.scenario.fleets import fleet_of
from fastsmc.scenario.model import HostCores, Law, MixEntry, OnOff, VmGroup, Workload
from fastsmc.scenario.scenario import Scenario

__all__ = ["HostCores", "Law", "MixEntry", "OnOff", "Scenario", "VmGroup", "Workload", "fleet_of"]
