"""Packages whose modules each add entries to a registry by being imported."""

import importlib
import pkgutil

__all__ = ["import_all"]


def import_all(package: str) -> None:
    """Import every module of a package but the private ones, by its dotted name."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{package}.{module.name}")
