"""Statistics as pure functions of arrays; only numpy and scipy.special, so that `lossbench compare` starts fast."""
