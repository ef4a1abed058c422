"""Published figures held against what their numbers can show: arithmetic on the page, no runs needed."""

import contextlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lossbench import presets, suites
from lossbench.compare.losses import compare_losses
from lossbench.compare.values import Contrast
from lossbench.errors import NotComparable, NothingFound, unknown
from lossbench.measures import MEASURES, Measure, measure
from lossbench.spec import Published
from lossbench.stats.distributions import t_quantile
from lossbench.stats.estimate import Estimate
from lossbench.stats.pooled import Pooled, random_effects
from lossbench.stats.power import seeds_needed
from lossbench.stats.signedrank import signed_rank_p
from lossbench.stats.testset import largest_discordance, seed_sd
from lossbench.store import Selection, Store

__all__ = ["Claim", "Joint", "Paper", "measured", "paper", "papers"]

BASELINE = "ce"

TEST_ROWS = {
    "cifar10": 10_000,
    "cifar100": 10_000,
    "cinic10": 90_000,
    "emnist-letters": 20_800,
    "fashion-mnist": 10_000,
    "tiny-imagenet": 10_000,
}
"""Published sizes of test sets by data set; for others nothing is said about rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A loss and the baseline as one paper reports them on one preset, and what follows from that. None is unknown."""

    preset: str
    loss: str
    measure: Measure
    baseline_value: float
    value: float
    n: int
    gain: float
    """Oriented, positive is better."""
    test_rows: int | None
    welch: Estimate | None
    """From both means, spreads and n, where the paper gives them."""
    largest_sd: float | None
    """The spread of differences per seed below which the gain of n paired seeds would have p < 0.05."""
    rows_gained: float | None
    sampling_se: float | None
    """Standard error of one accuracy by the drawing of the test rows."""
    discordance: int | None
    """Most rows on which two models may disagree for McNemar's p to be below 0.05; 0 if it never is."""
    thumb_sd: float | None
    """Spread between seeds by the rule of thumb sqrt(error / (2 rows))."""
    seeds_needed: int | None
    """Seeds per loss that see the gain with 80 % power at that spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """One loss over all presets of a paper."""

    loss: str
    presets: int
    better: int
    mean_gain: float
    wilcoxon_p: float
    pooled: Pooled | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """The claims of one paper."""

    name: str
    suites: tuple[str, ...]
    claims: tuple[Claim, ...]
    joint: tuple[Joint, ...]


def measured(store: Store, claims: Iterable[Claim]) -> dict[tuple[str, str], Contrast]:
    """Our own contrast beside each claim, by preset and loss, where the store has runs of both losses."""
    found = {}
    for each in claims:
        selection = Selection(presets=(each.preset,), losses=(each.loss,))
        with contextlib.suppress(NothingFound, NotComparable):
            value = compare_losses(store, selection, baseline=BASELINE, metric=each.measure.name)
            found[each.preset, each.loss] = value.panels[0].contrasts[0]
    return found


def papers() -> tuple[Paper, ...]:
    """Every paper that a preset or suite quotes figures of, by arXiv number."""
    return tuple(_paper(name, sources) for name, sources in sorted(_sources().items()))


def paper(name: str) -> Paper:
    """The paper of that arXiv number.

    Raises:
        UsageError: nothing of it is kept.
    """
    known = _sources()
    if name not in known:
        raise unknown("paper", name, known)
    return _paper(name, known[name])


_Figure = tuple[str, str, Published]
"""Suite or nothing, preset, figure."""


def _sources() -> dict[str, list[_Figure]]:
    figures: list[_Figure] = []
    for name in suites.available():
        figures += [(name, each.preset or "", each) for each in suites.load(name).published]
    # Reading a preset costs more than looking for the word.
    quoting = [
        name for name, path in presets.available().items() if "[[published]]" in path.read_text(encoding="utf-8")
    ]
    figures += [("", name, each) for name in quoting for each in presets.load(name).published]
    found: dict[str, list[_Figure]] = {}
    for figure in figures:
        number = re.search(r"\d{4}\.\d{4,5}", figure[2].source)
        if number:
            found.setdefault(number[0], []).append(figure)
    return found


def _paper(name: str, figures: Sequence[_Figure]) -> Paper:
    by_cell = {(preset, each.metric, each.loss): each for _, preset, each in reversed(figures)}
    claims = [
        claim_of(preset, baseline, each)
        for (preset, metric, loss), each in sorted(by_cell.items(), key=lambda item: item[0])
        if loss != BASELINE and metric in MEASURES and (baseline := by_cell.get((preset, metric, BASELINE))) is not None
    ]
    return Paper(
        name=name,
        suites=tuple(dict.fromkeys(suite for suite, _, _ in figures if suite)),
        claims=tuple(claims),
        joint=tuple(_joint(claims)),
    )


def claim_of(preset: str, baseline: Published, figure: Published) -> Claim:
    """What a figure and its baseline allow."""
    judged = measure(figure.metric)
    gain = judged.sign * (figure.value - baseline.value)
    n = min(figure.n or 1, baseline.n or 1)
    # Presets are named after their data set first.
    rows = next((rows for data, rows in TEST_ROWS.items() if preset.startswith(f"{data}-")), None)
    error = baseline.value if judged.better == "lower" else 1 - baseline.value
    share = rows if judged.unit == "fraction" else None
    thumb = seed_sd(error, share) if share else None
    return Claim(
        preset=preset,
        loss=figure.loss,
        measure=judged,
        baseline_value=baseline.value,
        value=figure.value,
        n=n,
        gain=gain,
        test_rows=rows,
        welch=_welch(baseline, figure, gain),
        largest_sd=abs(gain) * math.sqrt(n) / t_quantile(0.975, n - 1) if n > 1 else None,
        rows_gained=gain * share if share else None,
        sampling_se=math.sqrt(error * (1 - error) / share) if share else None,
        discordance=largest_discordance(round(abs(gain) * share)) if share else None,
        thumb_sd=thumb,
        seeds_needed=seeds_needed(math.sqrt(2) * thumb, abs(gain)) if thumb and gain else None,
    )


def _welch(baseline: Published, figure: Published, gain: float) -> Estimate | None:
    parts = [(each.spread, each.n) for each in (baseline, figure)]
    known = [(spread**2 / n, n) for spread, n in parts if spread is not None and n is not None and n > 1]
    total = sum(part for part, _ in known)
    if len(known) < 2 or not total > 0:
        return None
    df = total**2 / sum(part**2 / (n - 1) for part, n in known)
    return Estimate(value=gain, se=math.sqrt(total), df=df)


def _joint(claims: Iterable[Claim]) -> list[Joint]:
    by_loss: dict[tuple[str, str], list[Claim]] = {}
    for each in claims:
        by_loss.setdefault((each.measure.name, each.loss), []).append(each)
    found = []
    for (_, loss), several in by_loss.items():
        if len(several) < 2:
            continue
        # Printed decimals make ties that subtraction of binary fractions would break.
        gains = np.round([each.gain for each in several], 10)
        usable = [(each.gain, each.welch.se) for each in several if each.welch]
        pooled = random_effects(*zip(*usable, strict=True)) if len(usable) > 1 else None
        found.append(
            Joint(
                loss=loss,
                presets=len(several),
                better=int((gains > 0).sum()),
                mean_gain=float(gains.mean()),
                wilcoxon_p=signed_rank_p(gains),
                pooled=pooled,
            )
        )
    return found
