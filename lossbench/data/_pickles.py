"""Reading the pickled arrays of the CIFAR archives without the power to run code that pickle has."""

import pickle
from typing import IO, Any

from lossbench.errors import DataError

__all__ = ["load"]

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return super().find_class(module.replace("numpy.core.", "numpy._core."), name)


def load(file: IO[bytes], source: str) -> dict[str, Any]:
    """Read a pickle of plain values and arrays; `source` is what error messages call it.

    Raises:
        DataError: it holds anything else, or is damaged.
    """
    try:
        value = _ArraysOnly(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise DataError(f"{source} is not a pickle of arrays: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{source} holds a {type(value).__name__}, expected a dictionary")
    return value
