"""`lossbench sweep --until decided`: add seeds until every loss has its verdict, or none are left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lossbench.cli.app import Format, reading, show_document
from lossbench.cli.asking import min_effect_option
from lossbench.cli.looking import remember
from lossbench.cli.options import Again, How, Where
from lossbench.cli.plan import show_plan
from lossbench.cli.terminal import note
from lossbench.cli.training import Rounds, cells_of
from lossbench.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from lossbench.compare.sequential import Look
    from lossbench.spec import LossRef, Preset

__all__ = ["Until", "sweep_until"]

FEWEST, MOST = 5, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """When to stop adding seeds."""

    until: Annotated[
        Literal["decided"] | None,
        typer.Option(
            "--until",
            metavar="decided",
            help="Add seeds until every loss is better, worse or equivalent, looking by a plan that keeps false alarms "
            "to 5 %; prints the comparison. Ends with 0 also where --max-seeds comes first: ask `compare --check`.",
            show_default=False,
        ),
    ] = None
    max_seeds: Annotated[
        int | None,
        typer.Option(
            "--max-seeds", min=FEWEST, max=MOST, metavar="N", help="With --until: at most N seeds.", show_default="30"
        ),
    ] = None
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", "-b", metavar="LOSS", help="With --until: the loss to beat.", show_default="ce"),
    ] = None
    min_effect: Annotated[float | None, min_effect_option(", for --until")] = None

    def refuse_stray(self) -> None:
        """Options that mean nothing without `--until`.

        Raises:
            UsageError: there is one.
        """
        given = {"--max-seeds": self.max_seeds, "--baseline": self.baseline, "--min-effect": self.min_effect}
        for name, value in given.items():
            if self.until is None and value is not None:
                raise UsageError(f"{name} is for `--until decided`; say that too, or leave it out")


def sweep_until(
    experiments: Sequence["Preset"],
    losses: Sequence["LossRef"],
    until: Until,
    *,
    again: Again,
    how: How,
    where: Where,
    format: Format,
) -> None:
    """Train a block of seeds, look, and go on with the presets that wait; print the last look.

    Issued again it finds what is trained, and looks again where it looked before.
    """
    from lossbench.compare.sequential import look_schedule
    from lossbench.render.comparison import comparison_document
    from lossbench.sweep import cells

    _refuse(experiments, losses, until.baseline or "ce")
    looks = look_schedule(until.max_seeds or 30)
    if how.dry_run:
        note(f"at most these cells; looks at {', '.join(map(str, looks))} seeds")
        with reading(how.home) as store:
            show_plan(cells_of(cells(experiments, losses, range(looks[-1])), again)(store), format)
        return
    rounds = Rounds(again, how, where)
    runs: list[str] = []
    codes: list[ExitCode] = []
    waiting, before = list(experiments), 0
    for seeds in looks:
        trained = rounds.train(cells(waiting, losses, range(before, seeds)))
        runs += trained.runs.values()
        codes.append(trained.exit_code)
        found = _look(runs, looks, until, how)
        waiting, before = [each for each in waiting if each.name in found.waiting], seeds
        if found.decided:
            break
        _tell(found, seeds)
    show_document(comparison_document(found.comparison), format)
    raise typer.Exit(next((each for each in (ExitCode.FAILED, ExitCode.DIVERGED) if each in codes), ExitCode.DONE))


def _refuse(experiments: Sequence["Preset"], losses: Sequence["LossRef"], baseline: str) -> None:
    names = [each.name for each in experiments]
    if len(set(names)) < len(names):
        raise UsageError("--until decided compares runs that differ in loss and seed only; leave out --grid")
    texts = list(map(str, losses))
    if baseline not in texts or len(set(texts)) < 2:
        raise UsageError(f"--until decided needs the baseline {baseline} and another loss; got {', '.join(texts)}")


def _look(runs: Sequence[str], looks: tuple[int, ...], until: Until, how: How) -> "Look":
    from lossbench.compare.sequential import look
    from lossbench.store import Selection

    with reading(how.home) as store:
        found = look(
            store,
            Selection(runs=tuple(runs)),
            looks=looks,
            baseline=until.baseline or "ce",
            min_effect=until.min_effect,
        )
    remember(how.home, found.comparison)
    return found


def _tell(found: "Look", seeds: int) -> None:
    losses = "; ".join(f"{preset}: {', '.join(losses)}" for preset, losses in found.waiting.items())
    note(f"after {seeds} seeds not decided: {losses}")
