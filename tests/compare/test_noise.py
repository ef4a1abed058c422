import numpy as np
import pytest

from lossbench.compare.noise import against_itself
from lossbench.errors import NothingFound, UsageError
from lossbench.render import document
from lossbench.render.noise import noise_document
from lossbench.store import Store


def judged(bench, **options):
    with Store.open(bench.home) as store:
        return against_itself(store, "toy", **options)


def test_the_floor_is_what_chance_makes(bench):
    values = np.random.default_rng(0).normal(0.77, 0.003, 40)
    bench.arm("ce", values)
    found = judged(bench, seeds=5)
    # The difference of two means of five has a spread of sd sqrt(2/5); two sided, 95 % lie within 1.96 of it.
    assert found.floor == pytest.approx(1.96 * values.std(ddof=1) * np.sqrt(2 / 5), rel=0.1)
    assert found.alarms == pytest.approx(0.05, abs=0.02)
    assert (found.runs, found.seeds) == (40, 5)
    shown = document(noise_document(found), "table", width=80, color=False)
    assert "5 % are to be expected" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80


def test_too_few_runs_name_the_sweep(bench):
    bench.arm("ce", [0.7] * 6)
    with pytest.raises(NothingFound, match=r"10 finished runs of ce are needed, 6 are there; .*--seeds 10` makes them"):
        judged(bench)


def test_too_few_seeds(bench):
    with pytest.raises(UsageError, match="at least 3"):
        judged(bench, seeds=2)
