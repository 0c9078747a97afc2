"""Corpora and caches for the tests of caches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sentiment.config import ElmoConfig
from sentiment.config_file import resolve
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.encoders.cache import CachedVectors, Place, VectorCache, layers_of
from sentiment.encoders.elmo import LAYERS, Layer
from sentiment.encoders.models import ElmoFiles, find_elmo
from sentiment.runs.run_dir import Results
from tests.small_runs import invented_tweets, write_tweets

CPU = torch.device("cpu")


def config(**changes: object) -> ElmoConfig:
    return ElmoConfig.model_validate({"model": "tiny"} | changes)


def corpus_of(folder: Path, tweets: int) -> Corpus:
    source = write_tweets(folder / "tweets.csv", invented_tweets(tweets))
    return prepare_corpus(resolve({}, {"data.source": str(source)}, "a test").data, Results(folder))


def tiny_model(folder: Path) -> ElmoFiles:
    return find_elmo("tiny", Results(folder).elmo_models)


def cache_of(corpus: Corpus, model: ElmoFiles, root: Path, **changes: object) -> VectorCache:
    return VectorCache(corpus, config(**changes), model, Results(root))


def filled(cache: VectorCache, layers: Sequence[Layer] = LAYERS) -> VectorCache:
    cache.fill(layers, CPU)
    return cache


def opened(cache: VectorCache, elmo: ElmoConfig, place: Place = "RAM") -> CachedVectors:
    return CachedVectors(cache, layers_of(elmo), CPU, place)


def bytes_by_name(cache: VectorCache) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(cache.folder.glob("*.npy"))}


def some_rows(corpus: Corpus, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(len(corpus.labels))[:count].astype(np.int64)
