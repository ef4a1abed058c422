"""The options of the commands that judge runs, in sets: which runs, and what they are judged by."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import OptionInfo

from lossbench.cli.app import HomeOption, LossFilter, PresetFilter, TagFilter, WhereOption
from lossbench.errors import UsageError

if TYPE_CHECKING:
    from lossbench.store import Selection

__all__ = ["AllowOption", "BaselineOption", "Chosen", "Judged", "TunedOption", "min_effect_option", "moment"]

_DATES = "a date such as 2026-11-21 or 2026-11-21T14:30 (UTC), or an age such as 7d, 12h or 30m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which runs."""

    presets: PresetFilter = None
    losses: LossFilter = None
    tags: TagFilter = None
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DATE", help=f"Only runs that began then or later: {_DATES}."),
    ] = None
    before: Annotated[
        str | None, typer.Option("--before", metavar="DATE", help="Only runs that began before then, likewise.")
    ] = None
    where: WhereOption = None
    home: HomeOption = None

    def selection(
        self, *, presets: tuple[str, ...] | None = None, losses: tuple[str, ...] | None = None
    ) -> "Selection":
        """The runs meant; `presets` and `losses` take the place of what was typed.

        Raises:
            UsageError: a date is none.
        """
        from lossbench.store import Selection

        now = datetime.now(UTC)
        return Selection(
            presets=tuple(self.presets or ()) if presets is None else presets,
            losses=tuple(self.losses or ()) if losses is None else losses,
            tags=tuple(self.tags or ()),
            since=None if self.since is None else moment(self.since, now),
            before=None if self.before is None else moment(self.before, now),
            where=self.where,
        )


TunedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tuned",
        metavar="FIELD",
        help="Compare each loss at the value of this field, such as optimizer.lr or loss.gamma, that is best on "
        "its validation rows; repeatable.",
        show_default=False,
    ),
]


AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="FIELD",
        help="Compare runs although this field of the preset differs; repeatable.",
        show_default=False,
    ),
]


BaselineOption = Annotated[
    str, typer.Option("--baseline", "-b", metavar="LOSS", help="The loss the others are held against.")
]


def min_effect_option(purpose: str = "") -> OptionInfo:
    """`--min-effect`, with what it is for where that is not what the command is for."""
    option: OptionInfo = typer.Option(
        "--min-effect",
        min=0,
        metavar="SIZE",
        help=f"Smallest difference that matters, in points or the metric's unit{purpose}. [default: 0.2 points]",
        show_default=False,
    )
    return option


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What they are judged by."""

    baseline: BaselineOption = "ce"
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="METRIC",
            help="A stored metric, as NAME or SPLIT/NAME, or made from curves: epochs-to:, samples-to: or "
            "seconds-to:top1_acc>=75, auc:NAME. [default: what each preset is judged by]",
            show_default=False,
        ),
    ] = None
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="RULE",
            help="last, mean:A-B, best-val, or best-test, which gives no verdict. [default: the preset's rule]",
            show_default=False,
        ),
    ] = None


def moment(text: str, now: datetime) -> datetime:
    """The moment in UTC that a date names, or an age before `now`.

    Raises:
        UsageError: it is neither.
    """
    if age := re.fullmatch(r"(\d{1,6})([dhm])", text):
        unit = {"d": "days", "h": "hours", "m": "minutes"}[age[2]]
        try:
            return now - timedelta(**{unit: int(age[1])})
        except OverflowError as error:
            raise UsageError(f"{text!r} reaches back beyond the calendar") from error
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no date: write {_DATES}") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
