"""Sentences and pairs of them as word pieces, the input of BERT (Devlin et al., arXiv 1810.04805).

A row is `[CLS] first [SEP]` or `[CLS] first [SEP] second [SEP]`, cut to LENGTH pieces from the longer sentence, and
then zeros. The pieces are those of a published BERT or, without one, of a vocabulary made from the training text.
"""

import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lossbench.data.archive import replacing
from lossbench.data.progress import advance
from lossbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["LARGEST_VOCABULARY", "LENGTH", "Texts", "encoded"]

LENGTH = 64
"""Word pieces per row, as in arXiv 2109.05635."""

LARGEST_VOCABULARY = 8_000
"""Word pieces of a vocabulary that is made from the training text."""

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_AT_ONCE = 10_000  # rows between two words about progress
_OWN = "pieces of the training text, 1"  # with another number when they are made in another way


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Sentences of training rows and then of test rows, each with a second one where the task has pairs [D]."""

    first: tuple[str, ...]
    second: tuple[str, ...] | None
    training_rows: int


def encoded(texts: Texts, tokenizer: str, *, folder: Path, name: str) -> tuple[Tensor, int]:
    """Word pieces of every row [D, LENGTH], and how many different ones there are; kept below the data folder.

    Args:
        tokenizer: folder or hub name of a BERT; empty for pieces of the training text.
        name: of the data set.
    Raises:
        UsageError: `lossbench[text]` is not installed, or the tokenizer is not one of BERT's kind.
        DataError: there is no such tokenizer, or the folder cannot be written.
    """
    published = _published(tokenizer) if tokenizer else None
    digest = hashlib.sha256((_OWN if published is None else published.to_str()).encode())
    digest.update(json.dumps([texts.first, texts.second, texts.training_rows, LENGTH]).encode())
    path = folder / name / f"pieces-{digest.hexdigest()[:12]}.npz"
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            return torch.from_numpy(file["pieces"].astype(np.int64)), int(file["vocabulary"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        pieces, vocabulary = _encode(texts, published or _own(texts), name)
    with replacing(path) as file:
        np.savez(file, pieces=pieces.astype(np.int32), vocabulary=vocabulary)
    return torch.from_numpy(pieces), vocabulary


def _encode(texts: Texts, tokenizer: "Tokenizer", name: str) -> tuple[Any, int]:
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    rows: Sequence[Any] = texts.first if texts.second is None else list(zip(texts.first, texts.second, strict=True))
    pieces = np.empty((len(rows), LENGTH), dtype=np.int64)
    for start in range(0, len(rows), _AT_ONCE):
        part = tokenizer.encode_batch(rows[start : start + _AT_ONCE])
        pieces[start : start + len(part)] = [row.ids for row in part]
        advance(f"{name}: dividing rows into word pieces", start + len(part), len(rows))
    return pieces, tokenizer.get_vocab_size()


def _own(texts: Texts) -> "Tokenizer":
    """Every character of the training text, and its most frequent words, ties in the order of the alphabet.

    A word that is none of these falls into characters. The vocabulary hangs on nothing but the text, which that of the
    usual training algorithm does not promise.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    sentences = [*texts.first[: texts.training_rows], *(texts.second or ())[: texts.training_rows]]
    counts = Counter(
        word for sentence in sentences for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(sentence))
    )
    characters = sorted({character for word in counts for character in word})
    words = sorted((word for word in counts if len(word) > 1), key=lambda word: (-counts[word], word))
    pieces = [*_SPECIAL, *characters, *(f"##{character}" for character in characters), *words]
    vocabulary = {piece: number for number, piece in enumerate(pieces[:LARGEST_VOCABULARY])}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizer, splitter
    made.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    return made


def _published(name: str) -> "Tokenizer":
    """The tokenizer in a folder, else the one of that name on huggingface.co."""
    from tokenizers import Tokenizer

    folder = Path(name).expanduser()
    path = folder / "tokenizer.json" if folder.is_dir() else _fetched(name)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise DataError(f"{path} holds no tokenizer: {' '.join(str(error).split())}") from error
    if tokenizer.token_to_id("[PAD]") != 0 or tokenizer.token_to_id("[SEP]") is None:
        raise UsageError(f"data.tokenizer={name}: {path} is not of BERT's kind, with [PAD] as piece 0 and a [SEP]")
    return tokenizer


def _fetched(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "tokenizer.json"))
    except Exception as error:  # of many kinds, by what is missing: the name, the file, the network
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"data.tokenizer={name} is no folder and cannot be fetched from huggingface.co: {reason}; save a BERT with "
            "its tokenizer.json into a folder and name that with data.tokenizer and model.pretrained"
        ) from error
