"""The commands of `fastsmc migrate`, one file each."""
