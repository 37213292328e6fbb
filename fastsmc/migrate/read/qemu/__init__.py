"""Readers of QEMU migration streams: framing, sections, guest memory, vCPU state."""
