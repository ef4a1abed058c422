"""`lossbench plot` as a person or a script meets it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lossbench.cli import main
from lossbench.home import Home
from lossbench.plots import KINDS

Plot = Callable[..., tuple[int, str, str]]


@pytest.fixture
def plot(bench_home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Plot:
    """Run the command on the made-up bench: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lossbench", "plot", "--home", str(bench_home.root), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


@pytest.mark.parametrize("kind", [*KINDS, "gradient"])
def test_every_kind_is_drawn_into_a_pipe_without_colour(kind: str, plot: Plot) -> None:
    presets = ("grid",) if kind == "sweep" else ("digits-mlp", "wine-linear")
    code, out, err = plot(kind, *(() if kind == "gradient" else presets))
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_without_a_kind_it_draws_curves(plot: Plot) -> None:
    assert plot("curves")[1] == plot()[1]


def test_width_height_and_colour_are_followed(plot: Plot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, out, _ = plot("curves", "digits-mlp", "--width", 120, "--height", 40)
    assert "\x1b[38;5;" in out
    lines = re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()
    assert 110 <= max(map(len, lines)) <= 120
    assert 36 <= len(lines) <= 39


def test_runs_of_several_recipes_are_compared_as_compare_compares_them(plot: Plot) -> None:
    code, out, err = plot("forest", "grid")
    assert (code, out) == (5, "")
    assert "--tuned optimizer.lr" in err
    # These runs have no validation rows to choose by, and every seed at several rates.
    fields = ("optimizer.lr", "optimizer.momentum")
    assert "val/top1_acc" in plot("forest", "grid", *(word for field in fields for word in ("--tuned", field)))[2]
    assert "runs of seed 0 that differ in optimizer.lr" in plot("forest", "grid", "--allow", "optimizer")[2]
    code, out, _ = plot("forest", "digits-mlp", "--allow", "optimizer.lr")
    assert code == 0
    assert "runs may differ in optimizer.lr" in " ".join(out.split())


def test_dates_choose_runs(plot: Plot) -> None:
    assert plot("curves", "--before", "2001-01-01")[0] == 3
    assert plot("curves", "--since", "2001-01-01") == plot("curves")


def test_help_names_every_kind(plot: Plot) -> None:
    code, out, _ = plot("--help")
    assert code == 0
    assert all(re.search(rf"\b{kind}\b", out) for kind in [*KINDS, "gradient"])


def test_no_stored_run_is_drawn_with_torch_pandas_or_matplotlib(bench_home: Home) -> None:
    """Contracts cannot see deferred imports, so a fresh interpreter draws every kind and looks."""
    look = """
import sys
from pathlib import Path
from lossbench import charts, plots
from lossbench.home import Home
from lossbench.store import Selection, Store
with Store.open(Home(Path(sys.argv[1]))) as store:
    for kind in plots.KINDS:
        presets = ("grid",) if kind == "sweep" else ("digits-mlp", "wine-linear")
        figure = plots.figure(kind, store, plots.Request(selection=Selection(presets=presets)))
        charts.text(figure, width=80, height=24, color=True)
print(*{"torch", "pandas", "matplotlib"} & set(sys.modules))
"""
    command = [sys.executable, "-c", look, str(bench_home.root)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_numbers_and_heat_maps_do_without_plotext(bench_home: Home, tmp_path: Path) -> None:
    """It takes longer to import than these take to be made."""
    look = """
import sys
from lossbench.cli import main
try:
    main()
except SystemExit as ended:
    print(ended.code or 0, "plotext" in sys.modules, file=sys.stderr)
"""
    wanted = {"ranks": False, "curves --out=a.csv": False, "curves": True}
    for kind, imported in wanted.items():
        arguments = ["plot", *kind.split(), "digits-mlp", "wine-linear", "--home", str(bench_home.root)]
        ended = subprocess.run(
            [sys.executable, "-c", look, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert ended.stderr.splitlines()[-1] == f"0 {imported}", kind


@pytest.mark.parametrize("name", ["a.svg", "a.csv", "a.txt"])
def test_out_writes_a_file_and_leaves_stdout_alone(name: str, plot: Plot, tmp_path: Path) -> None:
    code, out, err = plot("curves", "--out", tmp_path / name)
    assert (code, out) == (0, "")
    assert err == f"note: wrote {tmp_path / name}\n"
    assert (tmp_path / name).stat().st_size > 100


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("cruves",), 2, "did you mean 'curves'"),
        (("curves", "-m", "nil"), 2, "did you mean 'nll'"),
        (("curves", "nowhere"), 3, "no runs: unknown preset 'nowhere'"),
        (("curves", "--where", "seeed > 1"), 2, "seeed"),
        (("curves", "--out", "a.gif"), 2, "a.gif: its ending has to be .svg"),
        (("curves", "--out", "no/such/a.svg"), 2, "cannot write no/such/a.svg"),
        (("gradient", "-l", "adaptiv"), 2, "did you mean 'adaptive'"),
        (("gradient", "digits-mlp"), 2, "name losses with --loss"),
        (("gradient", "-l", "cot"), 2, "takes several steps per batch"),
        (("box", "--smooth", "3"), 2, "--smooth does nothing for box; it is for curves, diff, knobs and throughput"),
        (("curves", "--tuned", "optimizer.lr"), 2, "it is for forest, cd, profile and ranks"),
        (("forest", "-m", "nll", "-m", "top1_acc"), 2, "forest draws one metric, got nll and top1_acc"),
        (("forest", "--allow", "optimizer.learning"), 2, "did you mean"),
        (("curves", "--since", "soon"), 2, "'soon' is no date"),
        (("curves", "suite:nothing"), 2, "nothing"),
        (("cd", "digits-mlp"), 3, "two presets or more"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], code: int, said: str, plot: Plot) -> None:
    ended, out, err = plot(*arguments)
    assert (ended, out) == (code, "")
    assert said in err
    assert len(err.splitlines()) == 1
