"""Keeping a look at the test rows, which must never keep anybody from looking."""

from pathlib import Path
from typing import TYPE_CHECKING

from lossbench.cli.terminal import note
from lossbench.errors import StoreError

if TYPE_CHECKING:
    from lossbench.compare import Comparison

__all__ = ["remember"]


def remember(home: Path | None, value: "Comparison") -> None:
    """Count this comparison as a look; where that cannot be written down, it is said."""
    from lossbench.compare import looks
    from lossbench.home import find_home

    try:
        looks.remember(find_home(home), value)
    except StoreError as error:
        note(f"this look is not counted: {error}")
