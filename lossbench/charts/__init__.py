"""Charts: arrays to a figure, a figure to text or to a file."""
