"""Loops of plans: migrations that share links, an event at a time; where evacuated VMs go; hosts upgraded in waves."""
