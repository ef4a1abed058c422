"""Finding the folder of the runs."""

import os
from pathlib import Path

import pytest

from lossbench.errors import StoreError
from lossbench.home import Home, find_home


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOSSBENCH_HOME", raising=False)


def test_the_nearest_folder_upwards_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "odd näme with blanks" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / ".lossbench").mkdir()
    monkeypatch.chdir(deep)
    assert find_home().root == tmp_path / ".lossbench"
    (deep.parent / ".lossbench").mkdir()
    assert find_home().root == deep.parent / ".lossbench"


def test_without_any_a_new_one_belongs_here_and_is_not_made_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_home().root == tmp_path / ".lossbench"
    assert not (tmp_path / ".lossbench").exists()


def test_a_named_home_beats_the_variable_and_the_variable_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".lossbench").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOSSBENCH_HOME", str(tmp_path / "variable"))
    assert find_home().root == tmp_path / "variable"
    assert find_home("named").root == tmp_path / "named"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_home("~/runs").root == tmp_path / "runs"


def test_a_home_that_duckdb_could_not_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"runs\\xff is no name in UTF-8"):
        find_home(tmp_path / "runs\udcff")


def test_places_inside_a_home_stay_inside(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for place in (home.store, home.lock, home.journals, home.checkpoints, home.checkpoint("abc")):
        assert place.is_relative_to(tmp_path)


def test_making_a_home_twice_is_fine_and_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path / "runs")
    home.create()
    home.create()
    assert home.journals.is_dir()
    assert home.checkpoints.is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write to .*file.*--home"):
        Home(tmp_path / "file").create()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_home_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot write to"):
        Home(tmp_path / "runs").create()
