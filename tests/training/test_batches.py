"""Batches: every row once, the same plan for the same epoch, nearly no padding, bounded memory."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sentiment.data.vocabulary import PADDING, UNKNOWN
from sentiment.encoders.batches import _CPU_TOKENS, _GPU_TOKENS, TokenStore

Tweets = list[list[int]]

some_tweets = st.lists(st.lists(st.integers(2, 99), max_size=12), min_size=1, max_size=40)


def _store(tweets: Tweets, device: str = "cpu") -> TokenStore:
    offsets = np.cumsum([0, *map(len, tweets)]).astype(np.int64)
    token_ids = np.array([token for tweet in tweets for token in tweet], np.int32)
    return TokenStore(token_ids, offsets, np.arange(len(tweets)) % 2, torch.device(device))


@given(tweets=some_tweets, batch_size=st.integers(1, 50), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 100))
def test_each_row_comes_once_an_epoch_with_its_tokens(tweets: Tweets, batch_size: int, seed: int, epoch: int) -> None:
    seen = []
    for batch in _store(tweets).epoch(np.arange(len(tweets)), batch_size, seed, epoch):
        assert len(batch.rows) <= batch_size
        for row, ids, length, label in zip(
            batch.rows.tolist(), batch.token_ids.tolist(), batch.lengths.tolist(), batch.labels.tolist(), strict=True
        ):
            assert ids[:length] == (tweets[row] or [UNKNOWN])
            assert ids[length:] == [PADDING] * (len(ids) - length)
            assert label == row % 2
            seen.append(row)
        assert batch.padded == (len(set(batch.lengths.tolist())) > 1)
        assert batch.mask.sum(1).tolist() == batch.lengths.tolist()
    assert sorted(seen) == list(range(len(tweets)))


@given(tweets=some_tweets, data=st.data())
def test_rows_in_order_of_length_cover_all_that_were_asked_for(tweets: Tweets, data: st.DataObject) -> None:
    rows = np.array(data.draw(st.lists(st.integers(0, len(tweets) - 1), min_size=1, unique=True)), np.int64)
    batches = list(_store(tweets).in_order_of_length(rows))
    assert sorted(row for batch in batches for row in batch.rows.tolist()) == sorted(rows.tolist())
    lengths = [length for batch in batches for length in batch.lengths.tolist()]
    assert lengths == sorted(lengths)


@pytest.mark.parametrize(("device", "most"), [("cpu", _CPU_TOKENS), ("meta", _GPU_TOKENS)])  # meta: no processor
def test_measured_batches_are_as_large_as_the_device_likes_them_and_a_larger_tweet_comes_alone(
    device: str, most: int
) -> None:
    lengths = np.concatenate([np.random.default_rng(0).integers(1, 40, 20_000), [700, 3000, 20_000]])
    store = _store([[2] * length for length in lengths.tolist()], device)
    sizes = [batch.token_ids.numel() for batch in store.in_order_of_length(np.arange(len(lengths)))]
    assert max(sizes[:-1]) <= most
    assert sizes[-1] == 20_000
    assert len(sizes) < 1.5 * lengths.sum() / most


def _plan(epoch: int, seed: int = 1) -> list[list[int]]:
    rng = np.random.default_rng(0)
    tweets = _store([[2] * length for length in rng.integers(1, 20, 300).tolist()])
    return [batch.rows.tolist() for batch in tweets.epoch(np.arange(300), 32, seed, epoch)]


def test_plan_is_a_function_of_seed_and_epoch() -> None:
    assert _plan(3) == _plan(3)
    meeting = [{frozenset(batch) for batch in plan} for plan in (_plan(3), _plan(4), _plan(3, seed=2))]
    assert meeting[0] != meeting[1]
    assert meeting[0] != meeting[2]


def test_many_rows_need_nearly_no_padding_and_come_in_no_order_of_length() -> None:
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.poisson(13, 20_000), 1, 40)
    tweets = _store([[2] * length for length in lengths.tolist()])
    batches = list(tweets.epoch(np.arange(20_000), 256, 0, 0))
    padding = sum(int((~batch.mask).sum()) for batch in batches)
    assert padding / lengths.sum() < 0.02
    means = [batch.lengths.float().mean().item() for batch in batches]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.4
