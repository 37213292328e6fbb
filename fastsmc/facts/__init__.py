"""Facts about KVM, QEMU and the Arm documents as tables: each row with its source, and no rule."""
