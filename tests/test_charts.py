"""A picture is true at any size: nothing is cut, nothing is invented, and it reads without colour."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lossbench import charts
from lossbench.charts import Axis, Bars, Box, Cells, Figure, Line, Panel, Points, Rule, Span, array
from lossbench.charts.canvas import marker_of
from lossbench.charts.scale import limits, ticks
from lossbench.charts.shorten import shortened
from lossbench.errors import UsageError

EPOCHS = np.arange(1.0, 31.0)
NAN = float("nan")
EPOCH = Axis(title="epoch", whole=True)
ACCURACY = Axis(title="top-1 accuracy", unit="%")
LONG = "a-loss-with-a-name:" + ",".join(f"knob{i}={i}" for i in range(20))


def rising(series: int, **more: object) -> Line:
    y = 100 * (1 - np.exp(-EPOCHS / (8 + 3 * series)))
    return Line(series=series, x=EPOCHS, y=y, low=y - 2, high=y + 2, **more)


def one_panel(*marks: charts.Mark, x: Axis = EPOCH, y: Axis = ACCURACY) -> tuple[Panel, ...]:
    return (Panel(x=x, y=y, marks=marks),)


NAMES = Axis(title="", names=("ce", LONG, "adaptive"))
FIGURES = {
    "curves": Figure(
        title="top-1 accuracy by epoch on digits-mlp",
        panels=one_panel(rising(0), rising(1), rising(2), Rule(axis="x", at=15.0)),
        series=("ce", "adaptive", LONG),
        caption="n = 5 seeds; 95 % t interval of the mean",
    ),
    "panels": Figure(
        title="four panels",
        panels=tuple(Panel(title=f"preset {i}", x=EPOCH, y=ACCURACY, marks=(rising(i),)) for i in range(4)),
        series=("a", "b", "c", "d"),
    ),
    "fifty": Figure(
        title="fifty losses", panels=one_panel(*map(rising, range(50))), series=tuple(f"loss-{i}" for i in range(50))
    ),
    "holes": Figure(
        title="holes",
        panels=one_panel(
            Line(series=0, x=EPOCHS, y=np.where(EPOCHS % 7 == 0, NAN, EPOCHS)),
            Line(series=1, x=EPOCHS, y=EPOCHS * NAN),
            Line(series=2, x=EPOCHS[:1], y=EPOCHS[:1], low=array([None]), high=array([NAN])),
        ),
        series=("broken", "empty", "one point"),
    ),
    "nothing": Figure(title="nothing", panels=one_panel(Line(series=0, x=EPOCHS, y=EPOCHS * NAN)), series=("empty",)),
    "forest": Figure(
        title="gains",
        panels=one_panel(
            Rule(axis="x", at=0.0),
            Points(
                series=0, x=array([0.5, -1.0, 0.25]), y=array([0, 1, 2]),
                low=array([0.1, -2, None]), high=array([1, 0.5, None]),
            ),
            Box(series=1, y=1.0, low=-2.0, quarter=-1.0, median=0.0, three_quarters=0.5, high=1.0),
            Span(y=2.0, low=-0.5, high=0.5),
            x=Axis(title="gain", unit="points"),
            y=NAMES,
        ),
        series=("", ""),
    ),
    "headings": Figure(
        title="gains by loss",
        panels=one_panel(
            Rule(axis="x", at=0.0),
            Points(series=0, x=array([0.5, -1.0]), y=array([1, 3])),
            x=Axis(title="gain in the area under the risk-coverage curve", unit="points"),
            y=Axis(title="", names=("ce", "digits-mlp (n = 5)", LONG, "digits-mlp (n = 5)"), headings=(0, 2)),
        ),
        series=("",),
    ),
    "bars": Figure(
        title="bars",
        panels=one_panel(Bars(series=0, edges=np.linspace(0, 1, 5), heights=array([0, 1, 3, 9]))),
        series=("right",),
    ),
    "grid": Figure(
        title="grid",
        panels=one_panel(
            Cells(values=array([[1, 2, NAN], [4, 3, 0]])),
            x=Axis(title="lr", names=("0.01", "0.1", "1")),
            y=Axis(title="momentum", names=("0", LONG)),
        ),
    ),
    "log": Figure(
        title="log",
        panels=one_panel(
            Line(series=0, x=EPOCHS, y=10.0 ** -(EPOCHS / 5) * (EPOCHS != 4)),
            y=Axis(title="NLL", unit="nats", log=True),
        ),
        series=("ce",),
    ),
}  # fmt: skip


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()


@pytest.mark.parametrize("width", [30, 80, 120])
@pytest.mark.parametrize("height", [12, 20, 40])
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_fits_every_screen(name: str, width: int, height: int) -> None:
    figure = FIGURES[name]
    lines = plain(charts.text(figure, width=width, height=height, color=False))
    assert max(map(len, lines)) <= width
    joined = re.sub(r"\s+", "", "".join(lines))
    labels = [axis.label for panel in figure.panels[:1] for axis in (panel.x, panel.y) if len(figure.panels) == 1]
    for text in (figure.title, figure.caption, *figure.series, *labels):
        assert re.sub(r"\s+", "", text) in joined


@pytest.mark.parametrize("name", FIGURES)
def test_colour_changes_nothing_but_colour(name: str) -> None:
    colourless = charts.text(FIGURES[name], width=80, height=24, color=False)
    assert "\x1b" not in colourless
    coloured = charts.text(FIGURES[name], width=80, height=24, color=True)
    assert "\x1b[38;5;" in coloured or name == "nothing"
    assert [line.rstrip() for line in plain(coloured)] == colourless.splitlines()


def test_a_screen_of_twenty_rows_is_not_exceeded_by_one_panel() -> None:
    assert len(charts.text(FIGURES["curves"], width=80, height=19, color=False).splitlines()) <= 19


MANY = Figure(
    title="nine panels",
    panels=tuple(Panel(title=f"preset {i}", x=EPOCH, y=ACCURACY, marks=(rising(0),)) for i in range(9)),
    series=("ce",),
    caption="n = 5 seeds",
)


@pytest.mark.parametrize(("width", "height"), [(80, 19), (120, 19), (80, 30), (40, 19)])
def test_panels_beyond_the_screen_are_counted_and_can_be_seen(width: int, height: int) -> None:
    text = charts.text(MANY, width=width, height=height, color=False)
    assert len(text.splitlines()) <= height
    told = re.search(r"not shown: (\d) of 9 panels; --height (\d+) shows all", " ".join(text.split()))
    assert told is not None
    shown = [i for i in range(9) if f"preset {i}" in text]
    assert shown == list(range(9 - int(told[1])))
    # The command keeps a row for the prompt.
    room = int(told[2]) - 1
    whole = charts.text(MANY, width=width, height=room, color=False)
    assert len(whole.splitlines()) <= room
    assert all(f"preset {i}" in whole for i in range(9))
    assert "not shown" in charts.text(MANY, width=width, height=room - 1, color=False)


def many_rows(mark: str) -> Figure:
    """Forty categories in two blocks, of which the last two sum up."""
    names = (
        "first",
        *(f"preset-{i}" for i in range(18)),
        "second",
        *(f"preset-{i}" for i in range(18, 36)),
        "all",
        "x",
    )
    y = Axis(title="", names=names, headings=(0, 19, 38), closing=2)
    held = [place for place in range(40) if place not in y.headings]
    marks: tuple[charts.Mark, ...]
    if mark == "points":
        marks = tuple(Points(series=0, x=array([place]), y=array([place])) for place in held)
    elif mark == "box":
        five = {"low": 0.0, "quarter": 1.0, "median": 2.0, "three_quarters": 3.0, "high": 4.0}
        marks = (Rule(axis="x", at=1.0), *(Box(series=0, y=float(place), **five) for place in held))
    elif mark == "line":
        marks = (Line(series=None, x=array(held), y=array(held)),)
    else:
        marks = (Cells(values=np.arange(80.0).reshape(40, 2)),)
    x = Axis(title="rank", names=("1", "2")) if mark == "cells" else Axis(title="gain", unit="points")
    return Figure(title="many", panels=(Panel(x=x, y=y, marks=marks),), series=("",), caption="n = 5")


@pytest.mark.parametrize(("width", "height"), [(80, 19), (120, 23), (40, 16)])
@pytest.mark.parametrize("mark", ["points", "box", "line", "cells"])
def test_categories_beyond_the_screen_are_counted_and_can_be_seen(mark: str, width: int, height: int) -> None:
    figure = many_rows(mark)
    text = charts.text(figure, width=width, height=height, color=False)
    assert len(text.splitlines()) <= height
    told = re.search(r"not shown: (\d+) of 40 rows; --height (\d+) shows all", " ".join(text.split()))
    assert told is not None
    shown = [name for name in figure.panels[0].y.names if re.search(rf"(?<![\w-]){name}(?![\w-])", text)]
    assert len(shown) == 40 - int(told[1])
    assert {"first", "preset-0", "all", "x"} <= set(shown)
    whole = charts.text(figure, width=width, height=int(told[2]) - 1, color=False)
    assert "preset-35" in whole
    assert "not shown" not in whole


def test_a_mark_keeps_its_category_on_a_smaller_picture() -> None:
    panel = many_rows("points").panels[0]
    smaller = shortened(panel, 21)
    # The second block has lost its rows, and with them its heading.
    assert smaller.y.names == (*panel.y.names[:19], "all", "x")
    placed = {smaller.y.names[int(mark.y[0])]: float(mark.x[0]) for mark in smaller.marks}
    assert placed == {
        name: float(i) for i, name in enumerate(panel.y.names) if name in smaller.y.names and i not in (0, 38)
    }


def test_an_interval_does_not_hide_the_line_it_crosses() -> None:
    figure = FIGURES["forest"]
    crossed = charts.text(figure, width=80, height=19, color=False)
    apart = replace(figure.panels[0], marks=(Rule(axis="x", at=9.0), *figure.panels[0].marks[1:]))
    assert "┼" in crossed
    assert "┼" not in charts.text(replace(figure, panels=(apart,)), width=80, height=19, color=False)


def test_an_endless_page_shows_every_panel_at_a_readable_height() -> None:
    text = charts.text(MANY, width=80, height=19, color=False, endless=True)
    assert all(f"preset {i}" in text for i in range(9))
    assert len(text.splitlines()) == 2 + 5 * 12 + 1


def test_panels_that_belong_together_stand_side_by_side() -> None:
    pairs = replace(MANY, panels=MANY.panels[:6], together=2)
    texts = [charts.text(figure, width=120, height=30, color=False) for figure in (pairs, replace(pairs, together=1))]
    first, *_ = (line.split() for line in texts[0].splitlines() if "preset 0" in line)
    assert first == ["preset", "0", "preset", "1"]
    assert re.search("preset 1 +preset 2", texts[1])
    assert "preset 0" in charts.text(pairs, width=40, height=30, color=False)


def dots(figure: Figure, width: int) -> set[tuple[int, int, int]]:
    """The braille dots of a picture: line, column, bit."""
    lines = charts.text(figure, width=width, height=23, color=False).splitlines()
    signs = {(i, j): ord(sign) - 0x2800 for i, line in enumerate(lines) for j, sign in enumerate(line)}
    return {(*at, bit) for at, sign in signs.items() for bit in range(8) if 0 < sign < 256 and sign >> bit & 1}


@pytest.mark.parametrize("width", [80, 120])
def test_a_long_curve_is_thinned_to_the_same_picture(width: int) -> None:
    """20,000 epochs with a peak and a dip of one epoch, beside the same curve in pieces too short to be thinned."""
    x = np.arange(1.0, 20_001.0)
    y = np.sin(x / 3000) + 0.1 * np.sin(x)
    y[7_654], y[15_432] = 3.0, -2.0
    axes = {"x": Axis(title="x", limits=(1.0, 20_000.0)), "y": Axis(title="y", limits=(-2.0, 3.0))}
    pieces = [slice(first, first + 101) for first in range(0, len(x) - 1, 100)]
    whole, apart = (
        dots(Figure(title="", panels=one_panel(*marks, **axes)), width)
        for marks in (
            [Line(series=None, x=x, y=y)],
            [Line(series=None, x=x[piece], y=y[piece]) for piece in pieces],
        )
    )
    # Nothing is invented, and all that may be missing is a dot at a corner.
    assert whole <= apart
    assert len(apart - whole) < 0.02 * len(apart)


def test_series_are_told_apart_by_signs() -> None:
    signs = [marker_of(series) for series in range(50)]
    assert len(set(signs)) == 50
    text = charts.text(FIGURES["panels"], width=120, height=40, color=False)
    assert all(text.count(sign) > 2 for sign in signs[:4])


def test_a_mark_lies_where_its_numbers_say() -> None:
    """Three points on a line of known limits come out in the first, middle and last column."""
    figure = Figure(
        title="",
        panels=one_panel(
            Points(series=0, x=array([0, 50, 100]), y=array([0, 0, 0])),
            x=Axis(title="share", limits=(0.0, 100.0)),
            y=Axis(title="", names=("ce",)),
        ),
        series=("",),
    )
    row = next(line for line in charts.text(figure, width=84, height=12, color=False).splitlines() if "●" in line)
    canvas = row[row.index("┤") + 1 :]
    columns = [index for index, letter in enumerate(canvas) if letter == "●"]
    assert columns[0] == 0
    assert columns[2] == 80
    assert columns[1] == 40


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [
        (0.0, 1.0, False), (93.1, 95.8, False), (1.0, 20.0, False), (-1e-7, 1e-7, False), (1e6, 5e9, False),
        (-3.0, 2.0, True), (0.1, 0.2, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("most", [2, 3, 5, 9])
def test_ticks_are_round_few_and_inside(low: float, high: float, log: bool, most: int) -> None:
    found = ticks(Axis(title="x", log=log), low, high, most)
    assert 1 <= len(found) <= max(most, 3)
    spots = [place for place, _ in found]
    assert spots == sorted(spots)
    assert all(low - 1e-9 * (high - low) <= place <= high + 1e-9 * (high - low) for place in spots)
    for place, label in found:
        assert float(label) == pytest.approx(10**place if log else place, abs=1e-3 * (high - low), rel=1e-6)
    assert len({label for _, label in found}) == len(found)


def test_epochs_are_marked_at_whole_numbers() -> None:
    assert [label for _, label in ticks(EPOCH, 1.0, 3.0, 9)] == ["1", "2", "3"]


def test_a_constant_curve_has_room_around_it() -> None:
    (panel,) = one_panel(Line(series=0, x=EPOCHS, y=np.full(30, 7.0)))
    low, high = limits(panel, "y")
    assert low < 7 < high


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_becomes_a_file(name: str, tmp_path: Path) -> None:
    charts.save(FIGURES[name], tmp_path / "a.svg")
    svg = (tmp_path / "a.svg").read_text()
    assert f"<!-- {FIGURES[name].title} -->" in svg


def test_a_logarithmic_axis_has_numbers_on_paper(tmp_path: Path) -> None:
    x = np.array([0.003, 0.01, 0.1, 0.3])
    line = Line(series=0, x=x, y=x)
    rate = Axis(title="optimizer.lr", log=True)
    text = charts.svg(Figure(title="rates", panels=one_panel(line, x=rate, y=rate), series=("ce",)))
    assert "mathdefault" not in text
    assert {"<!-- 0.01 -->", "<!-- 0.1 -->"} <= set(re.findall(r"<!-- .*? -->", text))


def test_a_long_title_and_caption_stay_on_the_sheet() -> None:
    from matplotlib.textpath import TextPath

    title = "reliability of test predictions on uci-wine-hidden, uci-iris-hidden and 4 more; " * 3
    figure = replace(FIGURES["panels"], title=title.upper(), caption=title * 2)
    svg = charts.svg(figure)
    (width,) = map(float, re.findall(r'<svg [^>]*width="([\d.]+)pt"', svg))
    sizes = {9: title.upper().split()[0], 7: title.split()[0]}
    for size, word in sizes.items():
        lines = [line for line in re.findall(r"<!-- (.*?) -->", svg) if word in line]
        assert lines
        assert max(TextPath((0, 0), line, size=size).get_extents().width for line in lines) < width


@pytest.mark.parametrize(("suffix", "magic"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_files_for_papers_are_reproducible(suffix: str, magic: bytes, tmp_path: Path) -> None:
    first, second = (tmp_path / f"{take}.{suffix}" for take in ("first", "second"))
    for path in (first, second):
        charts.save(FIGURES["curves"], path)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(magic)


@pytest.mark.parametrize("name", FIGURES)
def test_csv_holds_every_drawn_number(name: str, tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    charts.save(FIGURES[name], path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    drawn = 0
    for panel in FIGURES[name].panels:
        for mark in panel.marks:
            match mark:
                case Line() | Points():
                    drawn += len(mark.x)
                case Box():
                    drawn += 2
                case Bars():
                    drawn += len(mark.heights)
                case Cells():
                    drawn += mark.values.size
                case _:
                    drawn += 1
    assert len(rows) == drawn
    if name == "curves":
        own = [row for row in rows if row["series"] == "adaptive"]
        assert [float(row["y"]) for row in own] == rising(1).y.tolist()
        assert [float(row["low"]) for row in own] == (rising(1).y - 2).tolist()
    if name == "forest":
        of_box = {
            row["mark"]: (row["low"], row["x"], row["high"]) for row in rows if row["mark"] in ("quartiles", "range")
        }
        assert of_box == {"quartiles": ("-1.0", "0.0", "0.5"), "range": ("-2.0", "0.0", "1.0")}


def test_txt_is_the_picture_of_a_terminal(tmp_path: Path) -> None:
    charts.save(FIGURES["curves"], tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == charts.text(FIGURES["curves"], width=120, height=40, color=False)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.gif", "a.gif: its ending has to be .svg"),
        ("a", "a: its ending has to be .svg"),
        ("no/a.csv", "No such"),
        ("no/a.svg", "No such"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_sentence(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        charts.save(FIGURES["curves"], tmp_path / name)


def test_a_figure_file_without_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"lossbench\[figures\]"):
        charts.save(FIGURES["curves"], tmp_path / "a.svg")
