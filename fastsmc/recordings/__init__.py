"""What real kernels were recorded to do: how a recorded host lies on disk, and how it is read."""
