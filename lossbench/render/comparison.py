"""A comparison as a report: verdicts first, numbers after, caveats last."""

from collections.abc import Sequence

from lossbench.compare import Comparison, Contrast, Panel, Verdict
from lossbench.compare.testset import RowByRow
from lossbench.compare.values import listed
from lossbench.render.contrasts import (
    across_tables,
    arms_table,
    difference_tables,
    published_table,
    ranking_table,
    records,
)
from lossbench.render.diagram import rank_diagram
from lossbench.render.explain import formulas
from lossbench.render.sentences import across_sentence, question, verdict_line
from lossbench.render.testset import row_by_row_section
from lossbench.render.tuning import choices_table
from lossbench.render.values import Document, Item, Line, Section, Table

__all__ = ["comparison_document"]


def comparison_document(value: Comparison, rows: Sequence[RowByRow] = (), *, explain: bool = False) -> Document:
    """The report on a comparison; with `explain`, the formula and source of every number at its end."""
    verdicts: list[Item] = [Line(across_sentence(each, value.panels)) for each in value.across]
    for panel in value.panels:
        verdicts.append(question(panel, value.baseline))
        verdicts += [verdict_line(panel, each) for each in panel.contrasts]
    sections = [Section(heading="Verdict", body=tuple(verdicts))]
    sections += [Section(heading=panel.preset, body=_numbers(panel)) for panel in value.panels]
    over_presets: list[Item] = [*across_tables(value)] if value.across else []
    if value.ranking:
        over_presets += [ranking_table(value.ranking, value.panels[0].measure), *_ranking_lines(value)]
        diagram = rank_diagram(value.ranking)
        over_presets += [diagram] if diagram else []
    if published := published_table(value):
        over_presets.append(published)
    if over_presets:
        sections.append(Section(heading="Over all presets", body=tuple(over_presets)))
    if rows:
        sections.append(row_by_row_section(rows, value.panels[0].rules.alpha))
    sections.append(Section(heading="Caveats", body=_caveats(value)))
    if explain:
        tables = [item for section in sections for item in section.body if isinstance(item, Table)]
        sections.append(Section(heading="Formulas", body=formulas(tables)))
    return Document(title=f"Losses against {value.baseline}", sections=tuple(sections), records=records(value))


def _numbers(panel: Panel) -> tuple[Item, ...]:
    chosen = [choices_table(panel.choices, panel.measure)] if panel.choices else []
    return (*chosen, arms_table(panel), *difference_tables(panel))


def _ranking_lines(value: Comparison) -> list[Item]:
    ranking = value.ranking
    if ranking is None:
        return []
    lines: list[Item] = []
    if ranking.left_out:
        lines.append(f"Not ranked, as some preset has no value of them: {', '.join(ranking.left_out)}.")
    if ranking.friedman is None:
        return lines
    how = "permutations within presets" if ranking.permuted else "chi-square"
    lines.append(
        f"Friedman chi-square {ranking.friedman:.4g}, p {ranking.friedman_p:.4g} by {how}; "
        + (
            f"Iman-Davenport F {ranking.iman_davenport:.4g}, p {ranking.iman_davenport_p:.4g}; "
            if ranking.iman_davenport is not None
            else ""
        )
        + f"Nemenyi distance {ranking.critical_difference:.4g} mean ranks"
    )
    lines.append("Ranks depend on which losses take part: a picture, not a verdict.")
    return lines


def _looks(panel: Panel) -> list[Item]:
    """How often the question was put to the test rows, where more than once or by plan."""
    at, plan = ", ".join(map(str, panel.looked)), panel.plan
    if plan is not None:
        unplanned = [n for n in panel.looked if n not in plan.looks]
        taken = sum(n in plan.looks for n in panel.looked)
        lines: list[Item] = [f"{panel.preset}: {plan.statement}; {taken} of {len(plan.looks)} looks taken, at {at}"]
        if unplanned:
            beside = ", ".join(map(str, unplanned))
            lines.append(Line(f"{panel.preset}: the looks at {beside} pairs were not in that plan", tone="warn"))
        return lines
    if len(panel.looked) > 1:
        text = (
            f"{panel.preset}: this question has been looked at {len(panel.looked)} times, at {at} pairs; each look "
            "without a plan adds to the chance of a false alarm"
        )
        return [Line(text, tone="warn")]
    return []


def _beyond_joint(panel: Panel, contrast: Contrast) -> str | None:
    """Why a verdict may stand beside a joint interval that holds 0."""
    decided = contrast.verdict in (Verdict.BETTER, Verdict.WORSE)
    low, high = contrast.joint_low, contrast.joint_high
    if not decided or low is None or high is None or not low <= 0 <= high:
        return None
    return (
        f"{panel.preset}: {contrast.candidate.loss} is {contrast.verdict} by its adjusted p; corrected p values see "
        "more than intervals that hold jointly, so that its joint interval includes 0"
    )


def _budgets(value: Comparison) -> list[Item]:
    """What each loss could be tuned by, in a line where all losses and presets had the same."""
    tuned = [panel for panel in value.panels if panel.choices]
    lines: list[Item] = []
    for fields in dict.fromkeys(panel.tuned for panel in tuned):
        choices = [each for panel in tuned if panel.tuned == fields for each in panel.choices]
        budgets = {(each.tried, each.runs) for each in choices}
        spent = "as listed"
        if len(budgets) == 1:
            spent = f"{choices[0].tried} settings and {choices[0].runs} runs for every loss of every preset"
        how = {each.search for each in choices if each.search}
        found = f"; found by {' and '.join(sorted(how))}, judged on other seeds" if how else ""
        lines.append(
            f"Each loss stands at its own {', '.join(fields)}, the best on the validation rows; budget: {spent}{found}."
        )
    return lines


def _caveats(value: Comparison) -> tuple[Item, ...]:
    lines: list[Item] = []
    for panel in value.panels:
        if panel.at == "best-test":
            lines.append(Line(f"{panel.preset}: epochs picked on the test set flatter the noisier loss", tone="warn"))
        if any(not each.paired for each in panel.contrasts):
            losses = ", ".join(each.candidate.loss for each in panel.contrasts if not each.paired)
            lines.append(
                f"{panel.preset}: {losses} shares fewer than 3 seeds with {value.baseline}: Welch's test, unpaired"
            )
        for each in panel.contrasts:
            if each.unmatched:
                seeds = listed(each.unmatched)
                lines.append(
                    f"{panel.preset}: {each.candidate.loss} leaves out seeds with a value on one side only: {seeds}"
                )
        lines += [stepped for each in panel.contrasts if (stepped := _beyond_joint(panel, each))]
        if panel.rules.min_effect is None and panel.rules.judged:
            lines.append(f"{panel.preset}: without --min-effect neither equivalence nor power is judged")
        lines += _looks(panel)
        if panel.exploratory:
            lines.append(f"{panel.preset}: exploratory; the preset declares another metric or epoch")
    lines += _budgets(value)
    lines += [Line(each, tone="warn") for each in value.warnings]
    lines.append("Every verdict holds for this test set and this recipe.")
    return tuple(lines)
