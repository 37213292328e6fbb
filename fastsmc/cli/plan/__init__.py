"""The commands of `fastsmc plan`: one question each."""
