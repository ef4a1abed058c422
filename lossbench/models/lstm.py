"""Recurrent networks for sequences of word numbers."""

import torch
from torch import Tensor, nn

from lossbench.errors import UsageError
from lossbench.models.registry import model


class LSTM(nn.Module):
    """Word vectors, layers of LSTM cells, and a linear layer on the output at the last word.

    Number 0 fills short sequences up behind their last word, where it cannot reach any output that counts.
    """

    def __init__(self, vocabulary: int, classes: int, *, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.vectors = nn.Embedding(vocabulary, width, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.cells = nn.LSTM(width, width, layers, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        outputs, _ = self.cells(self.dropout(self.vectors(tokens)))
        last = (tokens != 0).sum(dim=1).clamp(min=1) - 1
        logits: Tensor = self.head(outputs[torch.arange(len(tokens), device=tokens.device), last])
        return logits


@model("lstm", "word vectors and LSTM layers, all of one width", takes="tokens")
def lstm(shape: tuple[int, ...], classes: int, *, hidden: tuple[int, ...], dropout: float) -> nn.Module:
    if not hidden or len(set(hidden)) > 1:
        raise UsageError(
            f"model lstm needs one width for each of its layers, all the same, such as model.hidden=[50,50]; got "
            f"{list(hidden)}"
        )
    return LSTM(shape[1], classes, width=hidden[0], layers=len(hidden), dropout=dropout)
