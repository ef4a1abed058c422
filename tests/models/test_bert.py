"""BERT: what it is told of a row, and beginning from published weights."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel

from lossbench import models, presets
from lossbench.errors import DataError, UsageError
from lossbench.spec import ModelSpec

SMALL = ModelSpec(name="bert", hidden=(16, 16))
PIECES = torch.tensor([[2, 7, 8, 3, 9, 3, 0, 0], [2, 7, 3, 0, 0, 0, 0, 0], [2, 5, 6, 7, 3, 8, 9, 3]])
SECOND = torch.tensor([[0, 0, 0, 0, 1, 1, 0, 0], [0] * 8, [0, 0, 0, 0, 0, 1, 1, 1]])


def test_mask_and_sentences_follow_from_the_pieces() -> None:
    bert = models.build(SMALL, (8, 20), 3, seed=0).eval()
    expected = bert.network(input_ids=PIECES, attention_mask=(PIECES != 0).long(), token_type_ids=SECOND).logits
    torch.testing.assert_close(bert(PIECES), expected)
    alone = bert(PIECES[:1, :6])
    torch.testing.assert_close(bert(PIECES)[:1], alone)
    swapped = PIECES[:1].clone()
    swapped[0, 3], swapped[0, 4] = 9, 3  # the same pieces, the sentences divided elsewhere
    assert not torch.allclose(bert(swapped), alone)


@pytest.mark.parametrize(
    ("hidden", "classes", "expected"),
    [
        ((), 2, 109_482_240 + 768 * 2 + 2),  # transformers' bert-base-uncased and the layer for the classes
        ((128, 128), 2, 4_385_920 + 128 * 2 + 2),  # BERT-Tiny, arXiv 1908.08962: 4.4 M
    ],
)
def test_the_published_sizes_have_the_published_number_of_weights(hidden, classes, expected) -> None:
    with torch.device("meta"):
        network = models.build(ModelSpec(name="bert", hidden=hidden), (64, 30_522), classes, seed=0)
    assert sum(weight.numel() for weight in network.parameters()) == expected


def test_published_weights_come_from_a_folder_and_the_head_from_the_seed(tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=64, num_labels=5
    )
    saved = BertForSequenceClassification(config)
    saved.save_pretrained(tmp_path / "bert")
    spec = ModelSpec(name="bert", pretrained=str(tmp_path / "bert"), dropout=0.25)
    first, again, other = (models.build(spec, (8, 20), 3, seed=seed).network for seed in (0, 0, 1))
    for name, weight in saved.bert.named_parameters():
        assert torch.equal(weight, first.bert.get_parameter(name))
    assert first.classifier.weight.shape == (3, 16)
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    assert (first.config.hidden_dropout_prob, first.dropout.p) == (0.25, 0.25)
    assert isinstance(first.bert, BertModel)


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"hidden": (16, 32)}, UsageError, "one width for each of its layers"),
        ({"hidden": (100,)}, UsageError, "multiple of 64"),
        ({"hidden": (16,), "pretrained": "x"}, UsageError, "not both"),
        ({"pretrained": "./no/such/folder"}, DataError, "model.pretrained=./no/such/folder is neither a folder"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(fields, kind, message, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(kind, match=message) as caught:
        models.build(ModelSpec(name="bert", **fields), (8, 20), 3, seed=0)
    assert "\n" not in str(caught.value)


def test_published_weights_read_their_own_pieces() -> None:
    preset = presets.load("glue-rte-bert")
    assert preset.data.tokenizer == preset.model.pretrained
    with pytest.raises(UsageError, match="published weights read their own word pieces, google-bert/bert-base-uncased"):
        presets.load("glue-rte-bert", ["data.tokenizer="])
