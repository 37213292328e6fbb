"""Loops of the queueing simulation: VMs as lanes, VMs one at a time, and the numbers they draw."""
