"""Word vectors by gensim's skip-gram with negative sampling, epoch by epoch: the same text and seed give the same bits.

Mikolov et al. (2013), https://arxiv.org/abs/1310.4546; fastText adds n-grams of characters: Bojanowski et al. (2017),
https://arxiv.org/abs/1607.04606.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.config import VectorsConfig
from sentiment.console import Progress
from sentiment.data.word_vectors.training_text import TrainingText
from sentiment.errors import DataError
from sentiment.files import open_named, write_atomically

_FIRST_RATE, _LAST_RATE = 0.025, 0.0001
# Buckets for the n-grams of all words; 80 MB with 100 numbers each, where fastText's own two millions take 800.
_BUCKETS = 200_000
_EVERY = 5_000
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
_MATRICES = {"word2vec": ("wv.vectors", "syn1neg"), "fasttext": ("wv.vectors_vocab", "wv.vectors_ngrams", "syn1neg")}


def learn_vectors(
    text: TrainingText, kind: str, size: int, config: VectorsConfig, state: Path, progress: Progress
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The types that are frequent enough, and their vectors, shape (types, size).

    One thread learns, since several would change the same numbers at once, in an order that is never the same. After
    each epoch but the last everything is saved in `state`, from where the next call goes on.

    Args:
        kind: `word2vec` or `fasttext`.
        progress: told how many tweets of all epochs are read; an error that it raises ends the work.

    Raises:
        DataError: no type is frequent enough.
    """
    model = _new_model(text, kind, size, config)
    done = _load(model, kind, state)
    for epoch in range(done, config.epochs):
        # Drawn anew for each epoch, so that nothing of it needs to be saved.
        model.random = np.random.RandomState(_seed(config.seed, epoch))
        tweets = _Tweets(text, progress, f"learning {kind} vectors", epoch * len(text), config.epochs * len(text))
        first, last = _rates(epoch, config.epochs)
        model.train(tweets, total_examples=len(text), epochs=1, start_alpha=first, end_alpha=last)
        if tweets.error is not None:
            raise tweets.error
        if epoch + 1 < config.epochs:
            _save(model, kind, epoch + 1, state)
    return list(model.wv.index_to_key), np.asarray(model.wv.vectors, np.float32)


def saved_epochs(state: Path) -> int:
    """The number of epochs that a state was saved after; 0 if there is none or it is damaged."""
    try:
        with open_named(state) as file, np.load(file, allow_pickle=False) as saved:
            return int(saved["epochs"])
    except _DAMAGED:
        return 0


@dataclass
class _Tweets:
    """The tweets of an epoch. gensim reads them in a thread of its own, where an error would leave it waiting for ever:
    it is kept, and the tweets end."""

    text: TrainingText
    progress: Progress
    what: str
    before: int
    total: int
    error: BaseException | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[list[str]]:
        for number, tokens in enumerate(self.text):
            if number % _EVERY == 0:
                try:
                    self.progress(self.what, self.before + number, self.total)
                except BaseException as error:
                    self.error = error
                    return
            yield tokens


def _new_model(text: TrainingText, kind: str, size: int, config: VectorsConfig) -> Any:
    from gensim.models import FastText, Word2Vec

    frequencies = text.frequencies()
    if not any(count >= config.min_count for count in frequencies.values()):
        raise DataError(
            f"no token occurs {config.min_count:,} times in the {len(text):,} tweets that vectors are to be learned "
            "from; lower vectors.min_count"
        )
    options = {"window": config.window, "min_count": config.min_count, "negative": config.negative}
    options |= {"vector_size": size, "seed": config.seed, "sg": 1, "workers": 1}
    # The types come in a fixed order; gensim would sort those of equal frequency as the processor's numpy does.
    options |= {"sorted_vocab": 0} | ({"bucket": _BUCKETS} if kind == "fasttext" else {})
    model = (FastText if kind == "fasttext" else Word2Vec)(**options)
    model.build_vocab_from_freq(frequencies, corpus_count=len(text))
    return model


def _rates(epoch: int, epochs: int) -> tuple[float, float]:
    """Learning rates at the beginning and the end of an epoch; over all epochs they fall on one line."""
    fall = (_FIRST_RATE - _LAST_RATE) / epochs
    return _FIRST_RATE - fall * epoch, _FIRST_RATE - fall * (epoch + 1)


def _seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _matrix(model: Any, name: str) -> tuple[Any, str]:
    """What holds a matrix, and its name there."""
    owner, _, last = name.rpartition(".")
    return (getattr(model, owner) if owner else model), last


def _save(model: Any, kind: str, epochs: int, state: Path) -> None:
    matrices = {}
    for name in _MATRICES[kind]:
        owner, last = _matrix(model, name)
        matrices[name] = getattr(owner, last)
    write_atomically(state, lambda file: np.savez(file, epochs=np.array(epochs), **matrices))


def _load(model: Any, kind: str, state: Path) -> int:
    """The number of epochs that are done; the model is then as it was after them. A damaged state counts as none."""
    try:
        with open_named(state) as file, np.load(file, allow_pickle=False) as saved:
            found = {name: saved[name] for name in _MATRICES[kind]}
            epochs = int(saved["epochs"])
    except _DAMAGED:
        return 0
    places = {name: _matrix(model, name) for name in found}
    if any(found[name].shape != getattr(owner, last).shape for name, (owner, last) in places.items()):
        return 0
    for name, (owner, last) in places.items():
        setattr(owner, last, found[name])
    return epochs
