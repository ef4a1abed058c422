"""`store`, `export` and `import` on the command line, and what other programs make of the files."""

import csv
import json
import struct
from pathlib import Path

import duckdb
import pytest

from lossbench.errors import ExitCode
from lossbench.eventfiles import checksum
from lossbench.home import Home
from tests.cli.conftest import Lossbench
from tests.store.conftest import Teller, a_spec

VALUES = [{"test/nll": 0.1, "loss/base": float("nan")}, {"test/nll": 1e300, "loss/base": 2.0}]


@pytest.fixture
def filled(home: Home) -> Home:
    teller = Teller(home)
    teller.run("one", values=VALUES, predictions=True)
    teller.run("two", a_spec("../../evil", "focal:gamma=3", 1), status="interrupted")
    return home


def test_a_sound_store_is_found_sound_and_its_size_is_told(filled: Home, lossbench: Lossbench) -> None:
    assert lossbench("store", "check").code == 0
    told = lossbench("store", "info", "--format", "json")
    assert told.code == 0
    rows = {row["what"]: row["value"] for row in json.loads(told.out)["rows"]}
    assert (rows["runs"], rows["runs interrupted"]) == (2, 1)


def test_damage_is_reported_with_its_exit_code_and_mended_by_a_rebuild(filled: Home, lossbench: Lossbench) -> None:
    assert lossbench("ls").code == 0
    connection = duckdb.connect(str(filled.store))
    connection.execute("DELETE FROM reading")
    connection.close()
    assert lossbench("store", "check").code == ExitCode.DAMAGED
    rebuilt = lossbench("store", "rebuild")
    assert (rebuilt.code, rebuilt.out) == (0, "")
    assert "kept as" in rebuilt.err
    assert lossbench("store", "check").code == 0


def test_backup_vacuum_and_import_bring_the_same_runs_back(filled: Home, lossbench: Lossbench, tmp_path: Path) -> None:
    target = tmp_path / "copy.duckdb"
    assert lossbench("store", "backup", target).out == f"{target}\n"
    assert lossbench("store", "backup", target).code == ExitCode.USAGE
    assert lossbench("store", "vacuum").code == 0
    assert list(filled.journals.iterdir()) == []
    elsewhere = tmp_path / "elsewhere"
    assert lossbench("import", target, "--home", elsewhere).code == 0
    again = lossbench("import", target, "--home", elsewhere)
    assert "0 events added" in again.err
    question = ("sql", "SELECT * FROM run ORDER BY run_id", "--format", "jsonl")
    assert lossbench(*question).out == lossbench(*question, "--home", elsewhere).out
    twice = lossbench("import", target, filled.root, "--home", tmp_path / "third").err.splitlines()
    assert [line.rpartition(": ")[0] for line in twice] == [f"note: {target}", f"note: {filled.root}"]
    assert ["0 events added" in line for line in twice] == [False, True]
    missing = lossbench("import", tmp_path / "nothing")
    assert missing.code == ExitCode.DAMAGED
    assert missing.err.count("\n") == 1


def test_parquet_csv_and_json_lines_hold_every_value(filled: Home, lossbench: Lossbench, tmp_path: Path) -> None:
    for form in ("parquet", "csv", "jsonl"):
        written = lossbench("export", "--out", tmp_path / form, "--format", form)
        assert written.out.split() == [
            str(tmp_path / form / f"{name}.{form}") for name in ("run", "epoch", "prediction")
        ]
    in_parquet = duckdb.sql(
        f"SELECT run_id, epoch, split, name, value FROM '{tmp_path}/parquet/epoch.parquet'"
    ).fetchall()
    assert len(in_parquet) == 5
    assert ("one", 2, "test", "nll", 1e300) in in_parquet
    with (tmp_path / "csv" / "epoch.csv").open() as lines:
        in_csv = list(csv.DictReader(lines))
    assert [(row["run_id"], int(row["epoch"]), row["split"], row["name"], float(row["value"])) for row in in_csv] == [
        pytest.approx(row, nan_ok=True) if row[4] != row[4] else row for row in in_parquet
    ]
    in_json = [json.loads(line) for line in (tmp_path / "jsonl" / "epoch.jsonl").read_text().splitlines()]
    assert [row["value"] for row in in_json] == [None if row[4] != row[4] else row[4] for row in in_parquet]
    runs = [json.loads(line) for line in (tmp_path / "jsonl" / "run.jsonl").read_text().splitlines()]
    assert [(run["run_id"], run["status"], run["started_at"]) for run in runs] == [
        ("one", "done", "2026-01-01T00:00:01.000000Z"),
        ("two", "interrupted", "2026-01-01T00:00:06.000000Z"),
    ]
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/parquet/prediction.parquet'").fetchall() == [(3,)]


def records(path: Path) -> list[bytes]:
    raw, found = path.read_bytes(), []
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        assert raw[8:12] == checksum(raw[:8])
        assert raw[12 + length : 16 + length] == checksum(raw[12 : 12 + length])
        found.append(raw[12 : 12 + length])
        raw = raw[16 + length :]
    return found


def test_tensorboard_files_are_records_of_events_in_a_folder_per_run(
    filled: Home, lossbench: Lossbench, tmp_path: Path
) -> None:
    out = tmp_path / "logs"
    files = [Path(line) for line in lossbench("export", "--out", out, "-f", "tensorboard").out.splitlines()]
    assert [path.parent.parent for path in files] == [out, out]
    assert files[0].parent.name == "toy_ce_seed0_one"
    assert files[1].parent.name == "evil_focal-gamma=3_seed1_two"
    first, *epochs = records(files[0])
    assert b"brain.Event:2" in first
    assert len(epochs) == 2
    assert b"\x0a\x08test/nll\x15" + struct.pack("<f", 0.1) in epochs[0]
    assert b"\x0a\x08test/nll\x15" + struct.pack("<f", float("inf")) in epochs[1]


def test_the_checksum_is_crc_32c_with_the_mask_of_the_format() -> None:
    # RFC 3720, B.4: the CRC-32C of 32 bytes of zeros is 0x8a9136aa.
    crc = 0x8A9136AA
    assert checksum(bytes(32)) == struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def test_an_export_overwrites_nothing_and_needs_runs(filled: Home, lossbench: Lossbench, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert lossbench("export", "--out", tmp_path).code == ExitCode.USAGE
    assert lossbench("export", "--out", tmp_path / "x", "--home", tmp_path / "empty").code == ExitCode.NOTHING_FOUND
    assert lossbench("export", "--out", tmp_path / "mine.txt" / "x").code == ExitCode.DAMAGED
    chosen = lossbench("export", "one", "--format", "csv", "--out", tmp_path / "one")
    assert chosen.code == 0
    assert "two" not in (tmp_path / "one" / "run.csv").read_text()
