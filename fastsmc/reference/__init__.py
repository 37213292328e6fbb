"""The specification in plain Python: one VM, one call at a time, as the rules of KVM read. It is never made fast."""
