"""The metrics by name: what each means, its unit and which way is better.

The training half computes them, the reading half orients, scales and labels them; both look here. Stored values are
fractions in [0, 1] where the unit is `fraction`; percent exists only on screens. Definitions follow
Naeini et al. 2015 (ECE), Brier 1950 (Brier score) and ordinary usage.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lossbench.errors import UsageError, unknown

__all__ = ["MEASURES", "QUANTILES", "SPEED", "Measure", "check", "measure"]

QUANTILES = (5, 25, 50, 75, 95)
"""Percentiles of p_y that are stored, as `py_q05` and so on."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric, as every part of the program speaks of it."""

    name: str
    title: str
    unit: Literal[
        "fraction", "nats", "score", "norm", "factor", "seconds", "samples per second", "MiB", "count", "knob"
    ]
    better: Literal["higher", "lower", "neither"]
    meaning: str
    fewest_classes: int = 2
    """Runs on data with fewer classes do not store it."""

    @property
    def sign(self) -> int:
        """+1 where larger is better, -1 where smaller is; metrics that are neither count as +1."""
        return -1 if self.better == "lower" else 1

    @property
    def scale(self) -> float:
        """Factor from the stored value to the shown one: 100 for fractions."""
        return 100.0 if self.unit == "fraction" else 1.0

    @property
    def shown_unit(self) -> str:
        """The unit after `scale`, as axes and tables print it."""
        return {"fraction": "%", "score": "", "factor": "", "count": "", "knob": "", "norm": "l2"}.get(
            self.unit, self.unit
        )


_ALL = (
    Measure("top1_acc", "top-1 accuracy", "fraction", "higher", "share of rows whose largest logit is the true class"),
    Measure(
        "top5_err",
        "top-5 error",
        "fraction",
        "lower",
        "share of rows whose true class is not among the 5 largest logits; absent below 6 classes",
        fewest_classes=6,
    ),
    Measure(
        "macro_recall", "macro recall", "fraction", "higher", "mean over the classes present of the per-class accuracy"
    ),
    Measure("nll", "NLL", "nats", "lower", "mean of -log p_y, the same for every loss"),
    Measure("brier", "Brier score", "score", "lower", "mean of sum_c (p_c - [c = y])^2, 0 to 2"),
    Measure(
        "ece15", "ECE", "fraction", "lower", "expected calibration error, 15 equal bins (lo, hi] of the confidence"
    ),
    Measure("entropy", "entropy", "nats", "neither", "mean entropy of the predicted distribution"),
    Measure("conf_mean", "confidence", "fraction", "neither", "mean of the largest probability"),
    Measure("over", "over-confidence", "fraction", "neither", "mean confidence minus accuracy"),
    *(
        Measure(
            f"py_q{q:02d}",
            f"p_y {q} % quantile",
            "fraction",
            "neither",
            f"{q} % quantile of the probability given to the true class",
        )
        for q in QUANTILES
    ),
    Measure(
        "objective",
        "objective",
        "score",
        "neither",
        "mean of the training loss in its own units, never compared across losses",
    ),
    Measure(
        "gnorm_all",
        "gradient norm",
        "norm",
        "neither",
        "l2 norm of the gradient of all weights, mean over the steps of the epoch",
    ),
    Measure(
        "gnorm_last",
        "gradient norm, last layer",
        "norm",
        "neither",
        "l2 norm of the gradient of the last linear layer's weights, mean over the steps",
    ),
    Measure("wnorm_all", "weight norm", "norm", "neither", "l2 norm of all weights at the end of the epoch"),
    Measure("lr", "learning rate", "factor", "neither", "learning rate at the last step of the epoch"),
    Measure("seconds", "time per epoch", "seconds", "lower", "wall time of the epoch's training steps and evaluation"),
    Measure(
        "samples_per_second", "throughput", "samples per second", "higher", "training rows per second of training time"
    ),
    Measure(
        "data_stall",
        "data stalls",
        "fraction",
        "lower",
        "share of training time in which the device had no batch to work on, the first device of several (Mohan et al. "
        "2021, arXiv 2007.06775); absent for cohorts, which hold all rows",
    ),
    Measure(
        "peak_mem_mib",
        "peak memory",
        "MiB",
        "lower",
        "largest device allocation of the epoch; on the CPU the process's peak resident size",
    ),
)

SPEED = ("samples_per_second", "data_stall", "seconds", "peak_mem_mib")
"""What a run tells of its speed and size, under the split `train`: all that differs when it is trained once more."""

MEASURES = {each.name: each for each in _ALL}
"""Every metric a run may store, by name. Knob values are stored beside them, under the split `loss`."""


def check(name: str, classes: int) -> None:
    """Refuse a metric that this many classes cannot serve.

    Raises:
        UsageError: there are too few classes.
    """
    if classes < (fewest := MEASURES[name].fewest_classes):
        raise UsageError(f"metric {name} needs at least {fewest} classes, the data have {classes}")


def measure(name: str, stored: Iterable[str] = ()) -> Measure:
    """The metric of that name; a `stored` name without an entry is a knob value of some loss.

    Raises:
        UsageError: neither known nor stored.
    """
    if name in MEASURES:
        return MEASURES[name]
    known = set(stored)
    if name in known:
        return Measure(name, name, "knob", "neither", "value of a loss knob in that epoch")
    raise unknown("metric", name, known | MEASURES.keys())
