import subprocess
import sys


def test_comparing_imports_neither_scipy_nor_torch():
    code = (
        "import sys, lossbench.cli.compare, lossbench.compare.claims, lossbench.render.comparison; "
        "print([name for name in ('scipy', 'torch', 'pandas', 'sklearn') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
