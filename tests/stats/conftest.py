import numpy as np
import pytest


@pytest.fixture
def undecided() -> tuple[np.ndarray, np.ndarray]:
    """Baseline and candidate of five seeds, in percentage points, whose every statistic is known."""
    return np.array([77.31, 77.02, 77.58, 77.11, 77.44]), np.array([77.69, 77.35, 77.40, 77.62, 77.91])
