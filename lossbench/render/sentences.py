"""Verdicts in words that can be quoted: what was asked, the word, the interval, what is missing."""

from collections.abc import Sequence

from lossbench.compare import Across, Contrast, Panel, Verdict
from lossbench.measures import Measure
from lossbench.render.values import Line, Tone
from lossbench.stats.power import MOST_SEEDS

__all__ = ["across_sentence", "amount", "figure", "question", "seed_count", "verdict_line"]

_TONES: dict[Verdict | None, Tone] = {
    Verdict.BETTER: "good",
    Verdict.WORSE: "bad",
    Verdict.UNDERPOWERED: "warn",
    Verdict.INSUFFICIENT: "warn",
}


def amount(measure: Measure, value: float, *, signed: bool = False, unit: bool = False) -> str:
    """A difference of the metric for people: points for fractions, else its own unit."""
    sign = "+" if signed else ""
    if measure.unit == "fraction":
        return f"{100 * value:{sign}z.2f}" + (" points" if unit else "")
    return f"{value:{sign}.4g}" + (f" {measure.shown_unit}" if unit and measure.shown_unit else "")


def figure(measure: Measure, value: float) -> str:
    """A value of the metric for people: percent for fractions, else its own unit."""
    if measure.unit == "fraction":
        return f"{100 * value:.2f} %"
    return f"{value:.4g}" + (f" {measure.shown_unit}" if measure.shown_unit else "")


def seed_count(seeds: int | None) -> str:
    """A number of seeds that some difference takes; beyond the largest one that is searched, its size is unknown."""
    return f"{MOST_SEEDS:,} or more" if seeds == MOST_SEEDS else str(seeds)


def question(panel: Panel, baseline: str) -> str:
    """What the lines below it answer."""
    status = " (exploratory)" if panel.exploratory else ""
    # The title of a metric made from whole curves says where it was measured.
    asked = panel.measure.title if panel.at == "all" else f"{panel.measure.title} on {panel.split}, {_epochs(panel.at)}"
    turned = "; lower is better, so + means lower" if panel.measure.better == "lower" else ""
    return f"{panel.preset}: {asked}, against {baseline}{status}{turned}"


def _epochs(at: str) -> str:
    rule, _, window = at.partition(":")
    words = {
        "last": "last epoch",
        "best-val": "epoch best on validation",
        "best-test": "epoch PICKED ON THE TEST SET",
        "mean": f"mean of epochs {window}",
    }
    return words[rule]


def verdict_line(panel: Panel, contrast: Contrast) -> Line:
    """One contrast: verdict, interval, and runs that have no value."""
    parts = [f"{contrast.candidate.loss}: {_word(panel, contrast)}", *_evidence(panel, contrast)]
    parts += [f"{count} of {len(contrast.candidate.seeds)} {what}" for what, count in contrast.candidate.lost.items()]
    parts += [
        f"{count} of {len(contrast.baseline.seeds)} of {contrast.baseline.loss} {what}"
        for what, count in contrast.baseline.lost.items()
    ]
    return Line("; ".join(parts), tone=_TONES.get(contrast.verdict, "plain"))


def _word(panel: Panel, contrast: Contrast) -> str:
    margin = panel.rules.min_effect
    delta = "" if margin is None else amount(panel.measure, margin, unit=True)
    match contrast.verdict:
        case None if panel.at == "best-test":
            return "no verdict, as the epoch was picked on the test set"
        case None if any(arm.censored for arm in panel.arms):
            return "no verdict, as some runs never got there and their values are unknown"
        case None:
            return f"no verdict, as {panel.measure.title} is better neither higher nor lower"
        case Verdict.BETTER | Verdict.WORSE if margin is not None:
            return f"{contrast.verdict}, {'by more' if contrast.beyond else 'possibly by less'} than {delta}"
        case Verdict.EQUIVALENT if contrast.identical:
            return f"equivalent, identical in all {contrast.n} seeds; check that the loss is applied"
        case Verdict.EQUIVALENT:
            return f"equivalent within {delta}"
        case Verdict.UNDERPOWERED:
            if contrast.seeds_needed == MOST_SEEDS:
                return f"underpowered, needs {MOST_SEEDS:,} seeds or more to see {delta}"
            spread = f"{seed_count(contrast.seeds_low)} to {seed_count(contrast.seeds_high)}"
            return f"underpowered, needs about {contrast.seeds_needed} seeds ({spread}) to see {delta}"
        case Verdict.NO_DIFFERENCE if contrast.identical:
            return f"no detectable difference, identical in all {contrast.n} seeds; check that the loss is applied"
        case Verdict.INSUFFICIENT if contrast.n >= 3:
            return "insufficient data, the difference is the same in every seed and leaves no spread to judge it by"
        case word:
            return str(word)


def _evidence(panel: Panel, contrast: Contrast) -> list[str]:
    if contrast.gain is None:
        return []
    gain = amount(panel.measure, contrast.gain, signed=True, unit=True)
    if contrast.joint_low is not None and contrast.joint_high is not None:
        low, high = (amount(panel.measure, each, signed=True) for each in (contrast.joint_low, contrast.joint_high))
        gain += f" [{low}, {high}]"
    runs = f"{contrast.n} pair{'s' if contrast.n != 1 else ''}" if contrast.paired else "unpaired runs"
    return [f"{gain} in {runs}"]


def across_sentence(across: Across, panels: Sequence[Panel]) -> str:
    """One loss over all presets, which are judged by one metric."""
    measure = panels[0].measure
    count = f"ahead on {across.presets_better} and behind on {across.presets_worse} of {across.presets} presets"
    if any(panel.at == "best-test" for panel in panels):
        count += ", epochs PICKED ON THE TEST SET"
    elif any(panel.exploratory for panel in panels):
        count += " (exploratory)"
    gain, ends = across.plain_gain, (across.plain_low, across.plain_high)
    # Weights need a spread between seeds on every preset.
    if across.gain is not None and across.pooled_presets == across.presets:
        gain, ends = across.gain, (across.low, across.high)
    found = f"{amount(measure, gain, signed=True, unit=True)}"
    if ends[0] is not None and ends[1] is not None:
        found += f" [{amount(measure, ends[0], signed=True)}, {amount(measure, ends[1], signed=True)}]"
    return f"{across.candidate} over all presets: {found}, {count}"
