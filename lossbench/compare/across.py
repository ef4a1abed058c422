"""Several presets: each is reduced to its mean over seeds, and presets take the place of seeds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lossbench.compare.values import Across, Contrast, Panel, Ranking, known
from lossbench.compare.verdict import FEWEST
from lossbench.measures import Measure
from lossbench.stats import ranks
from lossbench.stats.multiplicity import adjust
from lossbench.stats.paired import difference
from lossbench.stats.pooled import Pooled, random_effects
from lossbench.stats.signedrank import signed_rank_floor, signed_rank_p

__all__ = ["across", "ranking"]

FEWEST_FOR_RANKS = 3
"""Losses from which on mean ranks say more than signs."""


def across(panels: Sequence[Panel]) -> tuple[Across, ...]:
    """Each candidate of two or more presets against the baseline, Holm over the candidates.

    Args:
        panels: presets judged by the same metric.
    """
    by_loss: dict[str, list[Contrast]] = {}
    for panel in panels:
        for contrast in panel.contrasts:
            if contrast.gain is not None:
                by_loss.setdefault(contrast.candidate.loss, []).append(contrast)
    several = {loss: found for loss, found in sorted(by_loss.items()) if len(found) > 1}
    if not several:
        return ()
    rules = panels[0].rules
    pooled = {loss: _pooled(found) for loss, found in several.items()}
    gains = {loss: np.array([each.gain for each in found], dtype=np.float64) for loss, found in several.items()}
    pooled_p = adjust([each.estimate.p if each else np.nan for each in pooled.values()], rules.correct)
    ranked = [signed_rank_p(each) for each in gains.values()]
    ranked_adjusted = adjust(ranked, rules.correct)
    return tuple(
        _across(loss, gains[loss], pooled[loss], float(pooled_p[i]), ranked[i], float(ranked_adjusted[i]), rules.alpha)
        for i, loss in enumerate(several)
    )


def _pooled(contrasts: Sequence[Contrast]) -> Pooled | None:
    # A preset can be weighted by an error of its own, which takes enough seeds to mean anything.
    usable = [(each.gain, each.se) for each in contrasts if each.gain is not None and each.se and each.n >= FEWEST]
    if len(usable) < 2:
        return None
    gains, errors = zip(*usable, strict=True)
    return random_effects(gains, errors)


def _across(
    loss: str,
    gains: NDArray[np.float64],
    pooled: Pooled | None,
    pooled_p: float,
    ranked: float,
    ranked_adjusted: float,
    alpha: float,
) -> Across:
    low, high = pooled.estimate.interval(1 - alpha) if pooled else (None, None)
    plain_low, plain_high = difference(gains).interval(1 - alpha)
    return Across(
        candidate=loss,
        presets=gains.size,
        pooled_presets=int(pooled.estimate.df) + 1 if pooled else 0,
        gain=pooled.estimate.value if pooled else None,
        low=low,
        high=high,
        p=known(pooled.estimate.p) if pooled else None,
        p_adjusted=pooled_p if pooled else None,
        tau=pooled.tau if pooled else None,
        i_squared=pooled.i_squared if pooled else None,
        plain_gain=float(gains.mean()),
        plain_low=known(plain_low),
        plain_high=known(plain_high),
        wilcoxon_p=ranked,
        wilcoxon_adjusted=ranked_adjusted,
        wilcoxon_floor=signed_rank_floor(gains.size),
        presets_better=int((gains > 0).sum()),
        presets_worse=int((gains < 0).sum()),
    )


def ranking(panels: Sequence[Panel]) -> Ranking | None:
    """Mean ranks, wins, post-hoc tests and profiles of the losses that every preset has; None for fewer than two.

    Args:
        panels: presets judged by the same metric.
    """
    means = [_means(panel) for panel in panels]
    losses = [loss for loss in (means[0] if means else {}) if all(loss in each for each in means)]
    if len(losses) < 2 or len(panels) < 2:
        return None
    measure = panels[0].measure
    values = np.array([[each[loss] for loss in losses] for each in means])
    scores = measure.sign * values
    mean_ranks = ranks.rank(scores).mean(axis=0)
    shared, outright = ranks.wins(scores)
    many = len(losses) >= FEWEST_FOR_RANKS
    test = ranks.friedman(scores) if many else None
    distance = ranks.nemenyi_distance(len(losses), len(panels), panels[0].rules.alpha) if many else None
    groups = ranks.cliques(mean_ranks, distance) if distance is not None else ()
    errors, accuracies = _costs(values, measure)
    return Ranking(
        losses=tuple(losses),
        left_out=tuple(sorted({arm.loss for panel in panels for arm in panel.arms} - set(losses))),
        presets=len(panels),
        means=tuple(values.mean(axis=0).tolist()),
        mean_ranks=tuple(mean_ranks.tolist()),
        wins_shared=tuple(shared.tolist()),
        wins_outright=tuple(outright.tolist()),
        friedman=known(test.chi_square) if test else None,
        friedman_p=known(test.p) if test else None,
        permuted=test is not None and test.permuted,
        iman_davenport=_finite(test.f) if test else None,
        iman_davenport_p=known(test.f_p) if test else None,
        critical_difference=distance,
        cliques=tuple(tuple(losses[each] for each in group) for group in groups),
        conover_p=tuple(tuple(row) for row in ranks.conover_p(scores).tolist()) if many else (),
        error_profiles=_profiles(errors),
        accuracy_profiles=tuple(tuple((1 / ratio, share) for ratio, share in each) for each in _profiles(accuracies)),
    )


def _means(panel: Panel) -> dict[str, float]:
    """Mean over seeds by loss, the baseline first."""
    return {arm.loss: mean for arm in panel.arms if (mean := arm.mean) is not None}


def _costs(
    values: NDArray[np.float64], measure: Measure
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Ratios [N, k] of each error to the smallest, and of the largest accuracy to each; None where undefined."""
    if measure.unit == "fraction":
        errors = values if measure.sign < 0 else 1 - values
        return _ratio(errors, errors.min(axis=1, keepdims=True)), _ratio(
            (1 - errors).max(axis=1, keepdims=True), 1 - errors
        )
    if measure.sign < 0 and (values >= 0).all():
        return _ratio(values, values.min(axis=1, keepdims=True)), None
    return None, None


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    above, below = np.broadcast_arrays(above, below)
    # The best of a preset is at ratio 1 even where its error is 0.
    return np.divide(above, below, out=np.where(above == below, 1.0, np.inf), where=below > 0)


def _profiles(ratios: NDArray[np.float64] | None) -> tuple[tuple[tuple[float, float], ...], ...]:
    return () if ratios is None else tuple(ranks.profile(column) for column in ratios.T)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
