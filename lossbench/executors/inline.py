"""One group after the other, in this process: for single runs, batch systems and debugging."""

from collections.abc import Iterator, Sequence

from lossbench.events import Event
from lossbench.executors.work import Group, Settings, Stop, one_by_one, train

__all__ = ["Inline"]


class Inline:
    """The executor that is no more than a loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def room(self) -> int:
        return 1

    def run(self, groups: Sequence[Group], stop: Stop) -> Iterator[Event]:
        yield from one_by_one(groups, stop, lambda group: train(group, self._settings, stop))
