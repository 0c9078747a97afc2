"""One run from its configuration to its result: prepare, resume, train, measure, write down."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from sentiment.config import RunConfig
from sentiment.console import Console
from sentiment.data.batches import TokenStore, TweetVectors
from sentiment.data.corpus.corpus import Corpus, corpus_fingerprint
from sentiment.data.vocabulary import Vocabulary, load_vectors
from sentiment.elmo.models import ModelFiles
from sentiment.errors import CheckpointError, MemoryExhaustedError, RunDirError, SentimentError
from sentiment.lock import ProcessLock
from sentiment.models.classifier import Classifier, build_classifier
from sentiment.records import PARTS
from sentiment.run_dir import Results, RunDir
from sentiment.tracking.mirror import mirror_again, mirrored
from sentiment.training.checkpoint import Checkpoints
from sentiment.training.device import available_threads, choose_device, make_reproducible
from sentiment.training.encoding import elmo_record, find_model, tweet_vectors
from sentiment.training.metric_log import MetricLog, TimingLog
from sentiment.training.outcome import write_outcome
from sentiment.training.preparing import prepare_data
from sentiment.training.provenance import AttemptRecord
from sentiment.training.stop import Stop, StoppedError, StopRequest
from sentiment.training.trainer import Trainer, TrainingData


def run_experiment(
    config: RunConfig, results: Results, run_dir: RunDir, stop: StopRequest, console: Console
) -> Stop | None:
    """Train the run in `run_dir`, from its newest checkpoint if there is one; nothing to do if it is completed.

    Returns:
        None when the run is completed, else why it saved and stopped: the same call goes on from there.

    Raises:
        SentimentError: anything that a user can mend; what was saved before stays good.
        OSError: the outcome cannot be written (disk full, say); likewise.
    """
    model = find_model(config, results)
    config = run_dir.create(config)
    with ProcessLock(run_dir.lock_file):
        _remove_leftovers(run_dir.path)
        if run_dir.completed:
            _refuse_other_data(config, results, run_dir, model)
            Checkpoints(run_dir.checkpoints).delete_all()  # unless a kill came between the result and this
            console.say("is completed already; nothing to train")
            mirror_again(run_dir, config.tracking, console.say)
            return None
        try:
            corpus, baseline = prepare_data(config, results, stop, console)
            vectors = tweet_vectors(config, corpus, model, results, stop, console)
        except StoppedError as stopped:
            return stopped.stop
        trainer, vocabulary = _prepare_trainer(config, run_dir, corpus, model, vectors, stop, console)
        elmo = elmo_record(config, model)
        attempt = AttemptRecord(run_dir, config, corpus.fingerprint, elmo, trainer.data.store.device, trainer.step)
        with mirrored(run_dir, config.tracking, console.say), _failure_recorded(attempt, trainer):
            vocabulary.write(run_dir.vocabulary_file)
            reason = trainer.train()
            if reason is None:
                write_outcome(run_dir, config, trainer, corpus, len(vocabulary), baseline, elmo)
            attempt.end(reason.reason if reason else "completed", trainer.step, reason.detail if reason else None)
        return reason


@contextlib.contextmanager
def _failure_recorded(attempt: AttemptRecord, trainer: Trainer) -> Iterator[None]:
    """An error within is the attempt's end, and goes on to whoever shows it."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        message = f"the GPU's memory is full at step {trainer.step}; a smaller training.batch_size or model may fit"
        attempt.end("failed", trainer.step, message)
        raise MemoryExhaustedError(message) from error
    except (SentimentError, OSError) as error:
        with contextlib.suppress(OSError):  # on a full disk this fails too, but the error itself says more
            attempt.end("failed", trainer.step, f"{type(error).__name__}: {error}")
        raise


def _refuse_other_data(config: RunConfig, results: Results, run_dir: RunDir, model: ModelFiles | None) -> None:
    """The run's name knows only the names of its data and ELMo model, whose content may have changed since.

    Raises:
        RunDirError: it has.
    """
    record = run_dir.read_record()
    if record and record.data_fingerprint != corpus_fingerprint(config.data, results):
        raise RunDirError(
            f"{run_dir.path}: was completed on other data than {config.data.source} now holds; "
            "move it away to train anew"
        )
    if record and record.elmo != elmo_record(config, model):
        raise RunDirError(
            f"{run_dir.path}: was completed with other ELMo weights than are here now; move it away to train anew"
        )


def _prepare_trainer(
    config: RunConfig,
    run_dir: RunDir,
    corpus: Corpus,
    model: ModelFiles | None,
    vectors: TweetVectors | None,
    stop: StopRequest,
    console: Console,
) -> tuple[Trainer, Vocabulary]:
    """A trainer in the state of the newest checkpoint, or at the start."""
    identity = {"config": config.fingerprint(), "data": corpus.fingerprint}
    if model is not None:
        identity["ELMo model"] = model.fingerprint
    checkpoints = Checkpoints(run_dir.checkpoints)
    state = _newest_state(checkpoints, run_dir, identity, console)
    threads = int(state["identity"]["threads"]) if state else available_threads(config.runtime)
    device = choose_device(config.runtime.device)
    make_reproducible(config.runtime, threads, config.seed)
    vocabulary = Vocabulary.build(corpus, config.data.vocabulary)
    log = MetricLog(run_dir.metrics_file, console.say)
    trainer = Trainer(
        _new_classifier(config, vocabulary, model, console).to(device),
        _training_data(corpus, vocabulary, vectors, device),
        config,
        checkpoints,
        stop,
        log,
        TimingLog(run_dir.timings_file),
        console,
        identity | {"threads": threads},
    )
    if state:
        trainer.load_state_dict(state)
        console.say(f"goes on after step {trainer.step} in epoch {trainer.epoch + 1}")
    else:
        log.restore([])
    return trainer, vocabulary


def _newest_state(
    checkpoints: Checkpoints, run_dir: RunDir, identity: dict[str, str], console: Console
) -> dict[str, Any] | None:
    """The state to go on from, if any.

    Raises:
        CheckpointError: it is of another configuration or of other data.
    """
    state, damaged = checkpoints.newest()
    for message in damaged:
        console.say(f"{message}; goes on from {'an older one' if state else 'the beginning'}")
    for name, value in identity.items():
        if state and state["identity"][name] != value:
            raise CheckpointError(
                f"{run_dir.checkpoints}: the {name} of this run has changed since its last checkpoint "
                f"({state['identity'][name][:8]}, now {value[:8]}); move {run_dir.path} away to train anew"
            )
    return state


def _new_classifier(
    config: RunConfig, vocabulary: Vocabulary, model: ModelFiles | None, console: Console
) -> Classifier:
    vectors = None
    if config.embedding.pretrained is not None:
        vectors, found = load_vectors(Path(config.embedding.pretrained), vocabulary, config.embedding.size, config.seed)
        console.say(f"{config.embedding.pretrained}: has vectors for {found} of {len(vocabulary)} types")
    return build_classifier(config, len(vocabulary), vectors, model.options.vector_size if model else None)


def _training_data(
    corpus: Corpus, vocabulary: Vocabulary, vectors: TweetVectors | None, device: torch.device
) -> TrainingData:
    token_ids = vocabulary.from_corpus_ids(corpus)[corpus.token_ids]
    store = TokenStore(token_ids, corpus.offsets, corpus.labels, device, vectors)
    rows = {part: corpus.rows(part) for part in PARTS}
    return TrainingData(store, {part: numbers for part, numbers in rows.items() if len(numbers)})


def _remove_leftovers(folder: Path) -> None:
    """Delete temporary files of writers that were killed; the lock says that none is alive."""
    for path in (*folder.glob(".*.tmp"), *folder.glob("checkpoints/.*.tmp")):
        path.unlink(missing_ok=True)
