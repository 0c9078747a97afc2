"""A run from its configuration to its result: prepare, train, publish; and jobs that prepare what several runs read."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import numpy as np

from sentiment.config import RunConfig
from sentiment.console import Console
from sentiment.data.corpus import Corpus, prepare_corpus, source_fingerprint
from sentiment.data.vocabulary import prepare_vectors, pretrained_file
from sentiment.encoders.cache import VectorCache, layers_of
from sentiment.encoders.inputs import current_inputs, differing, recorded_inputs
from sentiment.encoders.pretrained import find_model
from sentiment.errors import RunDirError, SentimentError
from sentiment.models.baseline import fit_linear_model
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import Results
from sentiment.training.attempt import new_attempt, new_trainer
from sentiment.training.checkpoint import delete_checkpoints
from sentiment.training.device import available_threads, choose_device, explained_memory_errors
from sentiment.training.encoding import fill_cache
from sentiment.training.preparation import prepare, prepare_data, prepare_each, prepare_fit
from sentiment.training.publishing import ModelsInMemory, fitted_models, publish
from sentiment.training.stop import RunContext, Stop, StopRequest, stoppable
from sentiment.training.tracking import in_sweep, mirror_to_wandb


@stoppable
def run_experiment(run: RunContext) -> None:
    """Train a run in its directory, from its newest checkpoint if there is one; do nothing if it is completed.

    Raises:
        TakenOverError: another process has begun a later attempt.
        MemoryExhaustedError: the model does not fit into the memory of the GPU or of this machine.
        SentimentError: an error that the user can fix; earlier checkpoints stay valid.
        OSError: a file cannot be written, as on a full disk; earlier checkpoints stay valid.
    """
    files = None
    if not run.run_dir.completed:
        files = find_model(run.config, run.results)  # before anything is created: it raises if they are missing
    run = replace(run, config=run.run_dir.create(run.config))
    if run.run_dir.completed:  # without the lock, whose file cannot be written in a folder of somebody else
        _leave_completed(run)
        return
    with run.run_dir.lock() as lock, explained_memory_errors():
        run = replace(run, run_dir=run.run_dir.begin_attempt(lock.number))
        if run.run_dir.completed:
            _leave_completed(run)
            return
        run.on_begin(run.run_dir)
        corpus, baselines = prepare_data(run.config, run.results, run.progress)
        _tell_of_defaults(run, corpus)
        prepared = prepare(run, corpus, files)
        with new_attempt(run, prepared) as (trainer, end):
            trainer.train()
            publish(run, prepared, baselines, trainer, end)


def run_single(run: RunContext) -> Stop | None:
    """`run_experiment` outside of grids: of a run whose inputs cannot be used, no directory is made.

    None is deleted either, since another process may be about to use it.
    """
    return _prepare_inputs(run) or run_experiment(run)


@stoppable
def _prepare_inputs(run: RunContext) -> None:
    if run.run_dir.path.exists():
        return
    find_model(run.config, run.results)
    choose_device(run.config.runtime.device)
    with explained_memory_errors():
        prepare_data(run.config, run.results, run.progress)
        prepare_vectors(run.config, run.results, run.progress)


def fit_models(run: RunContext, with_baseline: bool) -> ModelsInMemory:
    """Train a network in an empty directory, and a baseline if asked for; compute no metrics but the recommendation's.

    No test part is set aside: its tweets are trained on.

    Raises:
        Stop: there is a reason to stop; nothing of use is left.
        SentimentError: as `run_experiment`.
    """
    files = find_model(run.config, run.results)
    run = replace(run, config=run.run_dir.create(run.config))
    corpus = prepare_fit(run.config, run.results, run.progress)
    _tell_of_defaults(run, corpus)
    baseline = None
    if with_baseline:
        baseline, _ = fit_linear_model(corpus, run.progress)
    runtime = run.config.runtime
    with explained_memory_errors():
        prepared = prepare(run, corpus, files)
        trainer = new_trainer(run, prepared, available_threads(runtime), choose_device(runtime.device))
        trainer.train()
        return fitted_models(run, prepared, trainer, baseline)


def _tell_of_defaults(run: RunContext, corpus: Corpus) -> None:
    """Say what nobody may have asked for: that tweets are weighted, or that ELMo reads no capitals."""
    if corpus.is_balanced and run.config.training.class_weights == "auto":
        counts = np.bincount(corpus.labels[corpus.rows("train")], minlength=corpus.class_count)
        name = corpus.report.classes[counts.argmin()]
        run.console.say(
            f"{counts.min() / counts.sum():.0%} of the training tweets are {name}: all classes have the same weight, "
            "and so have all tweets with training.class_weights=none"
        )
    if run.config.elmo and run.config.data.text.lowercase:
        run.console.say("ELMo gets all words in small letters; it knows capitals, with data.text.lowercase=false")


def _leave_completed(run: RunContext) -> None:
    _check_inputs_unchanged(run)
    delete_checkpoints(run.run_dir)  # a kill just after the result was written leaves them
    run.console.say("the run is already completed")
    if in_sweep():  # W&B's sweep agent, which has started this process, expects a new run
        with mirror_to_wandb(run.run_dir, run.config.tracking, run.console.say):
            pass


def _check_inputs_unchanged(run: RunContext) -> None:
    """Raise RunDirError if a completed run was trained with other inputs; an input that is gone is not compared.

    A run's id depends on the names of its data, vectors and encoder, whose contents may have changed since.
    """
    record = run.run_dir.read(RunRecord)
    if record is None:
        return
    config = run.config
    changed: list[str] = []
    with suppress(SentimentError):
        files = find_model(config, run.results) if record.encoder else None
        present = current_inputs(config, run.results, source_fingerprint(config.data, run.results), files)
        changed = differing(recorded_inputs(config, record), present)
    if changed:
        names = " and ".join(changed)
        raise RunDirError(
            f"{run.run_dir.path}: was completed before its {names} changed; move the directory away to train it again"
        )


@stoppable
def run_preparation(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> None:
    """Prepare the tweets of these runs, their baselines, and the word vectors that they start from, each set once."""
    progress = stop.interrupting(console.progress)

    def prepare_one(config: RunConfig) -> None:
        corpus, _ = prepare_data(config, results, progress)
        console.say(f"{len(corpus.labels):,} tweets of {config.data.source} and their baseline are in {corpus.path}")
        if config.vectors:
            lines = prepare_vectors(config, results, progress)
            console.say("\n".join(lines or [f"vectors are in {pretrained_file(config, results)}"]))

    prepare_each(configs, prepare_one, console)


@stoppable
def run_encoding(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> None:
    """Compute all cached vectors that these runs will read; other processes that do so share the work."""
    progress = stop.interrupting(console.progress)

    def prepare_one(config: RunConfig) -> None:
        section = config.any_encoder
        model = find_model(config, results)
        if section is None or model is None or not section.cached:
            return
        cache = VectorCache(prepare_corpus(config.data, results, progress), section, model, results)
        layers = layers_of(section)
        if fill_cache(config, cache, layers, progress):
            console.say(f"vectors of {', '.join(layers)} are complete in {cache.folder}")

    # All layers at once, where a run reads their mixture, take less time than one after another.
    with explained_memory_errors():
        prepare_each(sorted(configs, key=_reads_one_layer), prepare_one, console)


def _reads_one_layer(config: RunConfig) -> bool:
    return config.any_encoder is not None and config.any_encoder.layers != "mix"
