"""What n more firmware registers change, VMM by VMM, and what a map of VM-global registers would save."""
