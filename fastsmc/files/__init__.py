"""The one gate for files that others wrote: opened, unpacked and decoded within limits, or refused in a sentence."""
