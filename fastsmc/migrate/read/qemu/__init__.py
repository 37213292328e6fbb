"""TODO qemu."""
