"""Hosts emptied by live migration: where VMs go, what is not known of them, how long it takes, what holds it up."""
