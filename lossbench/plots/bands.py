"""Several runs of one loss as one curve with its spread."""

from collections.abc import Sequence

import numpy as np

from lossbench.charts import Line
from lossbench.charts.figure import Array, array
from lossbench.plots.request import Band
from lossbench.stats.distributions import t_quantile

__all__ = ["BAND_NAMES", "aligned", "band_lines", "smoothed", "spread"]

BAND_NAMES: dict[Band, str] = {
    "ci": "95 % t interval of the mean",
    "sd": "one standard deviation on either side",
    "minmax": "smallest to largest",
    "seeds": "every seed a thin line",
}


def aligned(curves: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Curves (epochs, values) on their common epochs: epochs [E], values [n, E], NaN where a run has none."""
    epochs = np.unique(np.concatenate([epochs for epochs, _ in curves])) if curves else np.array([])
    table = np.full((len(curves), len(epochs)), np.nan)
    for row, (own, values) in zip(table, curves, strict=True):
        row[np.searchsorted(epochs, own)] = array(values)
    return epochs.astype(np.float64), table


def smoothed(table: Array, epochs: int) -> Array:
    """Mean of the last `epochs` values of each row [n, E], of fewer at the beginning; NaN spreads."""
    if epochs <= 1:
        return table
    padded = np.pad(table, ((0, 0), (epochs - 1, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, epochs, axis=1)
    counts = np.minimum(np.arange(1, table.shape[1] + 1), epochs)
    inside = np.arange(epochs) >= epochs - counts[:, None]
    return np.asarray(np.where(inside, windows, 0.0).sum(axis=-1) / counts)


def spread(table: Array, band: Band) -> tuple[Array, Array | None, Array | None]:
    """Mean over runs of values [n, E] and the ends of the band [E]; NaN at epochs that not every run has.

    A t interval or standard deviation needs two runs; with one there is only the curve.
    """
    n = len(table)
    mean = table.mean(axis=0)
    match band:
        case "minmax":
            return mean, table.min(axis=0), table.max(axis=0)
        case "ci" | "sd" if n > 1:
            half = table.std(axis=0, ddof=1)
            if band == "ci":
                half = half * t_quantile(0.975, n - 1) / np.sqrt(n)
            return mean, mean - half, mean + half
    return mean, None, None


def band_lines(series: int, epochs: Array, table: Array, band: Band) -> list[Line]:
    """The marks of one loss: its mean with the band, or for `seeds` every run as a thin line beneath the mean."""
    if not table.size:
        return []
    mean, low, high = spread(table, band)
    thin = [Line(series=series, x=epochs, y=row, thin=True) for row in table] if band == "seeds" else []
    return [*thin, Line(series=series, x=epochs, y=mean, low=low, high=high)]
