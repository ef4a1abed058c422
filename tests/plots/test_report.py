"""The page stands alone, says what compare says, and is well-formed."""

import re
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lossbench.cli import main
from lossbench.compare import compare_losses
from lossbench.errors import NothingFound
from lossbench.home import Home
from lossbench.plots import Request
from lossbench.render.comparison import comparison_document
from lossbench.report import html_report
from lossbench.store import Selection, Store

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TWO = Selection(presets=("digits-mlp", "wine-linear"))
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks nesting, and collects texts and everything a browser would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(bench: Store) -> Page:
    return Page(html_report(bench, Request(selection=TWO), at=NOW).html)


def test_nothing_is_fetched_and_nothing_runs(page: Page) -> None:
    assert page.sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "url(" not in "".join(page.texts)


def test_it_says_what_compare_says(page: Page, bench: Store) -> None:
    document = comparison_document(compare_losses(bench, TWO))
    said = "".join(page.texts)
    for section in document.sections:
        for item in section.body:
            text = item if isinstance(item, str) else getattr(item, "text", "")
            assert text in said


def test_it_holds_figures_runs_and_provenance(page: Page) -> None:
    said = "".join(page.texts)
    for kind in ("forest", "diff", "curves", "strip", "cd", "calibration"):
        assert f"lossbench plot {kind}" in said
    assert "train/objective became nan in epoch 6" in said
    assert said.count("ce-el:focus=0-0.5") >= 10
    assert "Provenance" in said


def test_the_same_store_gives_the_same_page(bench: Store) -> None:
    pages = {html_report(bench, Request(selection=Selection(presets=("grid",))), at=NOW).html for _ in range(2)}
    assert len(pages) == 1


def test_without_a_baseline_there_is_a_page_without_a_verdict(bench: Store) -> None:
    request = Request(selection=Selection(presets=("digits-mlp",)), baseline="mae")
    said = "".join(Page(html_report(bench, request, at=NOW).html).texts)
    assert "No verdict: " in said
    assert "lossbench plot curves" in said


def test_nothing_selected_is_said(bench: Store) -> None:
    with pytest.raises(NothingFound, match="unknown preset 'nowhere'"):
        html_report(bench, Request(selection=Selection(presets=("nowhere",))), at=NOW)


@pytest.mark.parametrize(("out", "code", "said"), [("page.html", 0, "wrote"), ("no/such/page.html", 2, "cannot write")])
def test_the_command_writes_the_page(
    out: str, code: int, said: str, bench_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    arguments = ["report", "digits-mlp", "--home", str(bench_home.root), "--out", str(tmp_path / out)]
    monkeypatch.setattr(sys, "argv", ["lossbench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert int(ended.value.code or 0) == code
    assert printed.out == ""
    assert said in printed.err
    if not code:
        assert re.match(r"<!doctype html>", (tmp_path / out).read_text())
