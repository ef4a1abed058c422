"""Planning: seeds, grids and the order of cells."""

import pytest

from lossbench import presets
from lossbench.errors import UsageError
from lossbench.executors import Group
from lossbench.spec import parse_loss
from lossbench.sweep import Planned, carry_out, cells, expand, parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1", (0,)), ("5", (0, 1, 2, 3, 4)), ("7,", (7,)), ("0,3,5-7", (0, 3, 5, 6, 7)), ("4-4", (4,))],
)
def test_seeds_are_a_count_or_a_list(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "five", "1,1", "3-1", "1..4", ",", "2,x", "100001", "0-100000", "9" * 5000]
)
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="seeds"):
        parse_seeds(text)


def test_a_grid_multiplies_the_presets_and_keeps_bracketed_commas_together() -> None:
    made = expand(
        ["digits-mlp"],
        ["epochs=2"],
        ["optimizer.lr=0.1,0.2", "model.hidden=[8],[8,8]", "optimizer.schedule=step(1,0.5),1"],
    )
    assert len(made) == 8
    assert {(each.optimizer.lr, each.model.hidden, each.optimizer.schedule) for each in made} == {
        (lr, hidden, schedule) for lr in (0.1, 0.2) for hidden in ((8,), (8, 8)) for schedule in ("step(1,0.5)", "1")
    }
    assert all(each.epochs == 2 for each in made)


@pytest.mark.parametrize("axis", ["optimizer.lr", "optimizer.lr=", "optimizer.lr=0.1,,0.2", "optimzer.lr=0.1"])
def test_a_bad_grid_is_refused(axis: str) -> None:
    with pytest.raises(UsageError):
        expand(["digits-mlp"], [], [axis])


def test_cells_come_seed_by_seed_so_that_an_early_stop_leaves_pairs() -> None:
    preset = presets.load("digits-mlp")
    losses = [parse_loss("ce"), parse_loss("adaptive"), parse_loss("ce")]
    made = cells([preset], losses, (3, 1))
    assert [(cell.seed, cell.loss.name) for cell in made] == [(3, "ce"), (3, "adaptive"), (1, "ce"), (1, "adaptive")]
    assert len({cell.key for cell in made}) == 4
    assert len({cell.recipe for cell in made}) == 1


class Recording:
    """An executor that only looks at what it is given."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.groups: list[Group] = []

    def room(self):
        return self._workers

    def run(self, groups, stop):
        self.groups = list(groups)
        return iter(())


@pytest.mark.parametrize(("workers", "ordered"), [(1, "sixfold last"), (2, "sixfold first")])
def test_with_several_workers_the_longest_cells_of_a_seed_begin_first(workers: int, ordered: str) -> None:
    short, long = presets.load("digits-cnn", ["epochs=2"]), presets.load("digits-cnn", ["epochs=6"])
    wanted = cells([short, long], [parse_loss("ce"), parse_loss("cot")], (1, 0))
    executor = Recording(workers)
    list(carry_out([Planned(spec=spec, action="start") for spec in wanted], executor, lambda: False))
    begun = [(cell.seed, cell.preset.epochs, cell.loss.name) for group in executor.groups for cell in group.cells]
    one_seed = [(2, "ce"), (2, "cot"), (6, "ce"), (6, "cot")]
    order = one_seed if ordered == "sixfold last" else one_seed[::-1]
    assert begun == [(seed, *each) for seed in (1, 0) for each in order]
