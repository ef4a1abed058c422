"""GLUE: small files in the publisher's form, divided into word pieces."""

import json
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models

from lossbench import data
from lossbench.data import pieces
from lossbench.errors import DataError, LossbenchError, UsageError
from lossbench.spec import DataSpec

PAD, UNK, CLS, SEP = range(4)

FILES = {
    "CoLA/train.tsv": "gj04\t1\t\tThe cat sat.\ngj04\t0\t*\tThe sat cat.\n",
    "CoLA/dev.tsv": "gj04\t1\t\tThe cat.\n",
    "SST-2_train.tsv": 'sentence\tlabel\na "fine film \t1\na bad film \t0\n',
    "SST-2_dev.tsv": "sentence\tlabel\nfine \t1\n",
    "MRPC/train.tsv": "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t1\t2\tA cat.\tOne cat.\r\n",
    "MRPC/test.tsv": "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tA cat.\tA dog.\n",
    "MNLI/train.tsv": "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tA cat.\tA dog.\tneutral\tcontradiction\n",
    "MNLI/dev_matched.tsv": "index\tsentence1\tsentence2\tgold_label\n0\tA cat.\tA cat.\tentailment\n",
    "QNLI/train.tsv": "index\tquestion\tsentence\tlabel\n0\tWho sat?\tThe cat.\tentailment\n",
    "QNLI/dev.tsv": "index\tquestion\tsentence\tlabel\n0\tWho sat?\tOn it.\tnot_entailment\n",
    "RTE/train.jsonl": json.dumps({"sentence1": "A cat.", "sentence2": "A dog.", "label": "not_entailment"}),
    "RTE/dev.jsonl": json.dumps({"sentence1": "A cat.", "sentence2": "A cat.", "label": "entailment"}),
    "WNLI_train.tsv": "index\tsentence1\tsentence2\tlabel\n0\tIt sat.\tThe cat sat.\t1\n",
    "WNLI_dev.tsv": "index\tsentence1\tsentence2\tlabel\n0\tIt sat.\tThe dog sat.\t0\n",
}
TASKS = {  # training and test targets, and whether there are pairs
    "cola": ([1, 0], [1], False),
    "sst2": ([1, 0], [1], False),
    "mrpc": ([1], [0], True),
    "mnli": ([0], [1], True),
    "qnli": ([0], [1], True),
    "rte": ([1], [0], True),
    "wnli": ([1], [0], True),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "glue" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return tmp_path


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_read_as_published(task: str, folder: Path) -> None:
    train, test, pairs = TASKS[task]
    dataset = data.load(DataSpec(name=f"glue-{task}"), folder)
    assert (dataset.train.target.tolist(), dataset.test.target.tolist()) == (train, test)
    assert dataset.shape == (pieces.LENGTH, dataset.vocabulary)
    assert dataset.classes == len(dataset.class_names) == (3 if task == "mnli" else 2)
    for rows in (dataset.train.inputs, dataset.test.inputs):
        assert (rows[:, 0] == CLS).all()
        assert ((rows == SEP).sum(dim=1) == 1 + pairs).all()
        last = (rows != PAD).sum(dim=1) - 1
        assert (rows[torch.arange(len(rows)), last] == SEP).all()


def test_a_vocabulary_is_the_characters_and_the_most_frequent_words_of_the_training_text(folder: Path) -> None:
    dataset = data.load(DataSpec(name="glue-sst2"), folder)
    letters = sorted('"abdefilmn')
    first = {letter: len(pieces._SPECIAL) + letters.index(letter) for letter in 'a"'}
    # Both "a" and "film" occur twice, but a letter is a piece already; "bad" comes first of those that occur once.
    words = {word: len(pieces._SPECIAL) + 2 * len(letters) + place for place, word in enumerate(["film", "bad"])}
    row = dataset.train.inputs[0].tolist()
    assert row[:3] == [CLS, first["a"], first['"']]
    assert row[4] == words["film"]
    assert dataset.train.inputs[1].tolist()[:5] == [CLS, first["a"], words["bad"], words["film"], SEP]
    assert UNK not in dataset.train.inputs


def test_pieces_are_kept_and_belong_to_their_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = DataSpec(name="glue-rte")
    first = data.load(spec, folder)
    (kept,) = (folder / "glue-rte").iterdir()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "tokenizers", None)
        assert torch.equal(data.load(spec, folder).train.inputs, first.train.inputs)
    (folder / "glue" / "RTE" / "dev.jsonl").write_text(FILES["RTE/dev.jsonl"].replace("A cat", "A cow"))
    assert not torch.equal(data.load(spec, folder).test.inputs, first.test.inputs)
    assert len(list((folder / "glue-rte").iterdir())) == 2
    kept.write_bytes(b"cut off")
    (folder / "glue" / "RTE" / "dev.jsonl").write_text(FILES["RTE/dev.jsonl"])
    assert torch.equal(data.load(spec, folder).test.inputs, first.test.inputs)


def test_long_pairs_are_cut_and_still_end_with_a_separator(folder: Path) -> None:
    path = folder / "glue" / "RTE" / "train.jsonl"
    path.write_text(json.dumps({"sentence1": "cat " * 100, "sentence2": "A dog.", "label": "entailment"}))
    row = data.load(DataSpec(name="glue-rte"), folder).train.inputs[0]
    assert (row != PAD).all()
    assert row[-1] == SEP
    assert (row == SEP).sum() == 2


def published(folder: Path, vocabulary: dict[str, int]) -> str:
    folder.mkdir()
    Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    return str(folder)


def test_published_word_pieces_come_from_a_folder(folder: Path) -> None:
    name = published(folder / "bert", {"[PAD]": 0, "[UNK]": 1, "[SEP]": 2, "The cat.": 3})
    dataset = data.load(DataSpec(name="glue-cola", tokenizer=name), folder)
    assert dataset.vocabulary == 4
    assert dataset.test.inputs[0, :2].tolist() == [3, 0]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("CoLA/train.tsv", "gj04\t1\tThe cat.\n", "row 1: 3 fields, expected 4: source, label, orig, sentence"),
        ("RTE/train.jsonl", "{", "row 1 is not JSON"),
        ("RTE/train.jsonl", "[1]", "row 1 is no object"),
        ("RTE/train.jsonl", "{}", "there is no field 'sentence1'"),
        (
            "QNLI/train.tsv",
            "index\tquestion\tlabel\n0\tWho?\tentailment\n",
            "no field 'sentence', only index, question",
        ),
        ("MNLI/train.tsv", FILES["MNLI/train.tsv"].replace("contradiction", "-"), "label '-' is none of contradiction"),
        ("WNLI_dev.tsv", "index\tsentence1\tsentence2\tlabel\n", "holds no rows"),
        ("SST-2_dev.tsv", "", "holds no rows"),
        ("SST-2_dev.tsv", None, "dev.tsv is missing; fetch the task"),
        ("SST-2_dev.tsv", b"\xff\xfe", "cannot be read as text"),
    ],
)
def test_another_file_is_refused_in_one_line(file: str, text: str | bytes | None, message: str, folder: Path) -> None:
    path = folder / "glue" / file
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    task = file[: file.index("_" if "_" in file else "/")].lower().replace("-", "")
    with pytest.raises(DataError, match=message) as caught:
        data.load(DataSpec(name=f"glue-{task}"), folder)
    assert "\n" not in str(caught.value)
    assert not (folder / f"glue-{task}").exists()


def test_a_tokenizer_that_is_not_one_is_refused_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(**fields: str) -> str:
        with pytest.raises(LossbenchError) as caught:
            data.load(DataSpec(**fields), folder)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    assert "is no folder and cannot be fetched from huggingface.co" in refusal(name="glue-rte", tokenizer="no/such")
    (folder / "empty").mkdir()
    assert "tokenizer.json holds no tokenizer" in refusal(name="glue-rte", tokenizer=str(folder / "empty"))
    name = published(folder / "other", {"[UNK]": 0, "[PAD]": 1, "[SEP]": 2})
    assert "not of BERT's kind" in refusal(name="glue-rte", tokenizer=name)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert "pip install 'lossbench[text]'" in refusal(name="glue-rte")


def test_other_data_takes_no_tokenizer(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.tokenizer is for text; synthetic has features"):
        data.load(DataSpec(name="synthetic", tokenizer="google-bert/bert-base-uncased"), folder)


@pytest.mark.parametrize(
    ("task", "rows", "test_rows"), [("cola", 8551, 1043), ("mrpc", 4076, 1725), ("rte", 2490, 277), ("wnli", 635, 71)]
)
def test_the_real_files_have_the_published_rows(task, rows, test_rows, real_data) -> None:
    dataset = data.load(DataSpec(name=f"glue-{task}"), real_data("glue"))
    assert (len(dataset.train), len(dataset.test)) == (rows, test_rows)
    assert dataset.train.target.bincount().min() > 0
