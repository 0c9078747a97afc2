"""What runs train on and are compared with: tweets and the baselines, prepared once for all runs on them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from sentiment.config import RunConfig
from sentiment.console import Console, Progress
from sentiment.data.batches import Rows, TokenStore, TweetVectors
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.text import TokenRows
from sentiment.data.vocabulary import Vocabulary
from sentiment.data.word_vectors import prepare_vectors, pretrained_file
from sentiment.models.baseline import Baseline, linear_baseline
from sentiment.models.lexicon import corpus_lexicon, token_polarity
from sentiment.runs.records import Part
from sentiment.runs.run_dir import Results
from sentiment.training.stop import Stop, StoppedError, StopRequest

# Training metrics are measured on as many training rows as there are validation rows, but never on fewer than these,
# so that they are not noise.
_MIN_TRAIN_SAMPLE = 10_000


@dataclass(frozen=True)
class Baselines:
    """What a run is compared with.

    Attributes:
        lexicon: (rows,) as VADER's lexicon sees them; NaN for training rows that are not measured.
    """

    linear: Baseline
    lexicon: npt.NDArray[np.float32]


def prepare_data(config: RunConfig, results: Results, progress: Progress) -> tuple[Corpus, Baselines]:
    """The corpus of a run and its baselines; all come from their caches if they are there.

    Raises:
        SentimentError: the data cannot be used.
        StoppedError: `progress` raised it; an unfinished part is prepared again by the next call.
    """
    corpus = prepare_corpus(config.data, results, progress)
    linear = linear_baseline(corpus, progress)
    rows = np.concatenate([*measured_rows(corpus).values()])
    return corpus, Baselines(linear, corpus_lexicon(corpus, rows, progress))


def run_preparation(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> Stop | None:
    """Prepare the tweets of all these runs, and their baselines.

    Returns:
        None if everything is prepared, else the reason to stop; the same call then continues.

    Raises:
        SentimentError: the data cannot be used.
    """
    progress = stop.interrupting(console.progress)
    try:
        for config in configs:
            corpus, _ = prepare_data(config, results, progress)
            console.say(
                f"{len(corpus.labels):,} tweets of {config.data.source} and their baseline are in {corpus.path}"
            )
    except StoppedError as stopped:
        return stopped.stop
    return None


def run_vectors(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> Stop | None:
    """Learn the word vectors that these runs start from, each set once.

    Returns:
        None if all are there, else the reason to stop; the same call then begins again.

    Raises:
        SentimentError: the data or an unlabelled file cannot be used.
    """
    progress = stop.interrupting(console.progress)
    try:
        for config in configs:
            learned, file = prepare_vectors(config, results, progress), pretrained_file(config, results)
            console.say("\n".join(learned or [f"vectors are in {file}"]))
    except StoppedError as stopped:
        return stopped.stop
    return None


@dataclass(frozen=True)
class TrainingData:
    """Tweets on the device that trains, the rows of each part, and those on which results are measured."""

    corpus: Corpus
    vocabulary: Vocabulary
    store: TokenStore
    rows: dict[Part, Rows]
    measured: dict[Part, Rows]

    @classmethod
    def load(
        cls,
        corpus: Corpus,
        vocabulary: Vocabulary,
        vectors: TweetVectors | None,
        device: torch.device,
        rated: bool = False,
    ) -> "TrainingData":
        """Put a corpus on the device, with its ELMo vectors where a run reads them.

        Args:
            rated: whether the run reads how positive words are rated.
        """
        token_ids = vocabulary.encode(corpus.types)[corpus.token_ids]
        rows = {part: corpus.rows(part) for part in corpus.part_names}
        # Their mean over an epoch is 1, so that clipping and penalties mean what they mean without weights.
        weights = corpus.weights / corpus.weights[rows["train"]].mean(dtype=np.float64)
        texts = TokenRows(corpus.types, corpus.token_ids, corpus.offsets)
        polarity = token_polarity(texts) if rated else None
        store = TokenStore(token_ids, corpus.offsets, corpus.labels, device, vectors, polarity)
        store.weigh(weights)
        return cls(corpus, vocabulary, store, rows, measured_rows(corpus))


def measured_rows(corpus: Corpus) -> dict[Part, Rows]:
    """The rows on which results are measured: the whole of each part, and a fixed sample of the training part."""
    rows = {part: corpus.rows(part) for part in corpus.part_names}
    size = min(len(rows["train"]), max(len(rows["validation"]), _MIN_TRAIN_SAMPLE))
    return rows | {"train": np.sort(np.random.default_rng(0).permutation(rows["train"])[:size])}
