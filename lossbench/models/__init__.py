"""Architectures as functions of input shape and classes."""

from lossbench.models._folding import folded, folds
from lossbench.models.registry import Model, build, catalogue, get

__all__ = ["Model", "build", "catalogue", "folded", "folds", "get"]
