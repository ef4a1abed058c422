"""Journals: what was acknowledged is there, what was torn harms nobody."""

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbench.errors import StoreError
from lossbench.events import EpochDone, EpochMetrics, now
from lossbench.home import Home
from lossbench.journal import Damaged, Journal, Line, journals, read, scan, sizes, writing


def epoch(number: int) -> EpochDone:
    return EpochDone(run_id="r1", at=now(), metrics=EpochMetrics(epoch=number, values={"test/nll": float(number)}))


def epochs(path: Path, offset: int = 0) -> list[int]:
    return [line.body["epoch"] for line in read(path, offset)]


def test_what_is_appended_is_read_back_in_order_from_any_line_on(home: Home) -> None:
    with Journal(home) as journal:
        for number in range(1, 6):
            journal.append(epoch(number), sync=number == 5)
    lines = list(read(journal.path))
    assert [line.body["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line.seq for line in lines] == [0, 1, 2, 3, 4]
    assert {line.attempt for line in lines} == {journal.attempt}
    assert epochs(journal.path, lines[1].end) == [3, 4, 5]
    assert lines[-1].end == journal.path.stat().st_size
    assert sizes(home) == {journal.attempt: lines[-1].end}
    assert journals(home) == [journal.path]


def test_a_journal_torn_at_any_byte_keeps_every_whole_line(home: Home) -> None:
    with Journal(home) as journal:
        for number in range(1, 4):
            journal.append(epoch(number))
    whole = journal.path.read_bytes()
    for length in range(len(whole)):
        journal.path.write_bytes(whole[:length])
        assert epochs(journal.path) == [1, 2, 3][: whole[:length].count(b"\n")]


def test_events_written_at_once_are_lines_of_their_own_and_a_torn_one_takes_no_other_with_it(home: Home) -> None:
    with Journal(home) as journal:
        journal.append(epoch(1))
        journal.extend([epoch(number) for number in range(2, 5)], sync=True)
        journal.extend([])
        journal.append(epoch(5))
    lines = list(read(journal.path))
    assert [(line.seq, line.body["epoch"]) for line in lines] == [(at, at + 1) for at in range(5)]
    whole = journal.path.read_bytes()
    for length in range(len(whole)):
        journal.path.write_bytes(whole[:length])
        assert epochs(journal.path) == [1, 2, 3, 4, 5][: whole[:length].count(b"\n")]


def test_after_a_torn_write_the_next_line_stands_alone_and_no_number_is_used_twice(home: Home) -> None:
    with Journal(home) as journal:
        journal.append(epoch(1))
        full = journal.path.stat().st_size + 20
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, before[1]))
        try:
            for _ in range(2):
                with pytest.raises(StoreError, match="cannot write journal"):
                    journal.append(epoch(2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        journal.append(epoch(3))
    assert epochs(journal.path) == [1, 3]
    seqs = [line.seq for line in read(journal.path)]
    assert seqs == sorted(set(seqs))


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot create a journal in .*nowhere"):
        Journal(Home(tmp_path / "nowhere"))


HOSTILE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\x00\xff\xfe",
    b'{"attempt": "ATTEMPT"}',
    b'{"attempt": "ATTEMPT", "seq": "0"}',
    b'{"attempt": "ATTEMPT", "seq": true}',
    b'{"attempt": "someother1", "seq": 0}',
    b'{"attempt": "ATTEMPT", "seq": 0, "x": NaN}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda raw: repr(raw[:24]))
def test_lines_that_are_no_events_of_this_journal_are_counted_and_passed_over(home: Home, hostile: bytes) -> None:
    with Journal(home) as journal:
        journal.append(epoch(1))
        with journal.path.open("ab") as file:
            file.write(hostile.replace(b"ATTEMPT", journal.attempt.encode()) + b"\n")
        journal.append(epoch(2))
    assert epochs(journal.path) == [1, 2]
    assert [type(line) for line in scan(journal.path)] == [Line, Damaged, Line]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_can_be_scanned(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "aaaaaaaaaa.jsonl"
    path.write_bytes(noise)
    found = list(scan(path))
    assert len(found) == noise.count(b"\n")
    assert not found or found[-1].end == noise.rindex(b"\n") + 1


def test_what_is_no_journal_is_left_alone(home: Home, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"attempt": "bbbbbbbbbb", "seq": 0}\n')
    (home.journals / "bbbbbbbbbb.jsonl").symlink_to(secret)
    (home.journals / "notes.txt").write_text("mine")
    (home.journals / "cccccccccc.jsonl").mkdir()
    os.mkfifo(home.journals / "dddddddddd.jsonl")
    assert journals(home) == []
    assert journals(Home(tmp_path / "nowhere")) == []
    with pytest.raises(StoreError, match="cannot read journal"):
        list(read(home.journals / "bbbbbbbbbb.jsonl"))


def test_a_long_line_and_many_lines_cross_the_reading_chunks(home: Home) -> None:
    with Journal(home) as journal:
        journal.append(epoch(1))
    raw = json.loads(journal.path.read_text())
    lines = [{**raw, "seq": number, "epoch": number + 1, "padding": "x" * 3_000_000} for number in range(12)]
    journal.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert epochs(journal.path) == list(range(1, 13))


def _append_slowly(root: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with Journal(Home(root)) as journal:
        number = 0
        while True:
            number += 1
            journal.append(epoch(number))
            if number == 3:
                ready.set()


def test_a_journal_is_being_written_exactly_as_long_as_its_process_lives(home: Home) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=_append_slowly, args=(home.root, ready))
    process.start()
    assert ready.wait(60)
    (path,) = journals(home)
    assert writing(path)
    process.kill()
    process.join()
    assert not writing(path)
    told = epochs(path)
    assert told == list(range(1, len(told) + 1))
    assert len(told) >= 3


def test_reading_a_journal_needs_no_heavy_import() -> None:
    code = "import lossbench.journal, sys; print([m for m in ('torch', 'duckdb', 'numpy') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
