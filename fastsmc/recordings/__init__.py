"""What real kernels were recorded to do: how a recorded host lies on disk, is read and is copied."""
