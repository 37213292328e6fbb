"""Fleets of hosts and VMs as columns: read from what operators have, checked, or drawn like a known one."""
