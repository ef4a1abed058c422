"""One network on several devices: the rows it sees, the numbers it gives, and how its processes come and go."""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lossbench import data, journal, losses
from lossbench.cli import main
from lossbench.errors import UsageError
from lossbench.measures import SPEED
from lossbench.ranks import World
from lossbench.spec import NUMBERS_VERSION, DataSpec, ModelSpec, OptimizerSpec, Preset, RunSpec
from lossbench.trainer import Trainer

IMAGES = DataSpec(name="synthetic-images", validation=0.2, limit=60, normalize="channel", flip=True, crop_padding=1)
SGD = OptimizerSpec(name="sgd", lr=0.05, momentum=0.9, weight_decay=1e-3, schedule="step(2,0.5)")
CLOCKED = {f"train/{name}" for name in SPEED}

SIZES = (2, 4)

TOLERANCE = {"rel": 1e-4, "abs": 1e-5}
"""Between one process and several after two epochs: sums in single precision are taken in another order."""


def spec(loss: str = "ce", model: str = "digits-cnn", **fields) -> RunSpec:
    # 60 training rows in batches of 21, 21 and 18, none of which four ranks share evenly.
    settings = {"data": IMAGES, "model": ModelSpec(name=model), "optimizer": SGD, "epochs": 2, "batch_size": 21}
    preset = Preset(name="test", **(settings | fields))
    return RunSpec(preset=preset, loss=losses.resolve(loss), seed=3, numbers_version=NUMBERS_VERSION)


CASES = {
    "ce": {"spec": spec()},
    "two steps": {"spec": spec("cot")},
    # From 2 on, a unit of this network comes so close to 0 that the last digit of a weight switches it: 2e-4 elsewhere.
    "learned": {"spec": spec("focal:gamma=learned(3)")},
    "in pieces": {"spec": spec(), "largest": 2},
}
NORMALISED = {"spec": spec(model="resnet20-cifar", epochs=1)}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return data.load(IMAGES, tmp_path_factory.mktemp("none"))


def alone(case, images, state=None) -> Trainer:
    trainer = Trainer(case["spec"], images, device="cpu", world=World(largest=case.get("largest")))
    if state is not None:
        trainer.load(state)
    return trainer


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """Where every rank of two and of four has left what it gives for every case; `resumed` goes on where one process
    stood after an epoch."""
    folder = tmp_path_factory.mktemp("ranks")
    first = alone(CASES["ce"], images)
    next(first.epochs())
    cases = {**CASES, "normalised": NORMALISED, "resumed": {**CASES["ce"], "state": first.state()}}
    cases = {name: {"largest": None, "state": None, **case} for name, case in cases.items()}
    (folder / "cases.pickle").write_bytes(pickle.dumps(cases))
    command = [sys.executable, Path(__file__).with_name("ranked.py"), folder, *map(str, SIZES)]
    subprocess.run(command, check=True, timeout=200)
    return folder


@pytest.fixture(scope="module", params=SIZES)
def together(request, trained):
    """What each rank gives for every case."""
    return [torch.load(trained / f"{request.param}-{rank}.pt") for rank in range(request.param)]


def numbers(record) -> dict[str, float]:
    return {name: value for name, value in record.items() if name not in CLOCKED}


@pytest.mark.parametrize("name", [*CASES, "resumed"])
def test_several_processes_give_the_numbers_of_one(name, together, images):
    trainer = alone(CASES["ce" if name == "resumed" else name], images)
    expected = [numbers(record[0].values) for record in trainer.epochs()][1 if name == "resumed" else 0 :]
    seen = [numbers(record) for record in together[0][name]["records"]]
    assert len(seen) == len(expected)
    for got, wanted in zip(seen, expected, strict=True):
        assert got == pytest.approx(wanted, **TOLERANCE)


@pytest.mark.parametrize("name", [*CASES, "normalised", "resumed"])
def test_all_ranks_hold_the_same_network_and_say_the_same(name, together):
    first, *others = (rank[name] for rank in together)
    for other in others:
        assert [numbers(each) for each in other["records"]] == [numbers(each) for each in first["records"]]
        weights = [rank["state"]["members"][0]["model"] for rank in (first, other)]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_what_several_processes_saved_one_goes_on_with(together, images):
    trainer = alone({"spec": spec(epochs=3)}, images, together[0]["ce"]["state"])
    (record,) = trainer.epochs()
    *_, expected = alone({"spec": spec(epochs=3)}, images).epochs()
    assert numbers(record[0].values) == pytest.approx(numbers(expected[0].values), **TOLERANCE)


def test_normalisation_over_shares_is_not_that_over_the_batch(together, images):
    (expected,) = alone(NORMALISED, images).epochs()
    seen = together[0]["normalised"]["records"][0]
    assert seen["val/nll"] != pytest.approx(expected[0].values["val/nll"], rel=1e-4)
    assert seen["train/objective"] == pytest.approx(expected[0].values["train/objective"], rel=0.3)


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("largest", [None, 2])
def test_shares_of_the_batches_are_the_batches(size, largest, images):
    def batches(world):
        return data.batches(images, IMAGES, 21, seed=3, epoch=1, device="cpu", pieces=world.pieces)

    whole = list(batches(World()))
    shares = [batches(World(rank, size, largest)) for rank in range(size)]
    for inputs, target in whole:
        parts = []
        for rank, share in enumerate(shares):
            pieces = World(rank, size, largest).pieces(torch.arange(len(target)))
            parts += [next(share) for _ in pieces]
        assert torch.equal(torch.cat([part for part, _ in parts]), inputs)
        assert torch.equal(torch.cat([part for _, part in parts]), target)
        assert largest is None or max(len(part) for _, part in parts) <= largest
    assert all(next(share, None) is None for share in shares)


@pytest.mark.parametrize(
    ("fields", "world", "complaint"),
    [
        ({"batch_size": 3}, World(0, 4), "every batch has 3 rows, fewer than the 4 devices"),
        ({"batch_size": 19}, World(0, 4), "the last batch of an epoch has 3 rows, fewer than the 4 devices"),
        ({"data": DataSpec(name="synthetic-images", limit=60, mixup=0.2)}, World(0, 2), "mixup and CutMix blend"),
    ],
)
def test_what_cannot_be_shared_is_refused(fields, world, complaint, images):
    with pytest.raises(UsageError, match=complaint):
        Trainer(spec(**fields), images, device="cpu", world=world)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["sweep", "digits-cnn", "--devices", "2", "--jobs", "2"], "leave out --engine, --gpus and --jobs"),
        (["run", "digits-cnn", "--devices", "2", "--device", "cuda:1"], "--device cuda:1 is one device"),
        (["run", "digits-cnn", "--devices", "2", "--device", "cuda"], "--devices 2: this machine has 0 CUDA devices"),
        (["run", "digits-mlp", "--devices", "2"], "digits-mlp is small enough to train in cohorts"),
        (["run", "digits-cnn", "--devices", "9999999", "--device", "cpu"], "of memory"),
    ],
)
def test_bad_options_are_one_sentence(arguments, complaint, home, monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(sys, "argv", ["lossbench", *arguments, "--home", str(home.root)])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert complaint in told
    assert len(told.splitlines()) == 1


ENDLESS = ("digits-cnn", "-s", "data.limit=64", "-s", "epochs=100000")


def cli(*arguments) -> list[str]:
    return [sys.executable, "-m", "lossbench", *map(str, arguments)]


def events(home) -> list[dict]:
    return [line.body for path in journal.journals(home) for line in journal.read(path)]


def started(home, process, epochs: int) -> dict:
    """The start of the run, once it has so many epochs."""
    while sum(event["kind"] == "epoch" for event in events(home)) < epochs:
        assert process.poll() is None
        time.sleep(0.05)
    return events(home)[0]


def children(process) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_a_stopped_run_on_two_devices_goes_on_with_one(home):
    command = cli("run", *ENDLESS, "--device", "cpu", "--devices", 2, "--home", home.root)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    provenance = started(home, process, 2)["provenance"]
    helpers = children(process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert helpers
    assert all(map(gone, helpers))
    assert provenance["world_size"] == 2
    assert len(journal.journals(home)) == 1
    assert events(home)[-1]["status"] == "interrupted"
    stood = max(event["epoch"] for event in events(home) if event["kind"] == "epoch")
    command = cli("run", "--resume", out.strip(), "--device", "cpu", "--home", home.root, "--max-time", "1s")
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.stdout == out
    assert [event["from_epoch"] for event in events(home) if event["kind"] == "started"] in ([0, stood], [stood, 0])


def test_a_lost_process_fails_the_run_and_leaves_none_behind(home):
    command = cli("run", *ENDLESS, "--device", "cpu", "--devices", 2, "--home", home.root)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started(home, process, 1)
    helpers = children(process)
    os.kill(helpers[0], signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert all(map(gone, helpers))
    end = events(home)[-1]
    assert end["status"] == "failed"
    assert end["reason"] == "one of the 2 processes that train together was lost: process 1 was killed by SIGKILL"


def test_torchrun_starts_one_run(home):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    run = cli("run", "digits-cnn", "-s", "data.limit=64", "-s", "epochs=1", "--device", "cpu", "--home", home.root)[2:]
    for _ in range(2):  # the second time there is nothing to train, which the other process must hear too
        done = subprocess.run([*launcher, *run], capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        (run_id,) = done.stdout.split()
    assert [event["run_id"] for event in events(home)] == [run_id] * len(events(home))
    assert json.dumps(events(home)[0]["provenance"]["world_size"]) == "2"
