"""What the hosts of a pool have in common: services, registers, bits, PSCI versions and features."""
