"""Will it restore? Register lists, values and rules of two kernels joined, per VMM and in both directions."""
