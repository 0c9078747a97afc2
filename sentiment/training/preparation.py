"""What a run needs before it is trained: its tweets, baselines, vocabulary, vectors, and the hashes of all of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from sentiment.config import RunConfig
from sentiment.console import Console, Progress
from sentiment.data.classes import MIN_CLASSES
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.vocabulary import Vocabulary, load_vectors, prepare_vectors, pretrained_file
from sentiment.encoders.batches import TweetVectors
from sentiment.encoders.cache import CachedVectors
from sentiment.encoders.inputs import Inputs, current_inputs
from sentiment.encoders.pretrained import EncoderFiles, encoder_record
from sentiment.encoders.shards import Encoder
from sentiment.errors import DataError
from sentiment.models.baseline import Baselines, load_or_fit_baselines
from sentiment.models.classifier import Classifier, build_classifier
from sentiment.runs.records import EncoderRecord
from sentiment.runs.run_dir import Results
from sentiment.training.encoding import tweet_vectors
from sentiment.training.stop import RunContext
from sentiment.training.task import ClassifierTask, measured_rows


@dataclass(frozen=True)
class Prepared:
    """All that a run is trained on and measured with.

    Attributes:
        files: the files of the run's encoder; None for a run without one.
        vectors: the tweets' vectors of a frozen encoder.
        encoder: the frozen encoder, if it was loaded to compute `vectors`.
    """

    inputs: Inputs
    corpus: Corpus
    vocabulary: Vocabulary
    files: EncoderFiles | None
    encoder_record: EncoderRecord | None
    vectors: TweetVectors | None
    encoder: Encoder | None

    @property
    def encoder_with_cache(self) -> EncoderRecord | None:
        """The record of the encoder, with that of the cached vectors which the run reads."""
        if self.encoder_record and isinstance(self.vectors, CachedVectors):
            return self.encoder_record.model_copy(update={"cache": self.vectors.cache.record()})
        return self.encoder_record

    def new_task(self, run: RunContext, device: torch.device) -> ClassifierTask:
        """A task with a new classifier, whose weights come from torch's generator."""
        classifier = _new_classifier(run, self.vocabulary, self.files)
        return ClassifierTask(run.config, classifier, self.corpus, self.vocabulary, self.vectors, device)


def prepare_fit(config: RunConfig, results: Results, progress: Progress) -> Corpus:
    """The corpus of a fit: it has no test part, texts without a word are left out, and classes may be rare.

    Raises:
        DataError: the validation part has tweets of fewer than two classes.
    """
    corpus = prepare_corpus(config.data, results, progress, is_fit=True).with_test_as_train()
    validated = corpus.labels[corpus.rows("validation")]
    if len(np.unique(validated)) < MIN_CLASSES:
        raise DataError(
            f"of {corpus.report.read:,} texts {len(validated):,} would validate the network, which are not of two "
            "classes: add some hundreds, or set a larger data.validation_fraction"
        )
    return _as_configured(corpus, config)


def _as_configured(corpus: Corpus, config: RunConfig) -> Corpus:
    corpus = replace(corpus, is_english=config.data.is_english)
    return corpus.weighted(config.training.class_weights)


def prepare_data(config: RunConfig, results: Results, progress: Progress) -> tuple[Corpus, Baselines]:
    """The corpus of a run and its baselines, from their caches if they are there."""
    corpus = _as_configured(prepare_corpus(config.data, results, progress), config)
    return corpus, load_or_fit_baselines(corpus, np.concatenate([*measured_rows(corpus).values()]), progress)


def prepare_each(configs: Iterable[RunConfig], prepare_one: Callable[[RunConfig], None], console: Console) -> None:
    """Prepare the inputs of several runs; bad tweets are the failure of their own runs, and the others are prepared.

    Raises:
        DataError: no run's tweets can be used.
    """
    errors: list[DataError] = []
    prepared = 0
    for config in configs:
        try:
            prepare_one(config)
            prepared += 1
        except DataError as error:
            console.say(f"runs on {config.data.source} will fail: {error}")
            errors.append(error)
    if errors and not prepared:
        raise errors[0]


def prepare(run: RunContext, corpus: Corpus, files: EncoderFiles | None) -> Prepared:
    """Prepare a run: all that takes long comes from caches, or is computed and cached.

    Args:
        files: the files of the run's encoder; None for a run without one.
    """
    config = run.config
    section = config.any_encoder
    record = encoder_record(section.model, files) if section and files else None
    prepare_vectors(config, run.results, run.progress)
    vectors = None
    encoder = None
    if section and files and not config.finetunes:  # the vectors of an encoder that is fine-tuned change
        vectors, encoder = tweet_vectors(run, section, corpus, files)
    inputs = current_inputs(config, run.results, corpus.source_fingerprint, files)
    inputs["corpus"] = corpus.fingerprint
    vocabulary = _new_vocabulary(run, corpus)
    return Prepared(inputs, corpus, vocabulary, files, record, vectors, encoder)


def _new_vocabulary(run: RunContext, corpus: Corpus) -> Vocabulary:
    vocabulary = Vocabulary.build(corpus, run.config.data.vocabulary)
    file = pretrained_file(run.config, run.results)
    if run.config.vectors and file:
        return vocabulary.extended_by(file, run.config.data.vocabulary.max_size)
    return vocabulary


def _new_classifier(run: RunContext, vocabulary: Vocabulary, files: EncoderFiles | None) -> Classifier:
    config = run.config
    vectors = None
    if file := pretrained_file(config, run.results):
        vectors, known = load_vectors(file, vocabulary, config.embedding.size, config.seed)
        run.console.say(f"{config.embedding.pretrained}: has vectors for {known} of {len(vocabulary.types)} types")
    return build_classifier(config, len(vocabulary), files, vectors)
