"""One group after the other, in this process: for single runs, batch systems and debugging."""

from collections.abc import Iterator, Sequence

from lossbench.events import Event
from lossbench.executors.work import Group, Settings, Stop, could_not_begin, train

__all__ = ["Inline"]


class Inline:
    """The executor that is no more than a loop."""

    workers = 1

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def run(self, groups: Sequence[Group], stop: Stop) -> Iterator[Event]:
        errors: list[Exception] = []
        for group in groups:
            if stop():
                break
            try:
                yield from train(group, self._settings, stop)
            # Whatever it is, it is this group's; the others are trained first.
            except Exception as error:
                errors.append(error)
        could_not_begin(errors)
