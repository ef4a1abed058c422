"""Nested states as one text and a few long tensors: many short ones take longer to write than to compute."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["pack", "unpack"]


def pack(states: Sequence[Any]) -> tuple[list[str], dict[str, Tensor]]:
    """States made of dictionaries, lists, tuples, tensors, numbers and texts.

    Returns:
        A text per state, and all their tensors end to end, by data type.
    """
    pieces: dict[torch.dtype, list[Tensor]] = {}
    ends: dict[torch.dtype, int] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, Tensor):
            dtype = value.dtype
            start = ends.get(dtype, 0)
            ends[dtype] = start + value.numel()
            pieces.setdefault(dtype, []).append(value.reshape(-1))
            return ["tensor", str(dtype), start, *value.shape]
        if isinstance(value, dict):
            return ["dict", *([name, plain(each)] for name, each in value.items())]
        if isinstance(value, list | tuple):
            return ["list" if isinstance(value, list) else "tuple", *map(plain, value)]
        return value

    texts = [json.dumps(plain(state)) for state in states]
    return texts, {str(dtype): torch.cat(tensors) for dtype, tensors in pieces.items()}


def unpack(text: str, tensors: Mapping[str, Tensor]) -> Any:
    """One of the states that were packed, in memory of its own.

    Raises:
        ValueError, TypeError, KeyError, RuntimeError: text and tensors were not packed together.
    """
    left = sum(tensor.numel() for tensor in tensors.values())

    def whole(value: Any) -> Any:
        nonlocal left
        match value:
            case ["tensor", dtype, start, *shape]:
                size = torch.Size(shape)
                left -= size.numel()
                if left < 0 or min(size, default=0) < 0:
                    raise ValueError("a state that is larger than its tensors")
                return tensors[dtype][start : start + size.numel()].reshape(size).clone()
            case ["dict", *items]:
                return {name: whole(each) for name, each in items}
            case ["list", *items]:
                return [whole(each) for each in items]
            case ["tuple", *items]:
                return tuple(whole(each) for each in items)
            case list() | dict():
                raise ValueError("no part of a packed state")
            case _:
                return value

    return whole(json.loads(text))
