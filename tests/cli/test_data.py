"""`lossbench data`: what is listed, fetched and verified, and how it fails."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossbench import data
from lossbench.data import archive
from tests.cli.conftest import Lossbench


@pytest.fixture
def cinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve a small CINIC-10 and give the empty folder it will be fetched into."""
    pictures = tmp_path / "pictures"
    for number, place in enumerate(("train/cat", "valid/dog", "test/ship")):
        (pictures / place).mkdir(parents=True)
        Image.fromarray(np.full((32, 32, 3), number, np.uint8)).save(pictures / place / "a.png")
    with tarfile.open(tmp_path / "cinic.tar.gz", "w:gz") as bundle:
        bundle.add(pictures, ".")
    keywords = data.get("cinic10").read.keywords
    served = tmp_path / "cinic.tar.gz"
    monkeypatch.setitem(
        keywords, "remote", replace(keywords["remote"], url=served.as_uri(), md5=archive.md5_of(served))
    )
    return tmp_path / "sets"


def test_ls_says_what_is_built_in_present_and_missing(lossbench: Lossbench, cinic: Path) -> None:
    def states() -> dict[str, str]:
        ended = lossbench("data", "ls", "--data-dir", cinic, "--format", "json")
        assert ended.code == 0
        return {row["data"]: row["state"] for row in json.loads(ended.out)["rows"]}

    before = states()
    assert (before["iris"], before["cinic10"], before["cifar100"]) == ("built in", "missing", "missing")
    assert len(before) == len(data.catalogue())
    assert lossbench("data", "fetch", "cinic10", "--data-dir", cinic).code == 0
    assert states() == before | {"cinic10": "present"}


def test_ls_counts_the_files_of_a_task_and_none_of_its_neighbours(lossbench: Lossbench, tmp_path: Path) -> None:
    for place, size in {
        "glue/RTE_train.tsv": 1,
        "glue/RTE_dev.tsv": 2,
        "glue/WNLI/train.tsv": 4,
        "glue-rte/p.npz": 8,
    }.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(bytes(size << 20))
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    ended = lossbench("data", "ls", "glue-*", "imagenet", "--data-dir", tmp_path, "--format", "json")
    sizes = {row["data"]: row["mib"] for row in json.loads(ended.out)["rows"] if row["state"] == "present"}
    assert sizes == {"glue-rte": 11, "glue-wnli": 4, "imagenet": 154_642_401_280 / 2**20}


def test_fetch_prepares_once_and_verify_notices_a_change(lossbench: Lossbench, cinic: Path) -> None:
    assert "fetching" in lossbench("data", "fetch", "cinic10", "--data-dir", cinic).err
    assert "fetching" not in lossbench("data", "fetch", "cinic10", "--data-dir", cinic).err
    assert lossbench("data", "verify", "cinic10", "--data-dir", cinic).out == "cinic10: 3 rows, checksums match\n"
    changed = cinic / "cinic10" / "test.npz"
    np.savez(changed, images=np.zeros((1, 32, 32, 3), np.uint8), labels=np.zeros(1, int))
    ended = lossbench("data", "verify", "cinic10", "--data-dir", cinic)
    assert ended.code == 6
    assert "has changed since it was made" in ended.err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("checksum", "wrong checksum"),
        ("cut off", "is cut off or damaged"),
        ("escape", "leads outside the archive's own folder"),
        ("size", "is 28x28, expected 32x32"),
        ("network", "cannot be fetched"),
        ("folder", "cannot write to"),
    ],
)
def test_a_set_that_cannot_be_had_is_one_sentence_and_leaves_nothing(
    changed: str, message: str, lossbench: Lossbench, cinic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = cinic.parent / "cinic.tar.gz"
    match changed:
        case "cut off":
            served.write_bytes(served.read_bytes()[:-60])
        case "escape" | "size":
            Image.fromarray(np.zeros((28, 28, 3), np.uint8)).save(cinic.parent / "b.png")
            with tarfile.open(served, "w:gz") as bundle:
                bundle.add(cinic.parent / "pictures", ".")
                bundle.add(cinic.parent / "b.png", "train/cat/b.png" if changed == "size" else "../train/cat/b.png")
        case "folder":
            cinic.write_text("a file where the folder should be")
    keywords = data.get("cinic10").read.keywords
    md5 = "0" * 32 if changed == "checksum" else archive.md5_of(served)
    monkeypatch.setitem(keywords, "remote", replace(keywords["remote"], md5=md5))
    if changed == "network":
        served.unlink()
    ended = lossbench("data", "fetch", "cinic10", "--data-dir", cinic)
    assert (ended.code, ended.out) == (6, "")
    sentence = ended.err.splitlines()[-1]
    assert sentence.startswith("lossbench: ")
    assert message in sentence
    assert not [path for path in cinic.glob("**/*") if path.is_file() and path.name != "CINIC-10.tar.gz"]


def test_a_first_preparation_shows_how_far_it_has_come_and_a_second_has_nothing_to_show(
    lossbench: Lossbench, cinic: Path
) -> None:
    training = ("run", "cinic10-resnet20-mixing", "--data-dir", cinic, "-s", "epochs=1", "-s", "optimizer.schedule=1")
    ended = lossbench(*training)
    assert ended.code == 0, ended.err
    assert ended.err.splitlines()[:3] == [
        "fetching CINIC-10.tar.gz, MiB: 1 of 1",
        "CINIC-10.tar.gz: listing pictures: 3 of 3",
        "CINIC-10.tar.gz: decoding pictures: 3 of 3",
    ]
    assert "decoding" not in lossbench(*training, "--force").err


def test_verify_says_how_far_it_could_look(lossbench: Lossbench, tmp_path: Path) -> None:
    ended = lossbench("data", "verify", "iris", "wine", "--data-dir", tmp_path)
    assert ended.out.splitlines() == [
        "iris: 150 rows of the right form; no checksum is known",
        "wine: 178 rows of the right form; no checksum is known",
    ]
    ended = lossbench("data", "verify", "uci-wine", "--data-dir", tmp_path)
    assert (ended.code, ended.out) == (6, "")
    assert str(tmp_path) in ended.err


def test_path_is_the_folder_every_command_would_use(
    lossbench: Lossbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path / "variable"))
    assert lossbench("data", "path").out == f"{tmp_path / 'variable'}\n"
    assert lossbench("data", "path", "--data-dir", tmp_path / "named").out == f"{tmp_path / 'named'}\n"


def test_unknown_data_sets_get_the_nearest_name(lossbench: Lossbench) -> None:
    for command in ("ls", "fetch", "verify"):
        ended = lossbench("data", command, "cifar1000")
        assert ended.code == 2
        assert "did you mean 'cifar100'" in ended.err
