import numpy as np
import pytest
import torch
from hypothesis import given

from sentiment.encoders.allennlp import allennlp_elmo, batch_to_ids
from sentiment.encoders.elmo_files import character_ids
from tests.encoders.oracle import needs_allennlp
from tests.encoders.tweets import batches

REST = 261


def expected(*begin: int) -> list[int]:
    return [*begin] + [REST] * (50 - len(begin))


@pytest.mark.parametrize(
    ("token", "ids"),
    [
        ("", expected(259, 260)),
        ("a", expected(259, 98, 260)),
        ("é", expected(259, 0xC3 + 1, 0xA9 + 1, 260)),
        ("\x00", expected(259, 1, 260)),
        ("<S>", expected(259, 257, 260)),
        ("</S>", expected(259, 258, 260)),
        ("<s>", expected(259, ord("<") + 1, ord("s") + 1, ord(">") + 1, 260)),
        ("\ud800", expected(259, 260)),
        ("a" * 48, [259] + [98] * 48 + [260]),
        ("a" * 200, [259] + [98] * 48 + [260]),
        ("a" + "é" * 24, [259, 98] + [0xC4, 0xAA] * 23 + [0xC4, 260]),
    ],
    ids=ascii,
)
def test_a_token_becomes_its_bytes_between_marks(token: str, ids: list[int]) -> None:
    assert character_ids([token]).tolist() == [ids]


def test_tokens_do_not_mix() -> None:
    tokens = ["ab", "", "c" * 60, "<S>", "d"]
    assert character_ids(tokens).tolist() == [character_ids([token])[0].tolist() for token in tokens]
    assert character_ids([]).shape == (0, 50)


def test_a_batch_is_padded_with_zeros() -> None:
    ids = batch_to_ids([["a"], [], ["b", "c"]])
    assert ids.dtype == torch.int64
    assert ids.shape == (3, 2, 50)
    assert (ids > 0).any(2).tolist() == [[True, False], [False, False], [True, True]]
    np.testing.assert_array_equal(ids[2], character_ids(["b", "c"]))
    assert batch_to_ids([]).shape == (0, 0, 50)
    assert batch_to_ids([[]]).shape == (1, 0, 50)


@needs_allennlp
@given(batches)
def test_batch_to_ids_equals_allennlp(batch: list[list[str]]) -> None:
    assert torch.equal(batch_to_ids(batch), allennlp_elmo().batch_to_ids(batch))
