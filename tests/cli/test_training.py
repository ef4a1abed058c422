"""`run` and `sweep` end to end: what they print, store, skip, resume and refuse."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench.cli.training import parse_duration
from lossbench.errors import UsageError
from lossbench.home import Home
from tests.cli.conftest import Lossbench

SHORT = ("digits-mlp", "-s", "epochs=2")


def test_run_prints_only_the_run_id_on_stdout_and_a_line_per_epoch_on_stderr(lossbench: Lossbench) -> None:
    ended = lossbench("run", *SHORT, "--loss", "adaptive")
    assert ended.code == 0
    (run_id,) = ended.out.split()
    assert [line for line in ended.err.splitlines() if "epoch" in line] == [
        line for line in ended.err.splitlines() if line.startswith("digits-mlp  adaptive  seed 0  epoch ")
    ]
    assert "epoch 1/2" in ended.err
    assert "epoch 2/2" in ended.err
    (row,) = json.loads(lossbench("ls", "--format", "json").out)["rows"]
    assert (row["run_id"], row["status"], row["epoch"]) == (run_id, "done", 2)


def test_the_same_run_again_trains_nothing_and_names_the_same_run(lossbench: Lossbench) -> None:
    first = lossbench("run", *SHORT)
    again = lossbench("run", *SHORT)
    assert again.out == first.out
    assert "done already" in again.err
    assert "epoch" not in again.err
    forced = lossbench("run", *SHORT, "--force")
    assert forced.code == 0
    assert forced.out != first.out


@pytest.mark.parametrize("ask", [(), ("--dry-run",)], ids=["train", "plan"])
@pytest.mark.parametrize(
    ("preset", "loss", "part"),
    [
        ("wine-linear", "ce-el:focus=0-0.5", "focus=0-0.5 needs at least 6 epochs to leave no phase empty, got 5"),
        ("breast-cancer-mlp", "cot", "cot needs at least 3 classes, the data have 2"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_planned(
    lossbench: Lossbench, preset: str, loss: str, part: str, ask: tuple[str, ...]
) -> None:
    for command in ("run", "sweep"):
        ended = lossbench(command, preset, "-s", "epochs=5", "--loss", loss, *ask)
        assert (ended.code, ended.out) == (2, "")
        assert part in ended.err
    assert json.loads(lossbench("ls", "--format", "json").out)["rows"] == []


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_metric_of_more_classes_than_there_are_is_refused(lossbench: Lossbench, command: str) -> None:
    ended = lossbench(command, "iris-linear", "-s", "metric.name=top5_err")
    assert (ended.code, ended.out) == (2, "")
    assert "metric top5_err needs at least 6 classes, the data have 3" in ended.err
    assert lossbench(command, "digits-mlp", "-s", "metric.name=top5_err", "--dry-run").code == 0


def test_sweep_pairs_seeds_skips_what_is_done_and_says_so_before(lossbench: Lossbench) -> None:
    one = lossbench("run", *SHORT, "--loss", "ce", "--seed", 1)
    command = ("sweep", *SHORT, "--loss", "ce", "--loss", "el", "--seeds", 2)
    plan = json.loads(lossbench(*command, "--dry-run", "--format", "json").out)["rows"]
    assert [(row["loss"], row["seed"], row["action"]) for row in plan] == [
        ("ce", 0, "start"),
        ("expectation", 0, "start"),
        ("ce", 1, "keep"),
        ("expectation", 1, "start"),
    ]
    ended = lossbench(*command)
    assert ended.code == 0
    assert len(ended.out.split()) == 4
    assert one.out.strip() in ended.out.split()
    assert "1 of 4 is done already" in ended.err
    assert len(json.loads(lossbench("ls", "--format", "json").out)["rows"]) == 4


def test_emitted_commands_do_what_the_sweep_would_have_done_and_nothing_twice(
    lossbench: Lossbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "it's mine"
    folder.mkdir()
    monkeypatch.chdir(folder)
    preset = (Path(__file__).parents[2] / "presets" / "digits-mlp.toml").read_text()
    Path("my preset.toml").write_text(preset)
    Path("mine.py").write_text(
        "import torch\ndef plain(logits, target):\n"
        "    return torch.nn.functional.cross_entropy(logits, target, reduction='none')\n"
    )
    grid = ("-g", "model.hidden=[4],[4,4]", "-s", "epochs=2", "--threads", 1, "--data-dir", "data here")
    command = ("sweep", "./my preset.toml", *grid, "-l", "focal:gamma=2", "-l", "./mine.py:plain", "-n", "7,")
    assert lossbench(*command, "-l", "ce").code == 0
    wider = ("sweep", *command[1:], "-l", "ce", "-n", "7,8", "--emit-commands")
    commands = lossbench(*wider).out.splitlines()
    assert len(commands) == 6
    assert all(" --seed 8 " in line for line in commands)
    (mine, *_) = [line for line in commands if "mine.py" in line]
    here = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    ran = subprocess.run(["sh", "-c", mine], cwd="/", env=here, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert lossbench(*wider).out.splitlines() == [line for line in commands if line != mine]
    rows = json.loads(lossbench("ls", "--format", "json").out)["rows"]
    assert [row["status"] for row in rows] == ["done"] * 7


def test_time_running_out_interrupts_in_good_order_and_the_same_command_resumes(lossbench: Lossbench) -> None:
    command = ("run", "digits-mlp", "-s", "epochs=400")
    stopped = lossbench(*command, "--max-time", "1s")
    assert stopped.code == 130
    (row,) = json.loads(lossbench("ls", "--format", "json").out)["rows"]
    assert row["status"] == "interrupted"
    assert 0 < row["epoch"] < 400
    assert "resume" in lossbench(*command, "--dry-run").out
    again = lossbench(*command, "--max-time", "1s")
    assert f"resumed after epoch {row['epoch']}" in again.err
    assert again.out == stopped.out


def test_a_diverging_loss_is_a_finding(lossbench: Lossbench) -> None:
    ended = lossbench("run", "digits-mlp", "-s", "epochs=3", "-s", "optimizer.lr=1e30", "--loss", "square")
    assert ended.code == 4
    (row,) = json.loads(lossbench("ls", "--format", "json").out)["rows"]
    assert row["status"] == "diverged"
    assert "diverged" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "digits-mpl"), 2, "did you mean 'digits-mlp'"),
        (("run", "./nowhere.toml"), 2, "there is no preset file ./nowhere.toml"),
        (("run", "digits-mlp", "--loss", "focl"), 2, "did you mean 'focal'"),
        (("run", "digits-mlp", "--loss", "focal:gama=2"), 2, "did you mean 'gamma'"),
        (("run", "digits-mlp", "--loss", "focal:gamma=-1"), 2, "gamma must be at least 0"),
        (("run", "digits-mlp", "--loss", "ce-el:focus=0.6"), 2, "focus"),
        (("run", "digits-mlp", "-s", "epochs=3", "--loss", "ce-el:focus=0-0.5"), 2, "epochs"),
        (("run", "digits-mlp", "-s", "optimizer.momentun=0.9"), 2, "did you mean optimizer.momentum"),
        (("run", "digits-mlp", "-s", "epochs=0"), 2, "greater than or equal to 1"),
        (("run", "digits-mlp", "-s", "batch_size=-4"), 2, "greater than or equal to 1"),
        (("run", "digits-mlp", "-s", "epochs"), 2, "field=value"),
        (("run", "digits-mlp", "-s", "data.name=digit"), 2, "digits"),
        (("run", "digits-mlp", "-s", "model.name=mpl"), 2, "mlp"),
        (("run", "digits-mlp", "--device", "tpu"), 2, "no device 'tpu'"),
        (("run", "digits-mlp", "--max-time", "soon"), 2, "time 'soon'"),
        (("run", "digits-mlp", "--seed", "-1"), 2, "--seed"),
        (("run", "digits-mlp", "--seed", str(2**31)), 2, "seed 2147483648 is too large; the largest is 2147483647"),
        (("run", "digits-mlp", "-s", f"epochs={2**31}"), 2, "less than or equal to 2147483647"),
        (("sweep", "digits-mlp", "--until", "decided", "--max-seeds", "1000"), 2, "less than or equal to 300"),
        (("run", "digits-mlp", "--threads", "99999"), 2, "less than or equal to 1024"),
        (("sweep", "digits-mlp", "--seeds", "0"), 2, "seeds '0'"),
        (("sweep", "digits-mlp", "--gpus", "97"), 2, "there is no GPU '97' here"),
        (("sweep", "digits-mlp", "--gpus", "0", "--device", "cpu"), 2, "leave one out"),
        (("sweep", "digits-mlp", "--gpus", "0", "--jobs", "2"), 2, "--jobs-per-gpu"),
        (("sweep", "digits-mlp", "--jobs-per-gpu", "2"), 2, "--gpus"),
        (("sweep", "digits-mlp", "--engine", "ray", "--jobs", "2"), 2, "leave out --gpus and --jobs"),
        (("sweep", "digits-mlp", "--engine", "ray", "--address", "127.0.0.1:1"), 2, "no Ray cluster answers"),
        (("sweep", "digits-mlp", "--address", "auto"), 2, "add --engine ray"),
        (("sweep", "digits-mlp", "-g", "optimizer.lr="), 2, "empty"),
        (("show", "zzzz"), 3, "no runs"),
        (("ls", "--where", "sed = 1"), 2, "sed"),
        (("sql", "drop table event"), 2, "SELECT"),
        (("compare",), 3, "no run"),
        (("plot",), 3, "no run"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_clear_line(
    lossbench: Lossbench, home: Home, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = lossbench(*arguments)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert [path for path in home.journals.iterdir() if path.stat().st_size] == []


def test_every_mistake_of_a_preset_file_is_listed_at_once(lossbench: Lossbench, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        "epoch = 3\nbatch_size = 0\n"
        '[data]\nname = "digits"\n[model]\nname = "mlp"\n[optimizer]\nname = "sdg"\nlr = -1\n'
    )
    ended = lossbench("run", mine)
    assert ended.code == 2
    for field in ("unknown field epoch", "batch_size", "optimizer.name", "optimizer.lr", "epochs: Field required"):
        assert field in ended.err


def test_a_readonly_home_is_named(lossbench: Lossbench, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    ended = lossbench("run", *SHORT, "--home", blocked / "home")
    assert ended.code == 6
    assert str(blocked) in ended.err


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("3h", 10800), ("1h30m", 5400), (None, None)]
)
def test_durations(text: str | None, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "3", "1d", "-5s", "1s1h", "9" * 400 + "h"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


def test_a_run_from_a_folder_that_is_no_text_is_kept(
    lossbench: Lossbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bytes\udcff"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert lossbench("run", "iris-linear", "-s", "epochs=1").code == 0
    rows = json.loads(lossbench("show", "--env", "--format", "json").out)["rows"]
    assert [row["value"] for row in rows if row["name"] == "cwd"] == [f"{tmp_path}/bytes\\xff"]


def test_a_loss_of_ones_own_trains_beside_the_catalogue(lossbench: Lossbench, tmp_path: Path) -> None:
    mine = tmp_path / "my_loss.py"
    mine.write_text(
        "import torch.nn.functional as F\n\n"
        "def tempered(logits, target, *, temperature=1.5):\n"
        "    return F.cross_entropy(logits / temperature, target, reduction='none')\n"
    )
    spellings = ("", ":temperature=2", ":temperature=1~2", ":temperature=learned(1.5)", ":temperature=1")
    wanted = [text for spelling in spellings for text in ("--loss", f"{mine}:tempered{spelling}")]
    ended = lossbench("sweep", *SHORT, "--loss", "ce", *wanted, "--seeds", 2)
    assert ended.code == 0, ended.err
    rows = json.loads(lossbench("ls", "--format", "json").out)["rows"]
    assert [row["status"] for row in rows] == ["done"] * 12
    query = (
        "select loss, value from run join final using (run_id) where final.name = 'nll' and split = 'test' and seed = 0"
    )
    nll = {row["loss"]: row["value"] for row in json.loads(lossbench("sql", query, "-f", "json").out)["rows"]}
    (tempered_at_one,) = (value for loss, value in nll.items() if loss.endswith(":temperature=1"))
    assert tempered_at_one == pytest.approx(nll["ce"], rel=1e-4)
    assert len(set(nll.values())) >= 5


def test_garbage_is_looked_for_while_a_network_trains(lossbench: Lossbench, tmp_path: Path) -> None:
    mine, told = tmp_path / "my_loss.py", tmp_path / "told"
    mine.write_text(
        "import gc\nfrom pathlib import Path\nimport torch.nn.functional as F\n\n"
        "def looking(logits, target):\n"
        f"    Path({str(told)!r}).write_text(str(gc.isenabled()))\n"
        "    return F.cross_entropy(logits, target, reduction='none')\n"
    )
    assert lossbench("run", "digits-mlp", "-s", "epochs=1", "--loss", f"{mine}:looking").code == 0
    assert told.read_text() == "True"


def test_an_engine_that_is_not_installed_is_named_with_its_extra(
    lossbench: Lossbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "lossbench.executors.ray", raising=False)
    ended = lossbench("sweep", "digits-mlp", "--engine", "ray")
    assert ended.code == 2
    assert "pip install 'lossbench[ray]'" in ended.err
