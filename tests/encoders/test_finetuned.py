"""Fine-tuning: which weights of a transformer are trained and kept, and how fast it learns."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from sentiment.config import EncoderConfig
from sentiment.encoders.batches import TokenStore
from sentiment.encoders.finetuned import FineTuned
from sentiment.encoders.pretrained import find_encoder
from sentiment.tokens import TokenRows
from sentiment.training.task import warm_up_and_decay
from tests.encoders.tiny import needs_transformers

pytestmark = [needs_transformers, pytest.mark.slow]

TWEETS = [["good", "morning", "!"], ["so", "bad"], [], ["not", "good", "at", "all", ":("]]


@pytest.fixture(params=["bert", "roberta"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def _tuned(folder: Path) -> FineTuned:
    return FineTuned(find_encoder(EncoderConfig(model=str(folder), use="finetune"), folder))


def test_it_begins_with_the_states_of_the_library_whatever_is_padded(folder: Path) -> None:
    from transformers import AutoModel

    tuned = _tuned(folder).eval()
    reference = AutoModel.from_pretrained(folder).eval()
    ids, offsets = tuned.pieces(TokenRows.of_tweets(TWEETS))
    store = TokenStore(ids, offsets, np.zeros(len(TWEETS)), torch.device("cpu"))
    (batch,) = store.in_order_of_length(torch.arange(len(TWEETS)).numpy())
    assert batch.padded
    for row, states in zip(batch.rows.tolist(), tuned(batch), strict=True):
        one = torch.from_numpy(ids[offsets[row] : offsets[row + 1]]).long()
        torch.testing.assert_close(states[: len(one)], reference(one[None]).last_hidden_state[0], atol=1e-5, rtol=1e-5)


def test_all_weights_are_trained_and_the_unused_pooler_has_none(folder: Path) -> None:
    tuned = pickle.loads(pickle.dumps(_tuned(folder)))  # as a classifier of scikit-learn is stored
    weights = dict(tuned.named_parameters())
    assert len(tuned.state_dict()) == 37
    assert weights.keys() == tuned.state_dict().keys()
    assert not any("pooler" in name for name in weights)
    assert all(parameter.requires_grad for parameter in weights.values())


def test_learning_rate_rises_for_a_tenth_of_the_steps_and_falls_to_zero() -> None:
    factors = [warm_up_and_decay(step, 20) for step in (0, 1, 2, 11, 19, 20)]
    assert factors == pytest.approx([0.5, 1.0, 1.0, 0.5, 1 / 18, 0.0])
    assert warm_up_and_decay(0, 1) == 1.0
