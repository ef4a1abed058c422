"""Metrics against scikit-learn, scipy and numpy; independence of the runs evaluated together."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics
import torch

from lossbench import metrics
from lossbench.measures import MEASURES, QUANTILES, SPEED

FROM_THE_TRAINER = {"objective", "gnorm_all", "gnorm_last", "wnorm_all", "lr", *SPEED}
SHAPES = [(1, 2), (7, 2), (340, 3), (211, 7), (501, 10), (997, 100)]


def sample(rows: int, classes: int, runs: int = 1, scale: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows * classes)
    target = torch.randint(classes, (rows,), generator=generator)
    logits = scale * torch.randn(runs, rows, classes, generator=generator)
    return logits + 2 * torch.nn.functional.one_hot(target, classes), target


def test_every_measure_is_computed_and_every_metric_is_a_measure():
    logits, target = sample(20, 10)
    assert metrics.evaluate(logits, target).keys() == MEASURES.keys() - FROM_THE_TRAINER


@pytest.mark.parametrize(("rows", "classes"), SHAPES)
def test_metrics_equal_their_oracles(rows, classes):
    logits, target = sample(rows, classes)
    z, y = logits[0].double().numpy(), target.numpy()
    p, log_p = scipy.special.softmax(z, -1), scipy.special.log_softmax(z, -1)
    p_true, confidence, labels = p[np.arange(rows), y], p.max(-1), np.arange(classes)
    accuracy = sklearn.metrics.accuracy_score(y, p.argmax(-1))
    expected = {
        "top1_acc": accuracy,
        "macro_recall": sklearn.metrics.recall_score(y, p.argmax(-1), labels=np.unique(y), average="macro"),
        "nll": sklearn.metrics.log_loss(y, np.exp(log_p), labels=labels),
        "brier": np.mean(((p - np.eye(classes)[y]) ** 2).sum(-1)),
        "entropy": scipy.stats.entropy(p, axis=-1).mean(),
        "conf_mean": confidence.mean(),
        "over": confidence.mean() - accuracy,
        **{f"py_q{q:02d}": np.quantile(p_true, q / 100) for q in QUANTILES},
    }
    if classes > 5:
        expected["top5_err"] = 1 - sklearn.metrics.top_k_accuracy_score(y, p, k=5, labels=labels)
    got = {name: value.item() for name, value in metrics.evaluate(logits, target).items()}
    assert got.pop("ece15") == pytest.approx(plain_ece(confidence, p.argmax(-1) == y), abs=1e-6)
    assert got == pytest.approx(expected, rel=2e-6, abs=2e-6)


def plain_ece(confidence: np.ndarray, right: np.ndarray) -> float:
    """Naeini's definition, bin by bin."""
    total = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("rows", "classes"), [*SHAPES, (40_001, 3), (40_001, 7)])
def test_a_run_has_the_same_digits_whoever_is_evaluated_beside_it(rows, classes, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        logits, target = sample(rows, classes, runs=5)
        together = metrics.evaluate(logits, target)
        shuffled = metrics.evaluate(logits[[3, 1, 4]], target)
        for run in range(5):
            alone = metrics.evaluate(logits[run].clone(), target)
            assert {name: value.item() for name, value in alone.items()} == {
                name: value[run].item() for name, value in together.items()
            }
        assert all(torch.equal(shuffled[name], together[name][[3, 1, 4]]) for name in together)
    finally:
        torch.set_num_threads(before)


def test_leading_axes_are_kept():
    logits, target = sample(11, 7, runs=6)
    values = metrics.evaluate(logits.reshape(2, 3, 11, 7), target)
    assert {value.shape for value in values.values()} == {(2, 3)}
    assert {value.dtype for value in values.values()} == {torch.float64}


def test_ties_go_to_the_lower_class():
    logits = torch.zeros(1, 7, 7)
    values = metrics.evaluate(logits, torch.arange(7))
    assert values["top1_acc"].item() == pytest.approx(1 / 7)
    assert values["top5_err"].item() == pytest.approx(2 / 7)
    kept = metrics.predictions(logits[0], torch.arange(7))
    assert kept["rank"] == [0, 1, 2, 3, 4, 5, 6]
    assert kept["predicted"] == [0] * 7


def test_few_classes_have_no_top_5_error():
    assert "top5_err" not in metrics.evaluate(*sample(9, 5))
    assert "top5_err" in metrics.evaluate(*sample(9, 6))


def test_saturated_logits_stay_finite():
    logits = torch.tensor([[[1000.0, -1000.0], [-1000.0, 1000.0]]])
    values = metrics.evaluate(logits, torch.tensor([0, 0]))
    assert all(torch.isfinite(value).all() for value in values.values())
    assert values["nll"].item() == 1000
    assert values["brier"].item() == 1
    assert values["entropy"].item() == 0
    assert values["ece15"].item() == pytest.approx(0.5)


def test_bf16_logits_are_measured_in_float32():
    logits, target = sample(50, 10)
    rough = logits.bfloat16()
    assert metrics.evaluate(rough, target) == metrics.evaluate(rough.float(), target)


def test_predictions_describe_each_row():
    logits, target = sample(30, 8)
    kept = metrics.predictions(logits[0], target)
    p = logits[0].softmax(-1)
    assert kept["label"] == target.tolist()
    assert kept["predicted"] == p.argmax(-1).tolist()
    assert kept["p_true"] == p[torch.arange(30), target].tolist()
    assert kept["p_max"] == p.max(-1).values.tolist()
    assert kept["rank"] == [int((row > row[label]).sum()) for row, label in zip(logits[0], target, strict=True)]
