"""What an executor is given, and what it promises."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lossbench.errors import LossbenchError, UsageError
from lossbench.events import Event
from lossbench.home import Home, Keep
from lossbench.spec import RunSpec
from lossbench.stopwatch import Stopwatch

if TYPE_CHECKING:
    from lossbench.ranks import World

__all__ = ["Executor", "Group", "Rehearsal", "Settings", "Stop", "could_not_begin", "one_by_one", "train"]

Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Cells that train as one program: a single network, or the members of a cohort."""

    cells: tuple[RunSpec, ...]
    run_ids: tuple[str | None, ...]
    """For each cell the attempt to continue, or None to begin a new one."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A group that is trained for some seconds only to see how fast that goes."""

    group: Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all groups have in common."""

    home: Home
    data_folder: Path
    device: str = "auto"
    threads: int | None = None
    """CPU threads per process; None leaves it to the executor and the size of the network."""
    share: int | None = None
    """CPU threads of a process where `threads` leaves them open and the network gains by several; None for as many as
    PyTorch takes by itself."""
    keep: Keep = "none"
    largest: int | None = None
    """The most rows of a batch that pass through a network at once; None for all of them."""
    watch: Stopwatch | None = None
    """Told where the time goes, by an executor that trains in this process."""


class Executor(Protocol):
    """Runs groups in their order.

    Each cell starts at most once and ends once if it started; its epochs come in order; an error in one group leaves
    the others alone. Once `stop()` is true no further group begins and the running ones end as `interrupted`.
    """

    def room(self) -> int:
        """How many groups run at once.

        Raises:
            LossbenchError: the machines for it cannot be reached, or are too small.
        """
        ...

    def run(self, groups: Sequence[Group], stop: Stop) -> Iterator[Event]:
        """Yield the events of every group.

        Raises:
            LossbenchError: after the last event, when there were groups that could not even begin.
        """
        ...


def one_by_one(groups: Sequence[Group], stop: Stop, run: Callable[[Group], Iterator[Event]]) -> Iterator[Event]:
    """Run groups in their order, in this process, until `stop()`.

    Raises:
        LossbenchError: after the last event, when there were groups that could not even begin.
    """
    errors: list[Exception] = []
    for group in groups:
        if stop():
            break
        try:
            yield from run(group)
        # Whatever it is, it is this group's; the others are trained first.
        except Exception as error:
            errors.append(error)
    could_not_begin(errors)


def could_not_begin(errors: Sequence[Exception]) -> None:
    """Raise what kept groups from beginning, once for all of them; a bug before anything that users can mend.

    Raises:
        LossbenchError: of the kind of the first, if there are any.
    """
    mendable = [error for error in errors if isinstance(error, LossbenchError)]
    for error in errors:
        if error not in mendable:
            raise error
    if mendable:
        raise type(mendable[0])("\n".join(dict.fromkeys(map(str, mendable))))


def train(
    group: Group,
    settings: Settings,
    stop: Stop,
    owner: Mapping[str, Any] | None = None,
    join: "Callable[[], AbstractContextManager[World]] | None" = None,
) -> Iterator[Event]:
    """Train a group in this process, with those it may `join`; `owner` is the process without which it would end.

    Raises:
        UsageError: a cohort cannot be shared out.
    """
    # Whoever imports the executors to start a pool has no use for torch in its own process.
    from lossbench import cohort
    from lossbench.experiment import execute
    from lossbench.ranks import World

    if (join or settings.largest is not None) and cohort.accepts(group.cells[0]):
        raise UsageError(
            f"preset {group.cells[0].preset.name} is small enough to train in cohorts, whole batches on one device; "
            "leave out --devices and --batch-per-device"
        )
    return execute(
        group.cells,
        settings.home,
        data_folder=settings.data_folder,
        device=settings.device,
        stop=stop,
        run_ids=group.run_ids,
        threads=settings.threads,
        share=settings.share,
        keep=settings.keep,
        owner=owner or {},
        watch=settings.watch,
        join=join or (lambda: nullcontext(World(largest=settings.largest))),
    )
