"""Architectures as functions of input shape and classes."""

from lossbench.models.dense import widths
from lossbench.models.registry import Model, build, catalogue, get

__all__ = ["Model", "build", "catalogue", "get", "widths"]
