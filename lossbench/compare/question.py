"""What the runs of a preset are judged by, and the numbers that answer it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lossbench.compare.derived import Derived, derived_finals, parse_derived
from lossbench.errors import NothingFound, UsageError
from lossbench.measures import Measure, measure
from lossbench.store import Selection, Store, queries
from lossbench.store.queries import Final, RunBrief

__all__ = ["Asker", "Question"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Metric, split and epochs."""

    measure: Measure
    split: str
    at: str
    """An epoch rule, or `all` for a metric made from whole curves."""
    exploratory: bool
    derived: Derived | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Finds out what each preset is judged by, and fetches those numbers once for all presets that share it."""

    store: Store
    selection: Selection
    metric: str | None
    at: str | None
    answers: dict[tuple[str, str, str], dict[str, Final]]

    def question(self, rows: Sequence[RunBrief]) -> Question:
        """What the user asks, else what the newest run of the preset declares."""
        derived = parse_derived(self.metric) if self.metric else None
        if derived is not None:
            if self.at is not None:
                raise UsageError(f"metric {self.metric!r} is about whole runs; leave out --at")
            return Question(measure=derived.measure, split=derived.split, at="all", exploratory=True, derived=derived)
        own = rows[-1].metric or "top1_acc", rows[-1].metric_at or "last"
        split, _, name = (self.metric or own[0]).rpartition("/")
        split, at = split or "test", self.at or own[1]
        known = () if split != "loss" else [each.name for each in queries.metrics(self.store) if each.split == split]
        return Question(
            measure=measure(name, known), split=split, at=at, exploratory=(split, name, at) != ("test", *own)
        )

    def declared(self, rows: Sequence[RunBrief]) -> Question:
        """What settings are chosen by: the metric and the epochs that the preset declares, on the validation rows."""
        name, at = rows[-1].metric or "top1_acc", rows[-1].metric_at or "last"
        return Question(measure=measure(name), split="val", at=at, exploratory=False)

    def finals(self, preset: str, question: Question, rows: Sequence[RunBrief]) -> Mapping[str, Final]:
        """The value of each run of the preset that has one, by run id.

        Raises:
            UsageError: the epoch rule reaches beyond the runs, or no data with so few classes have the metric.
            NothingFound: no finished run stored the metric.
        """
        key = (question.measure.name, question.split, question.at)
        if key not in self.answers:
            self.answers[key] = self._fetch(question)
        mine = {row.run_id: self.answers[key][row.run_id] for row in rows if row.run_id in self.answers[key]}
        done = [row for row in rows if row.status == "done"]
        epochs = min((row.epochs for row in done), default=0)
        if done and question.derived is None and queries.parse_at(question.at).last > epochs:
            raise UsageError(f"{preset}: {question.at} reaches beyond the {epochs} epochs of the runs")
        if done and not any(row.run_id in mine for row in done):
            stored = sorted({f"{each.split}/{each.name}" for each in queries.metrics(self.store, self.selection)})
            asked = question.derived.base if question.derived else question.measure
            if asked.fewest_classes > 2:
                raise UsageError(f"{preset}: metric {asked.name} needs at least {asked.fewest_classes} classes")
            wanted = f"{question.split}/{asked.name}"
            raise NothingFound(f"{preset}: no run stored {wanted} for {question.at}; stored are {', '.join(stored)}")
        return mine

    def _fetch(self, question: Question) -> dict[str, Final]:
        if question.derived is not None:
            return derived_finals(self.store, self.selection, question.derived)
        name, split, at = question.measure.name, question.split, question.at
        return {each.run_id: each for each in queries.finals(self.store, self.selection, name, split=split, at=at)}
