"""Loops of plans: hosts drained one after another, VMs packed onto those that are left."""
