"""Published claims as a list and as a report."""

from collections.abc import Mapping, Sequence

from lossbench.compare import Contrast
from lossbench.compare.claims import Claim, Joint, Paper
from lossbench.render.sentences import amount, figure
from lossbench.render.values import Column, Document, Item, Section, Table

__all__ = ["paper_document", "papers_table"]


def papers_table(papers: Sequence[Paper]) -> Table:
    """The papers whose figures are kept."""
    columns = (
        Column(key="paper", title="paper", anchor=True),
        Column(key="claims", title="claims", kind="integer"),
        Column(key="presets", title="presets", kind="integer"),
        Column(key="losses", title="losses"),
        Column(key="suites", title="suites"),
    )
    rows = tuple(
        (
            each.name,
            len(each.claims),
            len({claim.preset for claim in each.claims}),
            ", ".join(dict.fromkeys(claim.loss for claim in each.claims)),
            ", ".join(each.suites),
        )
        for each in papers
    )
    return Table(name="claims", columns=columns, rows=rows)


def paper_document(paper: Paper, ours: Mapping[tuple[str, str], Contrast]) -> Document:
    """What a paper says, what its numbers allow, and what our runs say."""
    sections = [Section(heading="What the numbers allow", body=tuple(_claim(each, ours) for each in paper.claims))]
    if paper.joint:
        sections.append(Section(heading="All presets together", body=tuple(_joint(each) for each in paper.joint)))
    caveats: list[Item] = [
        "Without the values of each seed a paper's spread cannot be paired; Welch's test stands in.",
        "Spread by the rule of thumb: sqrt(error / (2 rows)) between seeds, a stand-in until there are runs.",
    ]
    if any((each.preset, each.loss) not in ours for each in paper.claims):
        caveats.append(f"Not every claim has runs of its own: `lossbench claims run {paper.name}` plans them.")
    sections.append(Section(heading="Caveats", body=tuple(caveats)))
    return Document(title=f"Claims of arXiv {paper.name}", sections=tuple(sections), records=_records(paper, ours))


def _claim(claim: Claim, ours: Mapping[tuple[str, str], Contrast]) -> str:
    gain = amount(claim.measure, claim.gain, signed=True, unit=True)
    runs = f"{claim.n} runs" if claim.n > 1 else "one run, as far as is said"
    told, base = (figure(claim.measure, each) for each in (claim.value, claim.baseline_value))
    parts = [f"{claim.preset}, {claim.loss}: {claim.measure.title} {told} against {base} of ce, {gain}, from {runs}"]
    if claim.rows_gained is not None and claim.sampling_se is not None:
        parts.append(
            f"{claim.rows_gained:+.0f} of {claim.test_rows} test rows, where one value has a sampling error of "
            + amount(claim.measure, claim.sampling_se)
        )
    if claim.welch is not None:
        low, high = (amount(claim.measure, each, signed=True) for each in claim.welch.interval())
        parts.append(f"interval from the printed spreads [{low}, {high}], p {claim.welch.p:.2g}")
    elif claim.largest_sd is not None:
        parts.append(
            f"p < 0.05 only if the differences per seed spread by less than {amount(claim.measure, claim.largest_sd)}"
        )
    if claim.discordance is not None and claim.n == 1:
        parts.append(f"McNemar's p < 0.05 only if the two models disagree on at most {claim.discordance} rows")
    if claim.seeds_needed is not None and claim.thumb_sd is not None:
        thumb = amount(claim.measure, claim.thumb_sd)
        parts.append(f"takes {claim.seeds_needed} seeds per loss at a spread of {thumb}")
    mine = ours.get((claim.preset, claim.loss))
    if mine is not None and mine.gain is not None:
        parts.append(f"measured here: {_measured(claim, mine)}")
    return "; ".join(parts)


def _measured(claim: Claim, mine: Contrast) -> str:
    text = amount(claim.measure, mine.gain or 0.0, signed=True, unit=True)
    if mine.low is not None and mine.high is not None:
        low, high = (amount(claim.measure, each, signed=True) for each in (mine.low, mine.high))
        text += f" [{low}, {high}]"
    return f"{text} in {mine.n} pairs, {mine.verdict or 'no verdict'}"


def _joint(joint: Joint) -> str:
    parts = [
        f"{joint.loss}: ahead on {joint.better} of {joint.presets} presets",
        f"mean gain {100 * joint.mean_gain:+.2f} points",
        f"Wilcoxon p {joint.wilcoxon_p:.2g}",
    ]
    if joint.pooled is not None:
        low, high = joint.pooled.estimate.interval()
        parts.append(f"pooled {100 * joint.pooled.estimate.value:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]")
    return ", ".join(parts)


def _records(paper: Paper, ours: Mapping[tuple[str, str], Contrast]) -> Table:
    texts = ("paper", "preset", "loss", "metric")
    numbers = (
        "baseline_value", "value", "n", "gain", "test_rows", "welch_low", "welch_high", "welch_p", "largest_sd",
        "rows_gained", "sampling_se", "discordance", "thumb_sd", "seeds_needed", "measured_gain", "measured_low",
        "measured_high", "measured_n",
    )  # fmt: skip
    rows = []
    for each in paper.claims:
        mine = ours.get((each.preset, each.loss))
        low, high = each.welch.interval() if each.welch else (None, None)
        said = (each.baseline_value, each.value, each.n, each.gain, each.test_rows)
        welch = (low, high, each.welch.p if each.welch else None)
        allowed = (each.largest_sd, each.rows_gained, each.sampling_se, each.discordance, each.thumb_sd)
        own = (mine.gain, mine.low, mine.high, mine.n) if mine else (None,) * 4
        names = (paper.name, each.preset, each.loss, each.measure.name)
        rows.append((*names, *said, *welch, *allowed, each.seeds_needed, *own))
    columns = [Column(key=key, title=key) for key in texts]
    columns += [Column(key=key, title=key.replace("_", " "), kind="number") for key in numbers]
    return Table(name="claims", columns=tuple(columns), rows=tuple(rows))
