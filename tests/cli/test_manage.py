"""Managing runs from the command line: naming, choosing, removing, repeating and comparing them."""

import contextlib
import io
import json
import os
import pty
import select
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lossbench.errors import ExitCode
from lossbench.home import Home
from lossbench.measures import SPEED
from tests.cli.conftest import Ended, Lossbench
from tests.store.conftest import Teller, a_spec


@pytest.fixture
def filled(home: Home) -> Home:
    """Four runs: `aone` and `atwo` done, `bthree` failed, `cfour` of a process that has died."""
    teller = Teller(home)
    teller.run("aone", values=[{"test/top1_acc": 0.5}], predictions=True)
    teller.run("atwo", a_spec(loss="adaptive", seed=1), values=[{"test/top1_acc": 0.75}] * 3)
    teller.run("bthree", a_spec("other"), values=[], status="failed", reason="the disk is full")
    teller.run("cfour", a_spec(seed=4), status=None, provenance={"pid": 2**22 + 1})
    return home


@pytest.fixture
def ids(lossbench: Lossbench) -> Callable[..., list[str]]:
    return lambda *arguments: lossbench("ls", "--format", "ids", *arguments).out.split()


ALL = ["aone", "atwo", "bthree", "cfour"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ALL),
        (("--sort", "-started_at"), ALL[::-1]),
        (("--sort", "loss"), ["atwo", "aone", "bthree", "cfour"]),
        (("--sort", "reason", "-n", "1"), ["bthree"]),
        (("--sort", "age"), ALL[::-1]),
        (("--sort", "-age"), ALL),
        (("toy",), ["aone", "atwo", "cfour"]),
        (("--loss", "adaptive"), ["atwo"]),
        (("--status", "lost"), ["cfour"]),
        (("--status", "failed", "--status", "lost"), ["bthree", "cfour"]),
        (("--where", "epoch = 3"), ["atwo"]),
        (("--run", "b", "--run", "@last"), ["bthree", "cfour"]),
        (("--tag", "nothing"), []),
    ],
)
def test_ls_filters_and_sorts(
    filled: Home, ids: Callable[..., list[str]], arguments: tuple[str, ...], expected: list[str]
) -> None:
    assert ids(*arguments) == expected


def test_a_table_shows_the_last_runs_and_says_how_many_there_are(
    filled: Home, lossbench: Lossbench, ids: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossbench.cli.ls.TABLE_ROWS", 2)
    listing = lossbench("ls")
    assert ["cfour" in listing.out, "aone" in listing.out] == [True, False]
    assert "the last 2 of 4 runs; --limit N shows more" in listing.err
    assert ids() == ALL
    every = lossbench("ls", "--limit", "4")
    assert "aone" in every.out
    assert every.err == ""


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("tooy",), "unknown preset 'tooy'; did you mean 'toy'?"),
        (("aone",), "'aone' names runs, not a preset; say --run aone"),
        (("tag:none",), "'tag:none' names runs, not a preset; say --run tag:none"),
        (("toy", "--loss", "adaptve"), "unknown loss 'adaptve'; did you mean 'adaptive'?"),
    ],
)
def test_ls_says_what_may_have_been_meant_by_a_selection_without_runs(
    filled: Home, lossbench: Lossbench, arguments: tuple[str, ...], hint: str
) -> None:
    listed = lossbench("ls", *arguments)
    assert (listed.code, listed.err) == (0, f"note: no such runs: {hint}\n")
    assert lossbench("ls", "toy", "--status", "failed").err == "note: no such runs\n"
    assert lossbench("ls", *arguments, "--format", "ids").out == ""


def test_ls_tells_status_progress_and_age(filled: Home, lossbench: Lossbench) -> None:
    rows = {row["run_id"]: row for row in json.loads(lossbench("ls", "--format", "json").out)["rows"]}
    assert {run_id: row["status"] for run_id, row in rows.items()} == {
        "aone": "done",
        "atwo": "done",
        "bthree": "failed",
        "cfour": "lost",
    }
    assert (rows["atwo"]["epoch"], rows["atwo"]["epochs"]) == (3, 3)
    assert rows["aone"]["age"] > rows["atwo"]["age"] > 0
    assert rows["bthree"]["reason"] == "the disk is full"


def test_names_tags_and_notes_are_said_shown_selected_by_and_taken_back(
    filled: Home, lossbench: Lossbench, ids: Callable[..., list[str]]
) -> None:
    assert lossbench("set", "aone", "--name", "base", "--tag", "paper", "--note", "the first; it's fine").code == 0
    assert lossbench("set", "@last", "@last-1", "--tag", "paper").code == 0
    assert ids("--tag", "paper") == ids("--run", "tag:paper") == ["aone", "bthree", "cfour"]
    (row,) = json.loads(lossbench("ls", "--run", "base", "--format", "json").out)["rows"]
    assert (row["name"], row["tags"], row["note"]) == ("base", "paper", "the first; it's fine")
    assert "called base, tagged paper" in lossbench("show", "base").out
    assert lossbench("set", "--where", "list_contains(tags, 'paper')", "--untag", "paper", "--note", "").code == 0
    assert ids("--tag", "paper") == []
    assert lossbench("set", "base", "--name", "").code == 0
    assert lossbench("show", "base").code == ExitCode.USAGE


def test_a_name_is_that_of_one_run(filled: Home, lossbench: Lossbench) -> None:
    assert lossbench("set", "aone", "--name", "base").err == "note: 1 run marked\n"
    taken = lossbench("set", "atwo", "--name", "base")
    assert (taken.code, "run aone is called 'base'" in taken.err) == (ExitCode.USAGE, True)
    assert lossbench("set", "aone", "--name", "base").code == 0
    assert lossbench("set", "aone", "--name", "").code == 0
    assert lossbench("set", "atwo", "--name", "base").code == 0


@pytest.mark.parametrize(
    ("typed", "code", "said", "left"),
    [
        (b"n\n", 1, "lossbench: nothing is deleted", ALL),
        (b"\x03", 130, "", ALL),
        (b"y\n", 0, "note: 1 run deleted", ALL[1:]),
    ],
    ids=["no", "ctrl-c", "yes"],
)
def test_whoever_purges_in_a_terminal_is_asked(
    filled: Home, ids: Callable[..., list[str]], typed: bytes, code: int, said: str, left: list[str]
) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        arguments = ["-m", "lossbench", "rm", "aone", "--purge", "--home", str(filled.root)]
        os.execv(sys.executable, [sys.executable, *arguments])
    written = b""
    while b"[y/N]" not in written:
        written += os.read(terminal, 4096)
    with contextlib.suppress(OSError, EOFError):
        while True:
            # A key pressed in the moment between the question and the reading of its answer may be lost.
            os.write(terminal, typed)
            while select.select([terminal], [], [], 2.0)[0]:
                if not (chunk := os.read(terminal, 4096)):
                    raise EOFError
                written += chunk
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    assert b"Traceback" not in written
    assert said in written.decode()
    assert ids() == left


def test_removed_runs_are_in_no_list_until_restored(
    filled: Home, lossbench: Lossbench, ids: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(ids("--status", "failed", "--status", "lost"))))
    removed = lossbench("rm", "-")
    assert (removed.code, removed.out) == (0, "")
    assert "2 runs removed" in removed.err
    assert ids() == ["aone", "atwo"]
    assert ids("--removed") == ["bthree", "cfour"]
    assert ids("--run", "@last") == ["atwo"]
    assert ids("--removed", "--run", "@last") == ["cfour"]
    assert lossbench("restore", "--where", "preset = 'other'").code == 0
    assert ids() == ["aone", "atwo", "bthree"]
    assert lossbench("restore", "cfour").code == 0
    assert ids() == ALL


def test_purged_runs_are_gone_from_store_journals_and_checkpoints_and_nothing_else_is(
    filled: Home, lossbench: Lossbench, ids: Callable[..., list[str]]
) -> None:
    assert ids() == ALL
    filled.checkpoint("aone").write_bytes(b"state")
    (filled.checkpoints / "aone.epoch-3.pt").write_bytes(b"state")
    filled.checkpoint("atwo").write_bytes(b"state")
    refused = lossbench("rm", "aone", "--purge")
    assert refused.code == ExitCode.USAGE
    assert "--yes" in refused.err
    assert ids() == ALL
    others = lossbench("sql", "SELECT * FROM epoch WHERE run_id <> 'aone' ORDER BY ALL", "-f", "csv").out
    assert lossbench("rm", "aone", "--purge", "--yes").code == 0
    assert ids() == ALL[1:]
    assert lossbench("sql", "SELECT * FROM epoch ORDER BY ALL", "-f", "csv").out == others
    assert lossbench("sql", "SELECT count(*) AS n FROM event WHERE run_id = 'aone'", "-f", "csv").out == "n\n0\n"
    assert sorted(path.name for path in filled.checkpoints.iterdir()) == ["atwo.pt"]
    assert [path for path in filled.journals.iterdir() if "aone" in path.read_text()] == []
    assert lossbench("store", "check").code == 0
    assert lossbench("store", "rebuild").code == 0
    assert ids() == ALL[1:]


def test_a_run_under_way_is_neither_purged_nor_stopped_on_another_host(
    home: Home, lossbench: Lossbench, ids: Callable[..., list[str]]
) -> None:
    Teller(home).run("away", status=None, provenance={"host": "elsewhere"})
    assert ids("--status", "running") == ["away"]
    purged = lossbench("rm", "away", "--purge", "-y")
    assert (purged.code, ids()) == (ExitCode.USAGE, ["away"])
    assert "under way" in purged.err
    stopped = lossbench("stop", "away")
    assert stopped.code == ExitCode.FAILED
    assert "belongs to elsewhere" in stopped.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("set", "aone"), 2, "say what to set"),
        (("set", "--tag", "x"), 2, "name the runs"),
        (("set", "aone", "atwo", "--name", "x"), 2, "for one run, not 2"),
        (("set", "aone", "--name", "@last"), 2, "at most 64 characters"),
        (("set", "aone", "--name", "-"), 2, "at most 64 characters"),
        (("set", "aone", "--tag", "two words"), 2, "one word"),
        (("set", "aone", "--tag", "a:b"), 2, "one word"),
        (("rm", "a"), 2, "fits 2 runs"),
        (("rm", "@last-9"), 2, "reaches back beyond"),
        (("rm", "tag:none"), 3, "no run has tag:none"),
        (("rm", "--where", "seed = 77"), 3, "no run has seed = 77"),
        (("rm", "--where", "1); DROP TABLE event; --"), 2, "--where"),
        (("restore", "--where", "true"), 3, "no removed run"),
        (("stop", "aone"), 1, "run aone is done, not running"),
        (("stop", "cfour"), 1, "run cfour is lost, not running"),
        (("ls", "--status", "dnoe"), 2, "did you mean 'done'"),
        (("ls", "--sort", "staus"), 2, "did you mean 'status'"),
        (("diff", "aone", "zzz"), 2, "no run has the id or name 'zzz'"),
        (("run",), 2, "name a preset"),
        (("sweep",), 2, "name presets"),
        (("rerun", "--where", "seed = 77"), 3, "no run has"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_one_line(
    filled: Home, lossbench: Lossbench, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = lossbench(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_diff_shows_as_many_digits_as_it_takes(home: Home, lossbench: Lossbench) -> None:
    for run_id, values in (("one", (1 / 3, 0.1)), ("other", (1 / 3 + 1e-12, 0.2))):
        Teller(home).run(run_id, values=[dict(zip(("test/near", "test/far"), values, strict=True))])
    shown = {line.split()[1]: line.split()[2:] for line in lossbench("diff", "one", "other").out.splitlines()}
    assert shown["test/near"] == [str(1 / 3), str(1 / 3 + 1e-12)]
    assert shown["test/far"] == ["0.1", "0.2"]


def test_diff_shows_what_differs_and_no_more(filled: Home, lossbench: Lossbench) -> None:
    rows = json.loads(lossbench("diff", "aone", "atwo", "--format", "json").out)["rows"]
    found = {(row["part"], row["name"]): (row["left"], row["right"]) for row in rows}
    assert found["config", "loss.name"] == ("ce", "adaptive")
    assert found["config", "seed"] == (0, 1)
    assert found["metrics", "test/top1_acc"] == (0.5, 0.75)
    assert ("config", "preset.name") not in found
    assert "preset.name" in lossbench("diff", "aone", "atwo", "--all").out
    same = lossbench("diff", "aone", "aone")
    assert (same.code, "do not differ" in same.err) == (0, True)


def test_show_and_diff_take_ids_from_stdin_as_other_commands_do(
    filled: Home, lossbench: Lossbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def piped(words: str, *arguments: str) -> Ended:
        monkeypatch.setattr("sys.stdin", io.StringIO(words))
        return lossbench(*arguments)

    assert piped("atwo\n", "show", "-", "--config").out == lossbench("show", "atwo", "--config").out
    assert piped("aone atwo", "diff", "-").out == lossbench("diff", "aone", "atwo").out
    for words, arguments, said in (
        ("", ("show", "-"), "show takes one run, and stdin names none"),
        ("aone atwo", ("show", "-"), "show takes one run, and stdin names 2"),
        ("aone", ("diff", "-"), "diff takes two runs, not 1"),
        ("", ("diff", "-"), "diff takes two runs, not none"),
    ):
        refused = piped(words, *arguments)
        assert (refused.code, refused.err) == (2, f"lossbench: {said}\n")


def test_show_tells_how_a_run_departs_from_its_preset(lossbench: Lossbench) -> None:
    run_id = lossbench("run", "iris-linear", "-s", "epochs=1", "-s", "optimizer.lr=0.07").out.strip()
    rows = json.loads(lossbench("show", run_id, "--diff", "--format", "json").out)["rows"]
    assert [row["name"] for row in rows] == ["epochs", "optimizer.lr"]
    assert rows[1]["value"].startswith("0.07 instead of ")


def test_show_tells_what_was_done_to_the_labels(lossbench: Lossbench) -> None:
    assert (
        lossbench("run", "wine-linear", "-s", "epochs=1", "-s", "data.noise=0.25", "-s", "data.noise_seed=7").code == 0
    )
    shown = {
        row["name"]: row["value"] for row in json.loads(lossbench("show", "--env", "--format", "json").out)["rows"]
    }
    assert (shown["label_noise.kind"], shown["label_noise.asked"], shown["label_noise.seed"]) == ("sym", 0.25, 7)
    assert shown["label_noise.realised"] == 25 / 100
    assert sum(map(sum, shown["label_noise.transitions"])) == 100
    assert "3 x 3 numbers" in lossbench("show", "--env").out
    assert lossbench("run", "wine-linear", "-s", "epochs=1").code == 0
    assert "label_noise" not in lossbench("show", "--env").out


def test_a_rerun_is_a_new_run_of_the_same_cell_and_resume_names_the_old_one(
    lossbench: Lossbench, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(lossbench("presets", "show", "iris-linear").out)
    first = lossbench("run", mine, "-s", "epochs=2", "--loss", "focal:gamma=3", "--seed", "5").out.strip()
    # What was asked is in the store; the file may be gone.
    mine.unlink()
    again = lossbench("rerun", first)
    assert (again.code, again.out.strip() != first) == (0, True)
    rows = json.loads(lossbench("diff", first, again.out.strip(), "--format", "json").out)["rows"]
    assert [row for row in rows if row["part"] == "config"] == []
    assert {row["name"] for row in rows if row["part"] == "metrics"} <= {f"train/{name}" for name in SPEED}
    kept = lossbench("run", "--resume", first)
    assert (kept.code, kept.out.strip()) == (0, first)


def test_resume_refuses_whatever_else_is_asked_for_and_names_the_fields(lossbench: Lossbench) -> None:
    asked = ("run", "iris-linear", "-s", "epochs=2", "-s", "optimizer.lr=0.1", "--loss", "focal:gamma=3", "--seed", "5")
    run_id = lossbench(*asked).out.strip()
    same = lossbench(*asked, "--resume", run_id)
    assert (same.code, same.out.strip()) == (0, run_id)
    other = lossbench("run", "iris-linear", "-s", "epochs=3", "--loss", "focal", "--resume", run_id)
    assert other.code == ExitCode.USAGE
    assert other.err == (
        f"lossbench: run {run_id} was started with another loss.knobs, loss.text, preset.epochs, "
        "preset.optimizer.lr, seed\n"
    )
    for words in (("-s", "epochs=2"), ("--loss", "ce"), ("--seed", "0"), ("--precision", "fp32")):
        refused = lossbench("run", *words, "--resume", run_id)
        assert (refused.code, "name its preset" in refused.err) == (ExitCode.USAGE, True)
    for words in (("iris-linear",), ("--seeds", "2"), ("-g", "epochs=1,2"), ("--compile", "off")):
        refused = lossbench("sweep", *words, "--resume", run_id)
        assert (refused.code, "leave out what else" in refused.err) == (ExitCode.USAGE, True)


def test_retry_takes_up_what_failed_and_resume_too(lossbench: Lossbench, home: Home) -> None:
    from lossbench import losses, presets
    from lossbench.sweep import cells

    (spec,) = cells([presets.load("iris-linear", ["epochs=2"])], [losses.resolve("ce")], [0])
    Teller(home).run("broken", spec, values=[], status="failed", reason="the disk was full")
    command = ("run", "iris-linear", "-s", "epochs=2")
    left = lossbench(*command)
    assert left.code == ExitCode.FAILED
    assert "--retry failed takes up again" in left.err
    assert lossbench(*command, "--retry", "everything").code == ExitCode.USAGE
    retried = lossbench(*command, "--retry", "failed")
    assert (retried.code, retried.out.strip()) == (0, "broken")


@pytest.mark.parametrize(("keep", "files"), [("none", 0), ("last", 1), ("all", 3)])
def test_checkpoints_are_kept_as_asked(lossbench: Lossbench, home: Home, keep: str, files: int) -> None:
    assert lossbench("run", "iris-linear", "-s", "epochs=2", "--keep-checkpoints", keep).code == 0
    assert len(list(home.checkpoints.glob("*.pt"))) == files


def test_the_doctor_finds_this_place_sound_and_names_what_is_not(
    lossbench: Lossbench, filled: Home, tmp_path: Path
) -> None:
    healthy = lossbench("doctor", "--format", "json")
    checks = {row["what"]: row for row in json.loads(healthy.out)["rows"]}
    assert healthy.code == 0
    assert {"versions", "device cpu", "data", "store", "locks", "writing", "disk", "open files"} <= checks.keys()
    assert "two processes exclude each other" in checks["locks"]["found"]
    assert checks["store"]["verdict"] == "warn"
    assert "1 of them lost" in checks["store"]["found"]
    filled.store.write_bytes(b"something else" * 1000)
    sick = lossbench("doctor")
    assert sick.code == ExitCode.FAILED
    assert "not a DuckDB file" in sick.out
    assert list(filled.root.glob(".doctor-*")) == []
