"""One run from its configuration to its result: prepare, resume, train, measure, write down."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sentiment.code_version import describe_other, running_code
from sentiment.data.corpus.corpus import Corpus, corpus_fingerprint
from sentiment.data.vocabulary import Vocabulary, load_vectors
from sentiment.data.word_vectors.store import prepare_vectors, pretrained_file, vectors_fingerprint
from sentiment.elmo.cache.placement import available_ram
from sentiment.elmo.models import ModelFiles
from sentiment.errors import CheckpointError, ConfigError, MemoryExhaustedError, RunDirError, TakenOverError
from sentiment.files import sha256_of
from sentiment.lock import ProcessLock
from sentiment.models.classifier import Classifier, build_classifier, count_weights
from sentiment.records import ElmoRecord, RunRecord
from sentiment.tracking.mirror import mirror_again, mirrored
from sentiment.training.checkpoint import Checkpoints
from sentiment.training.context import RunContext
from sentiment.training.device import available_threads, choose_device, make_reproducible
from sentiment.training.encoding import RunVectors, elmo_record, find_model, tweet_vectors
from sentiment.training.hardware import Hardware, tell_other_hardware
from sentiment.training.outcome import write_outcome
from sentiment.training.preparing import Baselines, TrainingData, prepare_data
from sentiment.training.provenance import AttemptRecord, pretrained_sha256
from sentiment.training.stop import Stop, StoppedError
from sentiment.training.trainer import Trainer
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
    elmo_model = find_model(run.config, run.results)
    run = replace(run, config=run.run_dir.create(run.config))
    with ProcessLock(run.run_dir.lock_file) as owner:
        run = replace(run, run_dir=replace(run.run_dir, owner=owner))
        _remove_leftovers(run.run_dir.path)
        if run.run_dir.completed:
            refuse_incomplete(run.run_dir)
            _refuse_other_files(run, elmo_model)
            Checkpoints(run.run_dir.checkpoints).delete_all()  # left by a kill just after the result was written
            run.console.say("is completed already; nothing to train")
            _tell_other_baseline(run)
            mirror_again(run.run_dir, run.config.tracking, run.console.say)
            return None
        try:
            corpus, baselines = prepare_data(run.config, run.results, run.progress)
            prepare_vectors(run.config, run.results, run.progress)
            vectors = tweet_vectors(run, corpus, elmo_model)
        except StoppedError as stopped:
            return stopped.stop
        with contextlib.closing(_prepare_trainer(run, corpus, elmo_model, vectors)) as trainer:
            return _train(run, trainer, baselines, vectors.record if vectors else None)


def _train(run: RunContext, trainer: Trainer, baselines: Baselines, elmo: ElmoRecord | None) -> Stop | None:
    """Train to the end and write the outcome, or stop; `run.json` says so."""
    attempt = AttemptRecord(run, trainer, elmo)
    with mirrored(run.run_dir, run.config.tracking, run.console.say), _failure_recorded(attempt, trainer):
        trainer.data.vocabulary.write(run.run_dir.vocabulary_file, run.run_dir.write)
        attempt.add_vocabulary(sha256_of(run.run_dir.vocabulary_file))
        reason = trainer.train()
        if reason is None:
            write_outcome(run, trainer, baselines, elmo)
        attempt.end(reason.reason if reason else "completed", trainer.step, reason.detail if reason else None)
    return reason


@contextlib.contextmanager
def _failure_recorded(attempt: AttemptRecord, trainer: Trainer) -> Iterator[None]:
    """An error in the context is recorded as the end of the attempt, and raised again."""
    try:
        yield
    except TakenOverError:
        raise  # the attempts are no longer this process's to write
    except torch.OutOfMemoryError as error:
        message = f"the GPU's memory is full at step {trainer.step}; a smaller training.batch_size or model may fit"
        attempt.end("failed", trainer.step, message)
        raise MemoryExhaustedError(message) from error
    except Exception as error:
        with contextlib.suppress(OSError):  # fails as well on a full disk; the error itself says more
            attempt.end("failed", trainer.step, f"{type(error).__name__}: {error}")
        raise


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
    if former and elmo and elmo_model and former != elmo_record(elmo, elmo_model, former.products, former.marks_count):
        raise RunDirError(
            f"{run.run_dir.path}: was completed with other ELMo weights than are here now; move it away to train anew"
        )
    if record and _starts_from_other_vectors(run, record):
        raise RunDirError(
            f"{run.run_dir.path}: was completed with other vectors than {run.config.embedding.pretrained} now holds; "
            "move it away to train anew"
        )


def _tell_other_baseline(run: RunContext) -> None:
    """A completed run keeps the linear baseline that it was compared with, which may be of an earlier version."""
    result, wanted = run.run_dir.read_result(), run.config.baseline.kind
    if result and (kind := result.baseline_settings.get("kind", "tfidf")) != wanted:
        run.console.say(f"was compared with the linear baseline {kind!r}, not {wanted!r}; move it away to train anew")


def _starts_from_other_vectors(run: RunContext, record: RunRecord) -> bool:
    """Whether a run would start from other vectors now. Named ones need not be there any more."""
    if now := vectors_fingerprint(run.config, run.results):
        return record.vectors_fingerprint != now
    return record.pretrained_sha256 is not None and record.pretrained_sha256 != pretrained_sha256(run)


def _prepare_trainer(
    run: RunContext, corpus: Corpus, elmo_model: ModelFiles | None, elmo: RunVectors | None
) -> Trainer:
    """A trainer in the state of the newest checkpoint, or at the beginning."""
    config = run.config
    identity = {"config": config.fingerprint(), "data": corpus.fingerprint, "code": running_code().training}
    if elmo is not None:
        identity["ELMo model"] = elmo.record.fingerprint
        identity["library of ELMo's matrix products"] = elmo.record.products
    if sha256 := pretrained_sha256(run):
        identity["file of pretrained vectors"] = sha256
    state = _newest_state(run, identity)
    threads = int(state["identity"]["threads"]) if state else available_threads(config.runtime)
    device = choose_device(config.runtime.device)
    tell_other_hardware(run, state.get("hardware", []) if state else [], Hardware.of(device).kind)
    make_reproducible(config.runtime, threads, config.seed)
    vocabulary = _new_vocabulary(run, corpus)
    model = _new_classifier(run, vocabulary, elmo_model).to(device)
    data = TrainingData.load(corpus, vocabulary, elmo.vectors if elmo else None, device)
    trainer = Trainer(run, model, data, identity | {"threads": threads})
    if state:
        trainer.load_state_dict(state)
        run.console.say(f"goes on after step {trainer.step} in epoch {trainer.epoch + 1}")
    else:
        trainer.begin()
    return trainer


def _newest_state(run: RunContext, identity: dict[str, str]) -> dict[str, Any] | None:
    """The state to resume from, if there is one.

    Args:
        identity: what the state must have been made from; its names are used in messages.

    Raises:
        CheckpointError: it was made from another configuration, from other data or vectors, or by other code.
    """
    folder = run.run_dir.checkpoints
    state, damaged = Checkpoints(folder).newest()
    for message in damaged:
        run.console.say(f"{message}; goes on from {'an older one' if state else 'the beginning'}")
    if state is None:
        return None
    for name, value in identity.items():
        found = state["identity"].get(name, value)  # earlier versions did not look at vectors
        if name != "code" and found != value:
            raise CheckpointError(
                f"{folder}: the {name} of this run has changed since its last checkpoint "
                f"({found[:8]}, now {value[:8]}); move {run.run_dir.path} away to train anew"
            )
    return state if _suits_code(run, state) else None


def _suits_code(run: RunContext, state: dict[str, Any]) -> bool:
    """Whether to go on from a state with the code that runs now, or else to begin anew.

    Raises:
        CheckpointError: other code has made it, and `runtime.other_code` refuses that.
    """
    made_by = state["identity"].get("code")  # None in checkpoints of versions that did not know their code
    choice = run.config.runtime.other_code
    if made_by in (None, running_code().training):
        return True
    different = describe_other(run.results, made_by)
    if choice == "refuse":
        raise CheckpointError(
            f"{run.run_dir.path}: step {state['step']} was computed by another version of this program ({different}). "
            "With PYTHONSAFEPATH=1 and PYTHONPATH naming that folder the same command goes on. Or set "
            "runtime.other_code: restart begins the run anew, continue goes on with the code of now, which is recorded "
            "and shown in the report"
        )
    what = (
        f"begins anew, since step {state['step']}" if choice == "restart" else f"goes on, although step {state['step']}"
    )
    run.console.say(f"{what} was computed by another version of this program ({different})")
    if choice == "restart":
        Checkpoints(run.run_dir.checkpoints).delete_all()  # they would be newer than those of the run's new beginning
    return choice == "continue"


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


def _remove_leftovers(folder: Path) -> None:
    """Delete temporary files of killed writers; whoever holds the lock knows that no writer is alive."""
    for path in (*folder.glob(".*.tmp"), *folder.glob("checkpoints/.*.tmp")):
        path.unlink(missing_ok=True)
