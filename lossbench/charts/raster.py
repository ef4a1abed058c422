"""A grid of character cells that curves and signs are drawn on."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lossbench.charts.figure import Array

__all__ = ["Raster"]

_BLANK = ord(" ")
_BRAILLE = 0x2800
_DOTS = np.array([[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]])
"""The bit of each dot [2, 4] of a braille letter, by column and row."""
_ACROSS, _DOWN = _DOTS.shape
_PLAIN = -1
_AFTER, _BEFORE = 0.0016585662, 0.001516152
"""How far past the middle of a cell the first value of an axis lies, and how far before it the last one: off the line
between two dots, where the last digit of a number would decide which of them is set."""


class Raster:
    """Cells [rows, columns] between the first and the last place of two axes, which lie in the middle of a cell each.

    Signs take a cell for themselves, the dots of curves share it; the colour is that of the last one.
    """

    def __init__(self, rows: int, columns: int, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Of `y` the first place is the one of the uppermost row."""
        self.rows, self.columns = rows, columns
        self.x, self.y = x, y
        self._letters = np.full((rows, columns), _BLANK, dtype=np.int32)
        self._shades = np.full((rows, columns), _PLAIN, dtype=np.int16)

    def column_of(self, x: Array) -> Array:
        """Where places [n] of the x axis lie, in cells from the left."""
        return _cells(x, self.x, self.columns)

    def row_of(self, y: Array) -> Array:
        """Where places [n] of the y axis lie, in cells from the top."""
        return _cells(y, self.y, self.rows)

    def signs(self, x: Array, y: Array, letter: str, shade: int) -> None:
        """One letter at each point [n]; points that are not finite or not within are left out."""
        seen = np.isfinite(x) & np.isfinite(y)
        rows, columns, _ = self._within(self.column_of(x[seen]), self.row_of(y[seen]))
        self._letters[rows, columns] = ord(letter)
        self._shades[rows, columns] = shade

    def curve(self, x: Array, y: Array, shade: int) -> None:
        """Straight lines of braille dots between neighbouring points [n], all of them finite."""
        across, down = _thinned(self.column_of(x), self.row_of(y), _ACROSS * self.columns)
        # A line sets as many dots as it passes columns or rows of them.
        steps = np.maximum(_dots_apart(across, _ACROSS), _dots_apart(down, _DOWN)).clip(1)
        line = np.repeat(np.arange(len(steps)), steps)
        share = (np.arange(len(line)) - np.repeat(np.cumsum(steps) - steps, steps) + 1) / steps[line]
        along, below = (np.concatenate([ends[:1], ends[line] + np.diff(ends)[line] * share]) for ends in (across, down))
        rows, columns, inside = self._within(along, below)
        bits = _DOTS[((along[inside] - columns) * _ACROSS).astype(int), ((below[inside] - rows) * _DOWN).astype(int)]
        signed = self._letters[rows, columns] < _BRAILLE
        self._letters[rows[signed], columns[signed]] = _BRAILLE
        np.bitwise_or.at(self._letters, (rows, columns), bits)
        self._shades[rows, columns] = shade

    def lines(self, color: bool) -> list[str]:
        """The rows as texts, with the codes of the terminal's 256 colours where these are wanted."""
        texts = [row.astype("<u4").tobytes().decode("utf-32-le") for row in self._letters]
        return [_painted(*each) for each in zip(texts, self._shades, strict=True)] if color else texts

    def _within(
        self, across: Array, down: Array
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        """The rows and columns of those points that lie on the grid, and which these are."""
        inside = (across >= 0) & (across < self.columns) & (down >= 0) & (down < self.rows)
        return down[inside].astype(np.intp), across[inside].astype(np.intp), inside


def _cells(places: Array, ends: tuple[float, float], count: int) -> Array:
    first, last = ends
    return 0.5 + _AFTER + (count - 1 - _AFTER - _BEFORE) * (places - first) / (last - first)


def _thinned(across: Array, down: Array, columns: int) -> Array:
    """The points [2, m] of a curve that change its picture: first, lowest, highest and last of each column of dots.

    Whatever lies between them falls on dots that the lines through them set anyway, but for a few at corners.
    """
    points = np.stack([across, down])
    if len(across) <= 4 * columns or np.any(np.diff(across) < 0):
        return points
    column = np.floor(_ACROSS * across)
    starts = np.flatnonzero(np.diff(column, prepend=column[0] - 1))
    ends = np.append(starts[1:], len(across)) - 1
    by_height = np.lexsort((down, column))
    return points[:, np.unique(np.concatenate([starts, ends, by_height[starts], by_height[ends]]))]


def _dots_apart(ends: Array, per_cell: int) -> npt.NDArray[np.intp]:
    return np.abs(np.diff((ends * per_cell).astype(np.intp)))


def _painted(text: str, shades: npt.NDArray[np.int16]) -> str:
    ends = [0, *(np.flatnonzero(np.diff(shades)) + 1).tolist(), len(text)]
    parts = [(text[first:last], int(shades[first])) for first, last in pairwise(ends)]
    return "".join(part if shade == _PLAIN else f"\x1b[38;5;{shade}m{part}\x1b[0m" for part, shade in parts)
