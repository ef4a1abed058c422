"""Charts of a comparison: effects with their intervals, and how losses rank over several presets."""

from collections.abc import Sequence

import numpy as np

from lossbench.charts import Axis, Cells, Figure, Line, Panel, Points, Rule, Span
from lossbench.charts.figure import Array
from lossbench.compare import Comparison, Ranking, compare_losses
from lossbench.errors import NothingFound
from lossbench.plots.request import Request, difference_unit
from lossbench.plots.runs import listed
from lossbench.stats.ranks import rank
from lossbench.store import Store

__all__ = ["draw_critical_difference", "draw_forest", "draw_profile", "draw_ranks"]


def draw_forest(store: Store, request: Request) -> Figure:
    """The gain of each loss over the baseline on each preset with its interval, pooled over presets at the bottom."""
    found = _compared(store, request)
    losses = tuple(dict.fromkeys(each.candidate.loss for panel in found.panels for each in panel.contrasts))
    units = {(difference_unit(panel.measure), panel.measure.scale, panel.measure.title) for panel in found.panels}
    panels = []
    for unit, scale, title in sorted(units):
        names: list[str] = []
        marks: list[Points | Rule] = [Rule(axis="x", at=0.0)]
        own = [panel for panel in found.panels if panel.measure.title == title]
        for loss in losses:
            for panel in own:
                for each in panel.contrasts:
                    if each.candidate.loss == loss and each.gain is not None:
                        bounds = [each.low, each.high]
                        marks.append(_effect(losses.index(loss), len(names), scale, each.gain, bounds))
                        names.append(f"{loss}  {panel.preset} (n = {each.n})")
            for pooled in found.across:
                if pooled.candidate == loss and pooled.gain is not None and len(units) == 1:
                    marks.append(_effect(losses.index(loss), len(names), scale, pooled.gain, [pooled.low, pooled.high]))
                    names.append(f"{loss}  pooled over {pooled.presets} presets")
        if names:
            x = Axis(title=f"gain in {title}", unit=unit)
            panels.append(Panel(x=x, y=Axis(title="", names=tuple(names)), marks=tuple(marks)))
    if not panels:
        raise NothingFound("no loss has a gain to draw")
    return Figure(
        title=f"gain over {found.baseline}, right of 0 is better, on {listed(panel.preset for panel in found.panels)}",
        panels=tuple(panels),
        series=losses,
        caption="mean difference of seed pairs with its own 95 % t interval; pooled: random effects over presets",
    )


def draw_critical_difference(store: Store, request: Request) -> Figure:
    """Mean ranks over presets; bars join losses that the Nemenyi test does not tell apart."""
    ranking = _ranking(_compared(store, request))
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
        caption="Nemenyi at 5 %; an illustration, the verdicts come from `lossbench compare`",
    )


def draw_profile(store: Store, request: Request) -> Figure:
    """Dolan-More profiles: the share of presets on which a loss comes within a factor of the best."""
    ranking = _ranking(_compared(store, request))
    # A little past the last step, so that every curve is seen to arrive.
    last = 1 + 1.05 * (max(steps[-1][0] for steps in ranking.error_profiles) - 1)
    marks = []
    for index, steps in enumerate(ranking.error_profiles):
        # From (1, 0) up: a loss that is nowhere best begins at zero.
        tau, share = (
            np.array([first, *part]) for first, part in zip((1.0, 0.0), zip(*steps, strict=True), strict=True)
        )
        x = np.append(np.repeat(tau, 2)[1:], last)
        marks.append(Line(series=index, x=x, y=100 * np.repeat(share, 2)))
    panel = Panel(
        x=Axis(title="error relative to the best loss of the preset", log=request.log_x),
        y=Axis(title="presets within that factor", unit="%", limits=(0.0, 105.0)),
        marks=tuple(marks),
    )
    return Figure(
        title=f"performance profiles of {len(ranking.losses)} losses over {ranking.presets} presets",
        panels=(panel,),
        series=ranking.losses,
        caption="Dolan-More profiles of the means over seeds; higher and further left is better",
    )


def draw_ranks(store: Store, request: Request) -> Figure:
    """On how many presets a loss takes each rank."""
    found = _compared(store, request)
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
        caption="ranks of the means over seeds; ties share their average rank",
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


def _effect(series: int, row: int, scale: float, gain: float, bounds: Sequence[float | None]) -> Points:
    low, high = (np.array([np.nan if bound is None else scale * bound]) for bound in bounds)
    return Points(series=series, x=np.array([scale * gain]), y=np.array([float(row)]), low=low, high=high)


def _compared(store: Store, request: Request) -> Comparison:
    metric = request.metrics[0] if request.metrics else None
    return compare_losses(store, request.selection, baseline=request.baseline, metric=metric, at=request.at)


def _ranking(found: Comparison) -> Ranking:
    if found.ranking is None:
        own = {each.preset: {arm.loss for arm in each.arms if arm.mean is not None} for each in found.panels}
        every = set().union(*own.values())
        short = [f"{preset} lacks {', '.join(sorted(every - has))}" for preset, has in own.items() if has != every]
        here = listed(short) if short else f"here is only {listed(own)}"
        raise NothingFound(f"ranks need two losses or more that two presets or more all have; {here}")
    return found.ranking
