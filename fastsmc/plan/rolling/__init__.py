"""Rolling upgrades: where VMs may go, in which order hosts are upgraded, and which VMs stand in the way."""
