"""Data sets as tensors: reading them, dividing them, and handing them out in batches."""

from lossbench.data import inventory
from lossbench.data.batches import batches, evaluation_batches, permutation
from lossbench.data.loading import classes_of, data_folder, load
from lossbench.data.mixing import Mixture, mix
from lossbench.data.registry import catalogue, get
from lossbench.data.types import Dataset, Source, Split

__all__ = [
    "Dataset",
    "Mixture",
    "Source",
    "Split",
    "batches",
    "catalogue",
    "classes_of",
    "data_folder",
    "evaluation_batches",
    "get",
    "inventory",
    "load",
    "mix",
    "permutation",
]
