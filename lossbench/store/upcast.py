"""Lifting events of earlier versions to the present one, a step at a time.

Each step is a pure function on the event's dictionary. A new `EVENT_VERSION` adds one step here and one committed
journal to the tests; nothing else in the program knows that other versions existed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lossbench.events import EVENT_VERSION

__all__ = ["STEPS", "NewerEventError", "upcast"]

Body = dict[str, Any]

STEPS: Mapping[int, Callable[[Body], Body]] = {}
"""The step that leads from each earlier version to the one after it."""


class NewerEventError(Exception):
    """The event was written by a later lossbench."""


def upcast(body: Body, *, steps: Mapping[int, Callable[[Body], Body]] = STEPS, version: int = EVENT_VERSION) -> Body:
    """The event as the present version would have written it.

    Raises:
        NewerEventError: it has a version this program does not know yet.
        ValueError: it has no version, or one that never existed.
    """
    while True:
        has = body.get("v")
        if type(has) is not int:
            raise ValueError(f"event version {has!r} is not a number")
        if has == version:
            return body
        if has > version:
            raise NewerEventError(has)
        if has not in steps:
            raise ValueError(f"event version {has} never existed")
        body = {**steps[has](body), "v": has + 1}
