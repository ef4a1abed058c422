"""Machine code is kept where it can be, and does without where it cannot."""

import subprocess
import sys

import numba
import numpy as np
import pytest
from numba import types

from lossbench.cohort import _compiling

SIGNATURE = types.void(types.float64[::1])


def doubled(values):
    for at in range(len(values)):
        values[at] *= 2


def works(function):
    values = np.arange(3.0)
    function(values)
    return values.tolist() == [0.0, 2.0, 4.0]


def test_code_is_kept_for_the_next_process(tmp_path):
    first = _compiling.compiled(doubled, SIGNATURE, tmp_path)
    assert works(first)
    assert not first.stats.cache_hits
    again = _compiling.compiled(doubled, SIGNATURE, tmp_path)
    assert works(again)
    assert sum(again.stats.cache_hits.values()) == 1


def test_damaged_code_is_compiled_anew(tmp_path):
    _compiling.compiled(doubled, SIGNATURE, tmp_path)
    for file in tmp_path.rglob("*.nb?"):
        file.write_bytes(b"damaged")
    assert works(_compiling.compiled(doubled, SIGNATURE, tmp_path))


def test_a_folder_that_cannot_be_made_costs_only_the_time(tmp_path):
    (tmp_path / "file").touch()
    assert _compiling.writable(tmp_path / "file" / "kernels") is None
    assert works(_compiling.compiled(doubled, SIGNATURE, None))


def test_code_of_every_source_has_a_folder_of_its_own_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = _compiling.folder()
    assert folder.parent == tmp_path / "lossbench" / "kernels"
    assert _compiling.writable(folder) == folder
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))
    assert _compiling.folder().parent == tmp_path / "named"
    assert folder.name in _compiling.folder().name


def test_a_named_cache_of_numba_is_left_alone(tmp_path):
    before = numba.config.CACHE_DIR
    _compiling.compiled(doubled, SIGNATURE, tmp_path)
    assert before == numba.config.CACHE_DIR


@pytest.mark.parametrize("module", ["lossbench.cohort", "lossbench.experiment"])
def test_no_compiler_comes_along_before_a_cohort_is_built(module):
    code = f"import sys, {module}; print('numba' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
