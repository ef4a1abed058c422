"""How losses rank over several presets."""

from collections.abc import Sequence

import numpy as np

from lossbench.charts import Axis, Cells, Figure, Line, Panel, Points, Span
from lossbench.charts.figure import Array
from lossbench.compare import Comparison, Ranking
from lossbench.errors import NothingFound
from lossbench.plots.comparing import caption_of, compared
from lossbench.plots.request import Request
from lossbench.plots.runs import listed
from lossbench.stats.ranks import rank
from lossbench.store import Store

__all__ = ["draw_critical_difference", "draw_profile", "draw_ranks"]


def draw_critical_difference(store: Store, request: Request) -> Figure:
    """Mean ranks over presets; bars join losses that the Nemenyi test does not tell apart."""
    ranking = _ranking(compared(store, request))
    order = np.argsort(ranking.mean_ranks, kind="stable")
    names = [f"{ranking.losses[index]}  {ranking.mean_ranks[index]:.2f}" for index in order]
    ranks = np.array([ranking.mean_ranks[index] for index in order])
    rank_of = dict(zip(ranking.losses, ranking.mean_ranks, strict=True))
    marks: list[Points | Span] = [
        Points(series=int(index), x=ranks[row : row + 1], y=np.array([float(row)])) for row, index in enumerate(order)
    ]
    for clique in ranking.cliques:
        own = [rank_of[loss] for loss in clique]
        marks.append(Span(y=float(len(names)), low=min(own), high=max(own)))
        names.append("not told apart")
    if ranking.critical_difference is not None:
        marks.append(Span(y=float(len(names)), low=1.0, high=1.0 + ranking.critical_difference))
        names.append(f"critical difference {ranking.critical_difference:.2f}")
    x = Axis(
        title="mean rank, 1 is best",
        limits=(1.0, float(max(len(ranking.losses), 1 + (ranking.critical_difference or 0)))),
    )
    return Figure(
        title=f"mean rank of {len(ranking.losses)} losses over {ranking.presets} presets",
        panels=(Panel(x=x, y=Axis(title="", names=tuple(names)), marks=tuple(marks)),),
        series=("",) * len(ranking.losses),
        caption=caption_of("Nemenyi at 5 %; an illustration, the verdicts come from `lossbench compare`", request),
    )


def draw_profile(store: Store, request: Request) -> Figure:
    """Dolan-More profiles: the share of presets on which a loss comes within a factor of the best.

    Raises:
        NothingFound: the values of a metric have no ratios, since they may be zero or below.
    """
    found = compared(store, request)
    ranking = _ranking(found)
    drawn = {
        "error relative to the best loss of the preset": ranking.error_profiles,
        "accuracy relative to the best loss of the preset": ranking.accuracy_profiles,
    }
    panels = tuple(_profiles(profiles, title, log=request.log_x) for title, profiles in drawn.items() if profiles)
    if not panels:
        title = found.panels[0].measure.title
        raise NothingFound(f"profiles are of ratios, which {title} has none of; choose --metric top1_acc, for one")
    return Figure(
        title=f"performance profiles of {len(ranking.losses)} losses over {ranking.presets} presets",
        panels=panels,
        series=ranking.losses,
        caption=caption_of("Dolan-More profiles of the means over seeds; higher and nearer to 1 is better", request),
    )


def _profiles(profiles: Sequence[Sequence[tuple[float, float]]], title: str, *, log: bool) -> Panel:
    """The steps of every loss from factor 1 on, which is the best one."""
    farthest = max((steps[-1][0] for steps in profiles if steps), key=lambda factor: abs(factor - 1), default=1.0)
    # A little past the last step, so that every curve is seen to arrive.
    last = 1 + 1.05 * (farthest - 1)
    marks = []
    for index, steps in enumerate(profiles):
        # From (1, 0) up: a loss that is nowhere best begins at zero.
        factors, shares = np.array([(1.0, 0.0), *steps]).T
        x, y = np.append(np.repeat(factors, 2)[1:], last), 100 * np.repeat(shares, 2)
        rightwards = slice(None) if last >= 1 else slice(None, None, -1)
        marks.append(Line(series=index, x=x[rightwards], y=y[rightwards]))
    return Panel(
        x=Axis(title=title, log=log),
        y=Axis(title="presets within that factor", unit="%", limits=(0.0, 105.0)),
        marks=tuple(marks),
    )


def draw_ranks(store: Store, request: Request) -> Figure:
    """On how many presets a loss takes each rank."""
    found = compared(store, request)
    ranking = _ranking(found)
    order = np.argsort(ranking.mean_ranks, kind="stable")
    per_preset = _preset_ranks(found, ranking.losses)
    places = np.unique(per_preset)
    counts = (per_preset[:, order, None] == places).sum(axis=0)
    panel = Panel(
        x=Axis(title="rank, 1 is best", names=tuple(f"{place:g}" for place in places)),
        y=Axis(title="loss", names=tuple(f"{ranking.losses[i]}  mean {ranking.mean_ranks[i]:.2f}" for i in order)),
        marks=(Cells(values=np.where(counts > 0, counts, np.nan), digits=0, mark_best=False),),
    )
    return Figure(
        title=f"number of presets per rank, {len(ranking.losses)} losses on {ranking.presets} presets",
        panels=(panel,),
        caption=caption_of("ranks of the means over seeds; ties share their average rank", request),
    )


def _preset_ranks(found: Comparison, losses: Sequence[str]) -> Array:
    """Rank of each loss on each preset that has all of them [N, k]."""
    scores = []
    for panel in found.panels:
        means = {arm.loss: arm.mean for arm in panel.arms}
        own = [mean for loss in losses if (mean := means.get(loss)) is not None]
        if len(own) == len(losses):
            scores.append([panel.measure.sign * mean for mean in own])
    return rank(np.array(scores))


def _ranking(found: Comparison) -> Ranking:
    if found.ranking is None:
        own = {each.preset: {arm.loss for arm in each.arms if arm.mean is not None} for each in found.panels}
        every = set().union(*own.values())
        short = [f"{preset} lacks {', '.join(sorted(every - has))}" for preset, has in own.items() if has != every]
        here = listed(short) if short else f"here is only {listed(own)}"
        raise NothingFound(f"ranks need two losses or more that two presets or more all have; {here}")
    return found.ranking
