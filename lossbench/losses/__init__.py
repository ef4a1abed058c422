"""Classification losses as pure functions `(logits [N, C], target [N], *, knobs) -> loss per sample [N]`.

    >>> from lossbench import losses
    >>> losses.build("focal:gamma=3")(logits, target)

A loss is written in one file of this package and registers itself; `catalogue()` lists them all.
"""

from lossbench.knobs import Fixed, FromData, Learned, Scheduled, Source, value_at
from lossbench.losses._examine import Finding, Report, describe_weight, examine, over_probability, weight_curve
from lossbench.losses._learned import raw_of, softmax_total, values_of
from lossbench.losses._margin import Curve, TrueClass, at_probability, true_class_and_residual
from lossbench.losses._registry import LEFT_OUT, Loss, LossFunction, catalogue, get, loss, true_class
from lossbench.losses._resolve import build, cautions, find, instance, per_sample, resolve, sources

__all__ = [
    "LEFT_OUT",
    "Curve",
    "Finding",
    "Fixed",
    "FromData",
    "Learned",
    "Loss",
    "LossFunction",
    "Report",
    "Scheduled",
    "Source",
    "TrueClass",
    "at_probability",
    "build",
    "catalogue",
    "cautions",
    "describe_weight",
    "examine",
    "find",
    "get",
    "instance",
    "loss",
    "over_probability",
    "per_sample",
    "raw_of",
    "resolve",
    "softmax_total",
    "sources",
    "true_class",
    "true_class_and_residual",
    "value_at",
    "values_of",
    "weight_curve",
]
