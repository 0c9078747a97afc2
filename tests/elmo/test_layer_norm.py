"""`elmo.layer_norm` is allennlp's `do_layer_norm`: its statistics count the marks around tweets, which no run reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sentiment.data.batches import Batch, Rows, TokenStore, TweetVectors
from sentiment.elmo.backends import build_encoder
from sentiment.elmo.cache.cache import VectorCache, layers_of
from sentiment.elmo.cache.placement import Place
from sentiment.elmo.encoder.encoder import LAYERS
from sentiment.elmo.models import ModelFiles
from sentiment.elmo.reference import allennlp_elmo
from sentiment.elmo.vectors import FreshVectors
from sentiment.models.embedding import ElmoEmbedding
from tests.elmo.corpora import CPU, bytes_by_name, config, corpus_of, filled, opened, some_rows, tiny_model
from tests.elmo.oracle import needs_allennlp
from tests.elmo.tweets import random_tweets

NORMALISED: dict[str, Any] = {"layer_norm": True, "combine": "alone", "storage": "fp32", "state": "zero"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return tiny_model(tmp_path_factory.mktemp("model"))


def _batch(tweets: list[list[str]], vectors: TweetVectors, rows: Rows | None = None) -> Batch:
    """All tweets in one batch.

    Args:
        rows: of which `tweets` are, by which the vectors know them; they must rise in length.
    """
    lengths = [len(tokens) for tokens in tweets]
    assert lengths == sorted(lengths)
    layers = vectors.gather(np.arange(len(tweets)) if rows is None else rows, max(*lengths, 1))
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    store = TokenStore(np.full(offsets[-1], 2), offsets, None, CPU)
    padded = len({*store.lengths.tolist()}) > 1
    return store.batch(torch.arange(len(tweets)), int(store.lengths.max()), padded, layers)


def _assert_like_allennlp(model: ModelFiles, tweets: list[list[str]], batch: Batch) -> None:
    """At tokens, and in the statistics at all: a classifier masks what lies behind a tweet's end."""
    elmo = allennlp_elmo()
    wanted = elmo.Elmo(str(model.options_path), str(model.weights_path), 1, do_layer_norm=True, dropout=0)(
        elmo.batch_to_ids(tweets)
    )["elmo_representations"][0]
    found = ElmoEmbedding(config(**NORMALISED), model.options.vector_size, None)(batch)
    for mine, theirs, tokens in zip(found, wanted, tweets, strict=True):
        torch.testing.assert_close(mine[: len(tokens)], theirs[: len(tokens)], atol=1e-5, rtol=0)


@needs_allennlp
@pytest.mark.parametrize("backend", ["own", "allennlp"])
@pytest.mark.parametrize(
    "tweets",
    [
        sorted(random_tweets(12, seed=1, longest=9), key=len),
        [["a", "tweet"], ["and", "another"], ["#ELMo", "Café"]],
        [[], [], ["only"]],
    ],
    ids=["padded", "of one length", "mostly empty"],
)
def test_classifier_reads_what_allennlp_computes(model: ModelFiles, backend: str, tweets: list[list[str]]) -> None:
    chosen = config(**NORMALISED, backend=backend)
    encoder = build_encoder(chosen, model, CPU)
    batch = _batch(tweets, FreshVectors(encoder, tweets.__getitem__, layers_of(chosen), CPU))
    _assert_like_allennlp(model, tweets, batch)


@needs_allennlp
@pytest.mark.parametrize("place", ["RAM", "disk"])
def test_cached_vectors_are_normalised_as_by_allennlp(model: ModelFiles, tmp_path: Path, place: Place) -> None:
    corpus, chosen = corpus_of(tmp_path, 300), config(**NORMALISED)
    cache = filled(VectorCache(corpus, chosen, model, tmp_path), layers_of(chosen))
    rows = some_rows(corpus, 40)
    rows = rows[np.argsort(corpus.lengths()[rows], kind="stable")]
    tweets = [corpus.tokens(row) for row in rows]
    _assert_like_allennlp(model, tweets, _batch(tweets, opened(cache, chosen, place), rows))


def test_sums_come_to_a_cache_that_is_complete_without_rewriting_it(model: ModelFiles, tmp_path: Path) -> None:
    corpus, plain, chosen = corpus_of(tmp_path, 300), config(storage="fp32"), config(layer_norm=True, storage="fp32")
    cache = filled(VectorCache(corpus, plain, model, tmp_path / "plain"))
    before = bytes_by_name(cache)
    whole = filled(VectorCache(corpus, chosen, model, tmp_path / "whole"), layers_of(chosen))
    assert not cache.is_complete(layers_of(chosen))
    missing = cache.volume(layers_of(chosen))
    assert missing.missing_bytes == len(cache.plan.offsets[1:]) * len(LAYERS) * 2 * 8
    assert missing.missing_tokens == cache.plan.tokens
    filled(cache, layers_of(chosen))
    assert cache.is_complete(layers_of(chosen))
    after = bytes_by_name(cache)
    assert after == bytes_by_name(whole)
    assert before.items() < after.items()


def test_only_runs_that_normalise_read_sums() -> None:
    assert "sums" not in layers_of(config(layers="mix"))
    assert "sums" not in layers_of(config(layers="top", layer_norm=True))
    assert "sums" not in layers_of(config(layer_norm=True), marks_count=False)
    assert layers_of(config(layer_norm=True)) == (*LAYERS, "sums")
