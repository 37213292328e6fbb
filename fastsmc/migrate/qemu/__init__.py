"""QEMU streams as they would be: which sections a machine sends, and how many bytes."""
