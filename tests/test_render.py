"""Every format shows the same cells, and no width loses any of them."""

import csv
import io
import json
import re
from datetime import UTC, datetime

import pytest
from rich.cells import cell_len

from lossbench import render
from lossbench.measures import MEASURES
from lossbench.render import Column, Document, Line, Section, Table, formats
from lossbench.render.cells import shown

COLUMNS = (
    Column(key="preset", title="preset", anchor=True),
    Column(key="loss", title="loss", anchor=True),
    Column(key="pairs", title="pairs", kind="integer"),
    Column(key="mean", title="mean", kind="percent"),
    Column(key="difference", title="paired difference", kind="percent", signed=True),
    Column(key="nll", title="NLL", unit="nats", kind="number", digits=3),
    Column(key="p", title="p", kind="pvalue"),
    Column(key="verdict", title="verdict", tones={"better": "good", "worse": "bad"}),
    Column(key="metric", title="metric"),
    Column(key="started", title="started", kind="time"),
    Column(key="took", title="took", kind="duration"),
    Column(key="clean", title="clean", kind="boolean"),
    Column(key="raw", title="raw", hidden=True),
)
MOMENT = datetime(2026, 11, 21, 5, 51, 53, tzinfo=UTC)
ROWS = (
    ("digits-mlp", "ce", 5, 0.9765, None, 0.0812345, None, None, "top1_acc", MOMENT, 42.04, True, None),
    ("digits-mlp", "ce-el:focus=0-0.5", 5, 1 / 3, 0.0031, 1e-5, 0.0123, "better", "top1_acc", MOMENT, 4123.0, True,
     "x,y"),
    ("digits-mlp", 'a "quoted" | name_1%, ' + "long-" * 30, 4, 0.5, -0.004, float("nan"), 1e-9, "worse", "top1_acc",
     MOMENT, 0.5, False, "é"),
)  # fmt: skip
TABLE = Table(name="contrasts", title="Against ce", columns=COLUMNS, rows=ROWS)
VISIBLE = [column for column in COLUMNS if not column.hidden]
CELLS = [[shown(column, row[COLUMNS.index(column)]) for column in VISIBLE] for row in ROWS]
SHORT = Table(name="contrasts", columns=COLUMNS, rows=ROWS[:2])
DOCUMENT = Document(
    title="Against ce",
    sections=(
        Section(heading="Verdict", body=(Line("ce-el is better", tone="good"), "on this test set")),
        Section(heading="Numbers", body=(SHORT,)),
    ),
    records=SHORT,
)


def draw(table: Table, format: render.Format, width: int | None = None, color: bool = False) -> str:
    return render.table(table, format, width=width, color=color)


def unfolded(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_values_are_shown_with_the_precision_and_signs_of_their_kind() -> None:
    assert CELLS[0] == [
        "digits-mlp", "ce", "5", "97.65", "-", "0.081", "-", "-", "top1_acc", "2026-11-21 05:51:53", "42.0 s", "yes",
    ]  # fmt: skip
    assert CELLS[1][3:8] == ["33.33", "+0.31", "0.000", "0.0123", "better"]
    assert CELLS[2][4:7] == ["-0.40", "nan", "<0.0001"]


def test_what_would_steer_a_terminal_is_shown_as_such() -> None:
    noted = "two\nlines \x1b[31mred\x07"
    table = Table(name="notes", columns=(Column(key="note", title="note"),), rows=((noted,),), title=noted)
    for width in (None, 80):
        drawn = render.table(table, "table", width=width, color=False)
        assert drawn.replace("\n", "").isprintable()
        assert "two lines \N{REPLACEMENT CHARACTER}[31mred" in drawn
    assert json.loads(draw(table, "json"))["rows"] == [{"note": noted}]


def cells_of(text: str, format: str) -> list[list[str]]:
    """The header and the rows of a Markdown or LaTeX table, as they were before they were escaped."""
    if format == "md":
        rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
        return [[re.sub(r"\\([\\|*_`<])", r"\1", cell) for cell in row] for row in (rows[0], *rows[2:])]
    words = {"less": "<", "bar": "|"}
    rows = [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if " & " in line]
    return [[re.sub(r"\\text(less|bar)\{\}|\\", lambda m: words.get(m[1], ""), cell) for cell in row] for row in rows]


def test_digits_round_for_people() -> None:
    for format, drawn in (("md", formats.markdown_table(TABLE, 1)), ("latex", formats.latex_table(TABLE, 1))):
        header, *rows = cells_of(drawn, format)
        assert header == [column.header for column in VISIBLE]
        rounded = {column.header for column in VISIBLE if column.kind in ("number", "percent")}
        for row, people in zip(rows, CELLS, strict=True):
            for name, cell, before in zip(header, row, people, strict=True):
                number = re.fullmatch(r"[+-]?\d+\.(\d+)", cell)
                assert len(number[1]) == 1 if name in rounded and number else cell == before


def test_the_formats_agree_cell_for_cell() -> None:
    """All but the table for screens hold one set of raw values, and the version of its keys."""
    keys = [column.key for column in COLUMNS]
    records = json.loads(draw(TABLE, "json"))["rows"]
    assert [json.loads(line) for line in draw(TABLE, "jsonl").splitlines()] == records
    table = list(csv.reader(io.StringIO(draw(TABLE, "csv"))))
    assert table[0] == keys == list(records[0])
    assert table[1:] == [["" if value is None else str(value) for value in record.values()] for record in records]
    assert records[1]["mean"] == 1 / 3
    assert records[0]["started"] == "2026-11-21T05:51:53Z"
    assert records[2]["nll"] is None

    for format in ("md", "latex"):
        assert cells_of(draw(TABLE, format), format) == table
        assert "schema_version: 1" in draw(TABLE, format)
    header = [column.header for column in VISIBLE]
    lines = draw(SHORT, "table").splitlines()
    assert [re.split(r" {2,}", line.strip()) for line in lines] == [header, *CELLS[:2]]


@pytest.mark.parametrize("width", [20, 40, 79, 80, 100, 120, 200, 500])
@pytest.mark.parametrize("table", [TABLE, SHORT], ids=["long", "short"])
def test_no_width_cuts_or_overflows(table: Table, width: int) -> None:
    text = draw(table, "table", width)
    assert max(map(cell_len, text.splitlines())) <= width
    words = unfolded(text)
    for row in CELLS[: len(table.rows)]:
        assert all(unfolded(cell) in words for cell in row if len(cell) <= 8)


def test_what_all_rows_share_moves_above_a_table_that_is_too_wide() -> None:
    assert "metric top1_acc" in draw(SHORT, "table", 80).splitlines()[0]
    assert "all rows" not in draw(SHORT, "table", 200)


def test_a_pipe_gets_one_line_per_row_without_colour_or_boxes() -> None:
    lines = draw(TABLE, "table").splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert not re.search(r"[\x1b─-╿…]", "".join(lines))


def test_colour_changes_nothing_but_colour() -> None:
    coloured = draw(SHORT, "table", 120, color=True)
    assert "\x1b[32mbetter" in coloured
    stripped = [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()]
    assert stripped == draw(SHORT, "table", 120).splitlines()


def test_the_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    before = draw(TABLE, "table", 80, color=True)
    for name, value in {"NO_COLOR": "1", "COLUMNS": "30", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    assert draw(TABLE, "table", 80, color=True) == before


@pytest.mark.parametrize("format", ["table", "json", "jsonl", "csv", "md", "latex"])
def test_an_empty_table_is_still_one(format: render.Format) -> None:
    text = draw(Table(name="none", columns=COLUMNS, rows=()), format, 80)
    assert {"table": "no rows", "json": '"rows": []', "jsonl": ""}.get(format, "preset") in text


def test_a_document_says_the_same_in_every_format() -> None:
    texts = {
        f: render.document(DOCUMENT, f, width=None, color=False)
        for f in ("table", "json", "jsonl", "csv", "md", "latex")
    }
    for format in ("table", "json", "md", "latex"):
        verdict, numbers = texts[format].index("ce-el is better"), texts[format].rindex("digits-mlp")
        assert verdict < numbers
    data = json.loads(texts["json"])
    assert [section["heading"] for section in data["sections"]] == ["Verdict", "Numbers"]
    assert data["sections"][0]["lines"] == ["ce-el is better", "on this test set"]
    assert data["sections"][1]["tables"][0]["rows"] == data["rows"] == json.loads(draw(SHORT, "json"))["rows"]
    head, *rows = draw(SHORT, "csv").splitlines()
    assert texts["csv"].splitlines() == [f"{head},schema_version", *(f"{row},1" for row in rows)]
    lines = [json.loads(line) for line in texts["jsonl"].splitlines()]
    assert lines == [row | {"schema_version": data["schema_version"]} for row in data["rows"]]
    narrow = render.document(DOCUMENT, "table", width=40, color=True)
    assert max(len(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in narrow.splitlines()) <= 40


def test_a_metric_brings_its_unit_and_scale() -> None:
    accuracy, nll = (render.measure_column(MEASURES[name]) for name in ("top1_acc", "nll"))
    assert (accuracy.header, shown(accuracy, 0.5)) == ("top-1 accuracy [%]", "50.00")
    assert (nll.header, shown(nll, 0.123456)) == ("NLL [nats]", "0.1235")


def test_a_row_of_the_wrong_length_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="2 values for 13 columns"):
        Table(name="runs", columns=COLUMNS, rows=(("a", "b"),))
