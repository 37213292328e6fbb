"""Loops of plans: migrations that share links, simulated an event at a time, and where evacuated VMs go."""
