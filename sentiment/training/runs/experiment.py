"""One run from its configuration to its result: prepare, resume, train, measure, write down."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from sentiment.code_version import running_code
from sentiment.data.corpus.corpus import Corpus, corpus_fingerprint
from sentiment.data.vocabulary import Vocabulary, load_vectors
from sentiment.data.word_vectors.store import prepare_vectors, pretrained_file, vectors_fingerprint
from sentiment.elmo.models import ModelFiles, find_elmo_of, has_pretrained
from sentiment.errors import ConfigError, MemoryExhaustedError, RunDirError
from sentiment.files import sha256_of
from sentiment.lock import ProcessLock
from sentiment.models.classifier import Classifier, build_classifier, count_weights
from sentiment.records import ElmoRecord, RunRecord
from sentiment.tracking.mirror import mirror_again, mirrored
from sentiment.training.context import RunContext
from sentiment.training.device import available_ram
from sentiment.training.encoding import RunVectors, elmo_record, tweet_vectors
from sentiment.training.loop.checkpoint import Checkpoints
from sentiment.training.loop.trainer import Trainer
from sentiment.training.preparing import Baselines, TrainingData, prepare_data
from sentiment.training.runs.outcome import write_outcome
from sentiment.training.runs.provenance import AttemptRecord, failure_recorded, pretrained_sha256
from sentiment.training.runs.resuming import remove_leftovers, resumed_trainer
from sentiment.training.stop import Stop, StoppedError
from sentiment.training.tasks.classifying import ClassifierTask
from sentiment.whole_run import refuse_incomplete

_BYTES_PER_WEIGHT = 4


def run_experiment(run: RunContext) -> Stop | None:
    """Train a run in its directory, from its newest checkpoint if there is one. A completed run is left as it is.

    Returns:
        None if the run is completed, else the reason why it saved and stopped; the same call then resumes it.

    Raises:
        TakenOverError: this process was suspended for so long that another one trains the run now.
        SentimentError: anything that a user can mend; everything that was saved before stays valid.
        OSError: the outcome cannot be written, on a full disk for example; likewise.
    """
    if run.config.combination is not None:
        raise ConfigError("combination: is not trained; `python -m sentiment combine RUN RUN` writes one")
    if (stop := _train_language_model(run)) is not None:
        return stop
    elmo_model = find_elmo_of(run.config, run.results)
    run = replace(run, config=run.run_dir.create(run.config))
    with ProcessLock(run.run_dir.lock_file, patience=run.lock_patience) as owner:
        run = replace(run, run_dir=replace(run.run_dir, owner=owner))
        remove_leftovers(run.run_dir.path)
        if run.run_dir.completed:
            refuse_incomplete(run.run_dir)
            _refuse_other_files(run, elmo_model)
            Checkpoints(run.run_dir.checkpoints).delete_all()  # left by a kill just after the result was written
            run.console.say("is completed already; nothing to train")
            mirror_again(run.run_dir, run.config.tracking, run.console.say)
            return None
        run.begin()
        try:
            corpus, baselines = prepare_data(run.config, run.results, run.progress)
            prepare_vectors(run.config, run.results, run.progress)
            vectors = tweet_vectors(run, corpus, elmo_model)
        except StoppedError as stopped:
            return stopped.stop
        with contextlib.closing(_prepare_trainer(run, corpus, elmo_model, vectors)) as trainer:
            return _train(run, trainer, baselines, vectors.record if vectors else None)


def _train_language_model(run: RunContext) -> Stop | None:
    """Train the model that the run reads, unless it reads none or it is there; a completed run needs none any more."""
    if run.run_dir.completed or has_pretrained(run.config, run.results):
        return None
    from sentiment.training.runs.pretraining import run_pretraining  # few runs need the language model's code

    run.begin()
    return run_pretraining([run.config], run.results, run.stop, run.console)


def _train(
    run: RunContext, trainer: Trainer[ClassifierTask], baselines: Baselines, elmo: ElmoRecord | None
) -> Stop | None:
    """Train to the end and write the outcome, or stop; `run.json` says so."""
    attempt = AttemptRecord(run, trainer, trainer.task.data.corpus, elmo)
    with mirrored(run.run_dir, run.config.tracking, run.console.say), failure_recorded(attempt, trainer):
        trainer.task.data.vocabulary.write(run.run_dir.vocabulary_file, run.run_dir.write)
        attempt.add_vocabulary(sha256_of(run.run_dir.vocabulary_file))
        reason = trainer.train()
        if reason is None:
            write_outcome(run, trainer, baselines, elmo)
        attempt.end(reason.reason if reason else "completed", trainer.step, reason.detail if reason else None)
    return reason


def _refuse_other_files(run: RunContext, elmo_model: ModelFiles | None) -> None:
    """A run's id depends on the names of its data, vectors and ELMo model; their content may have changed since.

    Raises:
        RunDirError: it has changed.
    """
    record = run.run_dir.read_record()
    if record and record.data_fingerprint != corpus_fingerprint(run.config.data, run.results):
        raise RunDirError(
            f"{run.run_dir.path}: was completed on other data than {run.config.data.source} now holds; "
            "move it away to train anew"
        )
    former, elmo = record.elmo if record else None, run.config.elmo
    if former and elmo and elmo_model and former != elmo_record(elmo, elmo_model, former.products):
        raise RunDirError(
            f"{run.run_dir.path}: was completed with other ELMo weights than are here now; move it away to train anew"
        )
    if record and _starts_from_other_vectors(run, record):
        raise RunDirError(
            f"{run.run_dir.path}: was completed with other vectors than {run.config.embedding.pretrained} now holds; "
            "move it away to train anew"
        )


def _starts_from_other_vectors(run: RunContext, record: RunRecord) -> bool:
    """Whether a run would start from other vectors now. Named ones need not be there any more."""
    if now := vectors_fingerprint(run.config, run.results):
        return record.vectors_fingerprint != now
    return record.pretrained_sha256 != pretrained_sha256(run)


def _prepare_trainer(
    run: RunContext, corpus: Corpus, elmo_model: ModelFiles | None, elmo: RunVectors | None
) -> Trainer[ClassifierTask]:
    """A trainer in the state of the newest checkpoint, or at the beginning."""
    config = run.config
    identity = {"config": config.fingerprint(), "data": corpus.fingerprint, "code": running_code().training}
    if elmo is not None:
        identity["ELMo model"] = elmo.record.fingerprint
        identity["library of ELMo's matrix products"] = elmo.record.products
    if sha256 := pretrained_sha256(run):
        identity["file of pretrained vectors"] = sha256
    vocabulary = _new_vocabulary(run, corpus)

    def build(device: torch.device, _choices: Mapping[str, Any]) -> ClassifierTask:
        model = _new_classifier(run, vocabulary, elmo_model).to(device)
        data = TrainingData.load(corpus, vocabulary, elmo.vectors if elmo else None, device, config.embedding.polarity)
        return ClassifierTask(config, model, data)

    return resumed_trainer(run, identity, build)


def _new_vocabulary(run: RunContext, corpus: Corpus) -> Vocabulary:
    vocabulary, learned = Vocabulary.build(corpus, run.config.data.vocabulary), run.config.vectors
    if learned and learned.vocabulary == "vectors" and (file := pretrained_file(run.config, run.results)):
        return vocabulary.with_types_of(file, run.config.data.vocabulary.max_size)
    return vocabulary


def _new_classifier(run: RunContext, vocabulary: Vocabulary, elmo_model: ModelFiles | None) -> Classifier:
    elmo_size = elmo_model.options.vector_size if elmo_model else None
    _refuse_too_large(count_weights(run.config, len(vocabulary), elmo_size))
    embedding, vectors = run.config.embedding, None
    if file := pretrained_file(run.config, run.results):
        vectors, found = load_vectors(file, vocabulary, embedding.size, run.config.seed)
        run.console.say(f"{embedding.pretrained}: has vectors for {found} of {len(vocabulary)} types")
    return build_classifier(run.config, len(vocabulary), vectors, elmo_size)


def _refuse_too_large(weights: int) -> None:
    """Refuse a model that cannot even be made here; how much training it takes depends on batch and device."""
    needed, there = weights * _BYTES_PER_WEIGHT, available_ram()
    if there and needed > there:
        raise MemoryExhaustedError(
            f"the model has {weights:,} weights, which take {needed:,} bytes, and this machine has {there:,} left; a "
            "smaller model.hidden_size or embedding.size may fit"
        )
