"""Statistics as pure functions of arrays; what `lossbench compare` needs of them imports numpy alone, to start fast."""
