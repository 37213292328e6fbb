"""Loops of the queueing simulation: VMs as lanes, VMs one at a time, waits for cores, and the numbers they draw."""
