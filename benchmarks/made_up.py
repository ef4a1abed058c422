"""A home full of finished runs with made-up numbers, for timing whatever reads them."""

from collections.abc import Sequence

import numpy as np

from lossbench import processes
from lossbench.events import EpochDone, EpochMetrics, PredictionsKept, RunEnded, RunStarted, new_run_id, now
from lossbench.home import Home
from lossbench.journal import Journal
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec, parse_loss

__all__ = ["SEEDS", "fill"]

SEEDS = 10


def fill(
    home: Home,
    runs: int,
    epochs: int,
    losses: Sequence[str],
    constants: Sequence[str] = (),
    rows: int = 0,
    *,
    noise: Sequence[str] = (),
    first: int = 0,
) -> None:
    """Write the journal of that many runs: 10 seeds of every loss, as many presets as it takes.

    Accuracy rises with the epochs and is 0.001 better for each loss after the first; NLL and objective mirror it.

    Args:
        constants: further metrics, 1.0 in every epoch.
        rows: test rows whose predictions each run keeps.
        noise: further metrics, random in all their bits.
        first: number of the first run, where earlier ones are in the home already.
    """
    random = np.random.default_rng(first)
    home.create()
    with Journal(home) as journal:
        for number in range(first, first + runs):
            cell, seed = divmod(number, SEEDS)
            block, loss = divmod(cell, len(losses))
            preset = Preset(
                name=f"preset-{block:03d}",
                data=DataSpec(name="made-up"),
                model=ModelSpec(name="mlp"),
                epochs=epochs,
                batch_size=32,
                optimizer=OptimizerSpec(name="sgd", lr=0.1 + block),
            )
            spec = RunSpec(preset=preset, loss=parse_loss(losses[loss]), seed=seed, numbers_version=NUMBERS_VERSION)
            common = {"run_id": new_run_id(), "at": now()}
            start = {"key": spec.key, "recipe": spec.recipe, "spec": spec.resolved(), "from_epoch": 0}
            provenance = {**processes.identity(), "lossbench": "0", "torch": "0", "device": "cpu"}
            journal.append(RunStarted(**common, **start, provenance=provenance))
            curve = 0.7 - 0.5 * np.exp(-np.arange(epochs) / 20) + 0.003 * random.standard_normal(epochs) + 0.001 * loss
            drawn = random.random((epochs, len(noise))).tolist()
            for epoch, value in enumerate(curve.tolist(), start=1):
                mirrored = {"test/nll": 1 - value, "train/objective": 1 - value}
                further = {**dict.fromkeys(constants, 1.0), **dict(zip(noise, drawn[epoch - 1], strict=True))}
                values = {**further, "test/top1_acc": value, **mirrored}
                journal.append(EpochDone(**common, metrics=EpochMetrics(epoch=epoch, values=values)))
            if rows:
                p = random.random(rows).tolist()
                columns = {"label": [1] * rows, "predicted": [int(each > 0.3) for each in p], "rank": [0] * rows}
                journal.append(PredictionsKept(**common, epoch=epochs, split="test", p_true=p, p_max=p, **columns))
            journal.append(RunEnded(**common, status="done"))
