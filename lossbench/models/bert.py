"""BERT for classification (Devlin et al., arXiv 1810.04805), as the transformers library builds it."""

from typing import Any

import torch
from torch import Tensor, nn

from lossbench.errors import DataError, UsageError
from lossbench.models.registry import model

_HEAD = 64  # units of each attention head, as in all published sizes
_BASE = (768,) * 12


class Bert(nn.Module):
    """BERT and a linear layer on what it makes of the first word piece, for rows of word pieces [N, T].

    Rows come as `lossbench.data.pieces` writes them: `[CLS] first [SEP]` or `[CLS] first [SEP] second [SEP]`, and then
    zeros. So what BERT wants to know beside the pieces is told by them: zeros are not attended to, and what follows
    the first separator, which is also the last piece of every row, is the second sentence.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pieces: Tensor) -> Tensor:
        attended = pieces != 0
        lengths = attended.sum(dim=1, keepdim=True)
        if pieces.device.type == "cpu":
            # Reading the longest length would make a GPU wait; here it spares the arithmetic on zeros.
            longest = max(1, int(lengths.max()))
            pieces, attended = pieces[:, :longest], attended[:, :longest]
        separators = pieces == pieces.gather(1, lengths.clamp(min=1) - 1)
        second = (separators.cumsum(dim=1) > separators.long()) & attended
        # Of a mask [N, T] the library asks whether it is full, for which a GPU would wait; this one it takes as it is.
        mask = attended[:, None, None, :].expand(-1, 1, pieces.shape[1], -1)
        logits: Tensor = self.network(input_ids=pieces, attention_mask=mask, token_type_ids=second.long()).logits
        return logits


@model("bert", "BERT, of its base size or of layers of one width, or from published weights", takes="tokens")
def bert(
    shape: tuple[int, ...], classes: int, *, hidden: tuple[int, ...], dropout: float, pretrained: str
) -> nn.Module:
    """Begins from random weights, or from those in a folder or on huggingface.co.

    Raises:
        UsageError: the widths differ or are chosen for published weights, or `lossbench[text]` is not installed.
        DataError: there are no such published weights.
    """
    if len(set(hidden)) > 1 or any(width % _HEAD and width > _HEAD for width in hidden):
        raise UsageError(
            f"model bert needs one width for each of its layers, all the same and a multiple of {_HEAD}, such as "
            f"model.hidden=[128,128]; got {list(hidden)}"
        )
    try:
        from transformers import BertConfig, BertForSequenceClassification
    except ImportError as error:
        raise UsageError(
            f"model bert needs the extra lossbench[text], pip install 'lossbench[text]': {error}"
        ) from error
    given: dict[str, Any] = {
        "num_labels": classes,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
    }
    if pretrained:
        if hidden:
            raise UsageError("model bert takes model.hidden or model.pretrained, not both")
        return Bert(_published(pretrained, given))
    widths = hidden or _BASE
    config = BertConfig(
        vocab_size=shape[1],
        hidden_size=widths[0],
        num_hidden_layers=len(widths),
        num_attention_heads=max(1, widths[0] // _HEAD),
        intermediate_size=4 * widths[0],
        **given,
    )
    return Bert(BertForSequenceClassification(config))


def _published(name: str, given: dict[str, Any]) -> nn.Module:
    """The network with those weights, and a new layer for the classes."""
    from transformers import BertForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()  # it would report that the layer for the classes is new
    logging.disable_progress_bar()
    try:
        network: nn.Module = BertForSequenceClassification.from_pretrained(
            name, dtype=torch.float32, ignore_mismatched_sizes=True, **given
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"model.pretrained={name} is neither a folder with a BERT nor to be fetched from huggingface.co: {reason}"
        ) from error
    return network
