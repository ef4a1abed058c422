"""The numbers behind the verdicts, as tables for people and as flat records for machines."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from lossbench.compare import Across, Arm, Comparison, Contrast, Panel, Ranking
from lossbench.compare.values import listed
from lossbench.measures import Measure
from lossbench.render.values import Column, Table, measure_column

__all__ = [
    "across_tables",
    "arms_table",
    "difference_tables",
    "points",
    "published_table",
    "ranking_table",
    "records",
]


def arms_table(panel: Panel) -> Table:
    moments = [measure_column(panel.measure, key=key, title=key) for key in ("mean", "sd")]
    columns = (
        Column(key="loss", title="loss", anchor=True),
        *(replace(column, unit=None) for column in moments),
        Column(key="n", title="runs", kind="integer"),
        Column(key="lost", title="without value"),
        Column(key="seeds", title="seeds"),
    )
    rows = [(arm.loss, arm.mean, arm.sd, arm.n, _lost(arm), listed(arm.seeds)) for arm in panel.arms]
    unit = "%" if moments[0].kind == "percent" else moments[0].unit
    title = f"{panel.measure.title} over seeds" + (f", in {unit}" if unit else "")
    return Table(name="runs", title=title, columns=columns, rows=tuple(rows))


def _lost(arm: Arm) -> str:
    return ", ".join(f"{count} {what}" for what, count in arm.lost.items()) or "none"


Field = tuple[Column, Callable[[Contrast], object]]


@lru_cache
def _difference_fields(measure: Measure) -> tuple[Field, ...]:
    return (
        (points(measure, "gain", "gain", signed=True), lambda each: each.gain),
        (points(measure, "low", "from", signed=True), lambda each: each.low),
        (points(measure, "high", "to", signed=True), lambda each: each.high),
        (points(measure, "joint_low", "joint from", signed=True), lambda each: each.joint_low),
        (points(measure, "joint_high", "joint to", signed=True), lambda each: each.joint_high),
        (Column(key="p", title="p", kind="pvalue"), lambda each: each.p),
        (Column(key="p_adjusted", title="p adj.", kind="pvalue"), lambda each: each.p_adjusted),
        (Column(key="flip_p", title="flip p", kind="pvalue"), lambda each: each.flip_p),
        (Column(key="flip_floor", title="at least", kind="pvalue"), lambda each: each.flip_floor),
        (Column(key="hedges", title="g_z", kind="number", digits=2), lambda each: each.hedges),
        (Column(key="superiority", title="P(better)", kind="number", digits=2), lambda each: each.superiority),
        (Column(key="correlation", title="r", kind="number", digits=2), lambda each: each.correlation),
        (Column(key="equivalence_p", title="p equiv.", kind="pvalue"), lambda each: each.equivalence_p),
        (points(measure, "sd_difference", "sd"), lambda each: each.sd),
        (points(measure, "detectable", "visible"), lambda each: each.detectable),
        (Column(key="seeds_needed", title="seeds", kind="integer"), lambda each: each.seeds_needed),
        (Column(key="seeds_low", title="at least", kind="integer"), lambda each: each.seeds_low),
        (Column(key="seeds_high", title="at most", kind="integer"), lambda each: each.seeds_high),
    )


def difference_tables(panel: Panel) -> tuple[Table, ...]:
    """What was seen, how sure it is, and how far these runs can see: each narrow enough for 80 columns."""
    unit = points(panel.measure, "gain", "gain").unit
    size = f"in {unit}" if unit else "in the metric's own unit"
    level = f"{100 * (1 - panel.rules.alpha):.4g} %"
    return (
        _by_loss(f"gain {size}, with {level} interval, alone and joint", panel, "gain", "p_adjusted"),
        _by_loss("how sure", panel, "flip_p", "equivalence_p"),
        _by_loss(f"{_sight(panel)}, {size}", panel, "sd_difference", "seeds_high"),
    )


def _sight(panel: Panel) -> str:
    measure, wanted = panel.measure, panel.rules.min_effect
    visible = f"visible with {100 * panel.rules.power:g} % power"
    return visible if wanted is None else f"{visible}, and seeds needed to see {wanted * measure.scale:g}"


def _by_loss(title: str, panel: Panel, first: str, last: str) -> Table:
    """The fields from `first` to `last`; the title has said the unit."""
    fields = _difference_fields(panel.measure)
    keys = [column.key for column, _ in fields]
    chosen = fields[keys.index(first) : keys.index(last) + 1]
    return Table(
        name="differences",
        title=title,
        columns=(Column(key="loss", title="loss", anchor=True), *(replace(column, unit=None) for column, _ in chosen)),
        rows=tuple((each.candidate.loss, *(value(each) for _, value in chosen)) for each in panel.contrasts),
    )


def across_tables(value: Comparison) -> tuple[Table, ...]:
    """Every candidate over all presets: weighted by their errors, and preset by preset, each narrow enough for 80."""
    panel = value.panels[0]
    measure = panel.measure
    unit = points(measure, "gain", "gain").unit
    size = f"in {unit}" if unit else "in the metric's own unit"
    level = f"{100 * (1 - panel.rules.alpha):.4g} %"
    pooled: tuple[tuple[Column, Callable[[Across], object]], ...] = (
        (Column(key="pooled_presets", title="presets", kind="integer"), lambda each: each.pooled_presets),
        (points(measure, "pooled_gain", "gain", signed=True), lambda each: each.gain),
        (points(measure, "pooled_low", "from", signed=True), lambda each: each.low),
        (points(measure, "pooled_high", "to", signed=True), lambda each: each.high),
        (Column(key="pooled_p", title="p", kind="pvalue"), lambda each: each.p),
        (Column(key="pooled_p_adjusted", title="p adj.", kind="pvalue"), lambda each: each.p_adjusted),
        (points(measure, "tau", "tau"), lambda each: each.tau),
        (Column(key="i_squared", title="I^2", kind="number", digits=2), lambda each: each.i_squared),
    )
    plain: tuple[tuple[Column, Callable[[Across], object]], ...] = (
        (points(measure, "plain_gain", "gain", signed=True), lambda each: each.plain_gain),
        (points(measure, "plain_low", "from", signed=True), lambda each: each.plain_low),
        (points(measure, "plain_high", "to", signed=True), lambda each: each.plain_high),
        (Column(key="presets", title="presets", kind="integer"), lambda each: each.presets),
        (Column(key="presets_better", title="ahead", kind="integer"), lambda each: each.presets_better),
        (Column(key="presets_worse", title="behind", kind="integer"), lambda each: each.presets_worse),
    )
    ranked: tuple[tuple[Column, Callable[[Across], object]], ...] = (
        (Column(key="wilcoxon_p", title="Wilcoxon p", kind="pvalue"), lambda each: each.wilcoxon_p),
        (Column(key="wilcoxon_adjusted", title="p adj.", kind="pvalue"), lambda each: each.wilcoxon_adjusted),
        (Column(key="wilcoxon_floor", title="at least", kind="pvalue"), lambda each: each.wilcoxon_floor),
    )
    parts = (
        (f"presets weighted by their errors (random effects), {size}, with {level} interval", pooled),
        (f"plain mean over presets, {size}, with {level} interval", plain),
        ("signed ranks over presets", ranked),
    )
    return tuple(
        Table(
            name="across",
            title=title,
            columns=(
                Column(key="loss", title="loss", anchor=True),
                *(replace(column, unit=None) for column, _ in fields),
            ),
            rows=tuple((each.candidate, *(get(each) for _, get in fields)) for each in value.across),
        )
        for title, fields in parts
    )


def ranking_table(value: Ranking, measure: Measure) -> Table:
    """All losses by mean rank, the best first."""
    columns = (
        Column(key="loss", title="loss", anchor=True),
        measure_column(measure, key="mean_over_presets", title="mean"),
        Column(key="mean_rank", title="mean rank", kind="number", digits=3),
        Column(key="wins_shared", title="wins, shared", kind="integer"),
        Column(key="wins_outright", title="wins, outright", kind="integer"),
        Column(key="conover_p", title="p to first", kind="pvalue", hidden=not value.conover_p),
    )
    order = sorted(range(len(value.losses)), key=lambda each: value.mean_ranks[each])
    to_first = {each: value.conover_p[order[0]][each] for each in order[1:]} if value.conover_p else {}
    rows = tuple(
        (
            value.losses[each],
            value.means[each],
            value.mean_ranks[each],
            value.wins_shared[each],
            value.wins_outright[each],
            to_first.get(each),
        )
        for each in order
    )
    return Table(name="ranking", columns=columns, rows=rows)


def published_table(value: Comparison) -> Table | None:
    """What was reported over these presets, beside the same figures of these runs."""
    if value.ranking is None or not value.published:
        return None
    ranking, measure = value.ranking, value.panels[0].measure
    base = ranking.means[ranking.losses.index(value.baseline)]
    ours = {
        (loss, what): number
        for place, loss in enumerate(ranking.losses)
        for what, number in (
            (f"{measure.name}_over_{value.baseline}", measure.sign * (ranking.means[place] - base)),
            ("wins", float(ranking.wins_shared[place])),
            ("mean_rank", ranking.mean_ranks[place]),
        )
    }
    reported = {(each.loss, each.metric): each.value for each in value.published}
    kinds = dict.fromkeys(what for _, what in ours if any(what == metric for _, metric in reported))
    if not kinds:
        return None
    columns = [Column(key="loss", title="loss", anchor=True)]
    for what in kinds:
        column = _figure(what, measure)
        columns += [replace(column, key=f"published_{what}", title=f"published {column.title}"), column]
    rows = tuple(
        (loss, *(source.get((loss, what)) for what in kinds for source in (reported, ours))) for loss in ranking.losses
    )
    source = "; ".join(dict.fromkeys(each.source for each in value.published))
    return Table(name="published", title=f"as published ({source}), and here", columns=tuple(columns), rows=rows)


def _figure(what: str, measure: Measure) -> Column:
    match what:
        case "wins":
            return Column(key=what, title="wins", kind="integer")
        case "mean_rank":
            return Column(key=what, title="rank", kind="number", digits=2)
        case _:
            return points(measure, what, "gain", signed=True)


def records(value: Comparison) -> Table:
    """One row per contrast with everything that is known about it, in stored units."""
    head: list[tuple[Column, Callable[[Panel, Contrast], object]]] = [
        (Column(key="preset", title="preset", anchor=True), lambda panel, _: panel.preset),
        (Column(key="loss", title="loss", anchor=True), lambda _, each: each.candidate.loss),
        (Column(key="baseline", title="baseline"), lambda _, each: each.baseline.loss),
        (Column(key="metric", title="metric"), lambda panel, _: panel.measure.name),
        (Column(key="split", title="split"), lambda panel, _: panel.split),
        (Column(key="at", title="at"), lambda panel, _: panel.at),
        (Column(key="exploratory", title="exploratory", kind="boolean"), lambda panel, _: panel.exploratory),
        (Column(key="min_effect", title="min effect", kind="number"), lambda panel, _: panel.rules.min_effect),
        (Column(key="alpha", title="alpha", kind="number"), lambda panel, _: panel.rules.alpha),
        (Column(key="correct", title="correction"), lambda panel, _: panel.rules.correct),
        (Column(key="verdict", title="verdict"), lambda _, each: each.verdict and str(each.verdict)),
        (Column(key="beyond", title="beyond", kind="boolean"), lambda _, each: each.beyond),
        (Column(key="identical", title="identical", kind="boolean"), lambda _, each: each.identical),
        (Column(key="paired", title="paired", kind="boolean"), lambda _, each: each.paired),
        (Column(key="baseline_setting", title="baseline setting"), lambda panel, each: _setting(panel, each.baseline)),
        (Column(key="setting", title="setting"), lambda panel, each: _setting(panel, each.candidate)),
        (Column(key="tried", title="settings tried", kind="integer"), _tried),
        (Column(key="n", title="n", kind="integer"), lambda _, each: each.n),
        (Column(key="unmatched", title="unmatched seeds"), lambda _, each: listed(each.unmatched)),
        (Column(key="se", title="se", kind="number"), lambda _, each: each.se),
        (Column(key="df", title="df", kind="number"), lambda _, each: each.df),
        (Column(key="t", title="t", kind="number"), lambda _, each: each.t),
    ]
    columns = [column for column, _ in head]
    columns += [column for column, _ in _difference_fields(value.panels[0].measure)]
    for side in ("baseline", "candidate"):
        columns += [Column(key=f"{side}_{what}", title=f"{side} {what}", kind="number") for what in ("mean", "sd")]
        columns += [
            Column(key=f"{side}_{what}", title=f"{side} {what.replace('_', ' ')}", kind="integer")
            for what in ("n", "diverged", "failed", "unfinished", "not_finite", "censored")
        ]
    rows = []
    for panel in value.panels:
        for each in panel.contrasts:
            row = [get(panel, each) for _, get in head]
            row += [get(each) for _, get in _difference_fields(panel.measure)]
            for arm in (each.baseline, each.candidate):
                lost = (arm.diverged, arm.failed, arm.unfinished, arm.not_finite, arm.censored)
                row += [arm.mean, arm.sd, arm.n, *map(len, lost)]
            rows.append(tuple(row))
    return Table(name="contrasts", columns=tuple(columns), rows=tuple(rows))


def _setting(panel: Panel, arm: Arm) -> str | None:
    return next((each.setting for each in panel.choices if each.loss == arm.loss), None)


def _tried(panel: Panel, contrast: Contrast) -> int | None:
    return next((each.tried for each in panel.choices if each.loss == contrast.candidate.loss), None)


def points(measure: Measure, key: str, title: str, *, signed: bool = False) -> Column:
    """A difference of the metric: points where the metric itself is a percentage."""
    column = measure_column(measure, key=key, title=title, signed=signed)
    return replace(column, unit="points") if column.kind == "percent" else column
