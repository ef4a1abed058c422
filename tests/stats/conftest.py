import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def undecided() -> tuple[np.ndarray, np.ndarray]:
    """Baseline and candidate of five seeds, in percentage points, whose every statistic is known."""
    return np.array([77.31, 77.02, 77.58, 77.11, 77.44]), np.array([77.69, 77.35, 77.40, 77.62, 77.91])


@dataclass(frozen=True)
class Printed:
    """A published table: models by CE, F=0, F=0,0.5, F=0-0.5."""

    n: int
    mean: np.ndarray
    sd: np.ndarray

    def gains(self, column: int) -> np.ndarray:
        # Printed with two decimals; rounding brings ties back that subtraction loses.
        return np.round(self.mean[:, column] - self.mean[:, 0], 2)

    def errors(self, column: int) -> np.ndarray:
        return np.sqrt((self.sd[:, column] ** 2 + self.sd[:, 0] ** 2) / self.n)


@pytest.fixture(scope="session")
def printed() -> dict[str, Printed]:
    """The tables of Combining cross entropy and expectation loss, by benchmark."""
    tables = json.loads((Path(__file__).parent / "printed.json").read_text())
    return {
        name: Printed(table["n"], np.array(table["mean"]), np.array(table["sd"]))
        for name, table in tables.items()
        if name != "source"
    }
