import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "modules",
    [
        "lossbench.cli.compare, lossbench.compare.claims, lossbench.render.comparison",
        "lossbench.cli.plot, lossbench.plots.training, lossbench.plots.forest, lossbench.plots.ranking, "
        "lossbench.plots.gradient, lossbench.charts.terminal",
    ],
)
def test_comparing_and_plotting_import_neither_scipy_nor_torch(modules):
    code = (
        f"import sys, {modules}; "
        "print([name for name in ('scipy', 'torch', 'pandas', 'sklearn') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
