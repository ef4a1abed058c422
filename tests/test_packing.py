"""States come back as they were, tensors and containers and numbers, and no text makes more of them than there is."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbench.packing import pack, unpack

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_values_come_back_with_their_types(value):
    (text,), tensors = pack([value])
    assert repr(unpack(text, tensors)) == repr(value)


def test_tensors_of_every_kind_come_back_in_memory_of_their_own():
    whole = torch.arange(12.0).reshape(3, 4)
    first = {
        "view": whole[1],
        "turned": whole.t(),
        "none": torch.tensor([]),
        "half": whole.bfloat16(),
        "step": (0, 0.5),
    }
    second = {7: [torch.tensor(3), torch.tensor([True, False])], "best": -math.inf}
    texts, tensors = pack([first, second])
    assert set(tensors) == {"torch.float32", "torch.bfloat16", "torch.int64", "torch.bool"}
    found = [unpack(text, tensors) for text in texts]
    for name in ("view", "turned", "none", "half"):
        assert found[0][name].dtype == first[name].dtype
        assert torch.equal(found[0][name], first[name])
    assert found[0]["step"] == (0, 0.5)
    assert found[1][7][0].shape == ()
    assert found[1][7][1].tolist() == [True, False]
    assert found[1]["best"] == -math.inf
    found[0]["view"].fill_(9)
    assert torch.equal(unpack(texts[0], tensors)["turned"], whole.t())


@pytest.mark.parametrize(
    "text",
    [
        '["list", ["tensor", "torch.float32", 0, 3], ["tensor", "torch.float32", 0, 3]]',
        '["tensor", "torch.float32", 2, 3]',
        '["tensor", "torch.int8", 0, 1]',
        '["tensor", "torch.float32", "0", 1]',
        '["tensor", "torch.float32", 0, -1]',
        '["dict", 3]',
        '["set", 3]',
        '{"a": 1}',
        "[]",
    ],
)
def test_a_text_that_does_not_fit_its_tensors_is_refused(text):
    with pytest.raises((ValueError, TypeError, KeyError, RuntimeError)):
        unpack(text, {"torch.float32": torch.zeros(4)})
