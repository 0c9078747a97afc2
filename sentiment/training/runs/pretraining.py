"""A language model from a run's configuration to the two files of an ELMo model: a run like others."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch

from sentiment.code_version import running_code
from sentiment.config import EarlyStoppingConfig, ElmoConfig, RunConfig, TrackingConfig, TrainingConfig
from sentiment.console import Console
from sentiment.data.corpus.corpus import Corpus, prepare_corpus
from sentiment.data.word_vectors.training_text import gather_text, whole_training_part
from sentiment.elmo.language_model import LanguageModel, load_weights, options_bytes, weights_bytes
from sentiment.elmo.models import PretrainingRequest, pretraining_request
from sentiment.elmo.products import Products, fastest_library
from sentiment.files import sha256_of
from sentiment.lock import patient_lock
from sentiment.pretrained_runs import Perplexity, PretrainedCard, PretrainedDir, read_points
from sentiment.run_dir import Results
from sentiment.training.context import RunContext
from sentiment.training.loop.checkpoint import Checkpoints
from sentiment.training.loop.trainer import Trainer
from sentiment.training.runs.provenance import AttemptRecord, failure_recorded
from sentiment.training.runs.resuming import remove_leftovers, resumed_trainer
from sentiment.training.stop import Stop, StoppedError, StopRequest
from sentiment.training.tasks.language import LanguageTask, LanguageText

_LIBRARY = "library of matrix products"


def run_pretraining(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> Stop | None:
    """Train the language models that these runs ask for, each once; complete ones are left as they are.

    Of several processes that ask for the same one trains it, and the others wait.

    Returns:
        None if all are complete, else the reason to stop; the same call then resumes.

    Raises:
        SentimentError: anything that a user can mend; everything that was saved before stays valid.
        OSError: the model cannot be written, on a full disk for example; likewise.
    """
    told = set()
    for config in configs:
        request = pretraining_request(config, results)
        if request is None or request.fingerprint in told:
            continue
        told.add(request.fingerprint)
        run = RunContext(_as_run(request, config), results, request.run_dir(results), stop, console)
        try:
            with stop.beyond_rungs():
                reason = _run_one(run, request)
        except StoppedError as stopped:
            return stopped.stop
        if reason:
            return reason
        if card := request.run_dir(results).read_card():
            console.say("\n".join([*card.render_lines(), f"  in {request.run_dir(results).path}"]))
    return None


def _as_run(request: PretrainingRequest, config: RunConfig) -> RunConfig:
    """The language model's training as a run: what decides its weights, on the machine of the one that asks for it."""
    settings = request.settings
    training = TrainingConfig(
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        clip=settings.clip,
        early_stopping=EarlyStoppingConfig(patience=settings.patience),
        log_every=settings.log_every,
    )
    return RunConfig(
        description=f"the language model {request.model}",
        seed=settings.seed,
        data=whole_training_part(config.data),
        elmo=ElmoConfig(model=request.model, state="zero"),
        pretraining=settings,
        training=training,
        tracking=TrackingConfig(wandb="disabled"),
        runtime=config.runtime,
    ).canonical()


def _run_one(run: RunContext, request: PretrainingRequest) -> Stop | None:
    run_dir = request.run_dir(run.results)
    if run_dir.completed:
        return None
    # The folder is named after all that decides the weights: files may have been moved since it was made.
    config = run_dir.read_config().on_the_machine_of(run.config) if run_dir.config_file.exists() else run.config
    run = replace(run, config=run_dir.create(config))
    with patient_lock(
        run_dir.lock_file, "trains the same language model", lambda who: run.progress(who, 0, None)
    ) as owner:
        run_dir = replace(run_dir, owner=owner)
        run = replace(run, run_dir=run_dir)
        if run_dir.completed:
            return None
        remove_leftovers(run_dir.path)
        corpus = prepare_corpus(run.config.data, run.results, run.progress)
        gathered = gather_text(corpus, run.config.data.text, request.files, run.progress)
        text = LanguageText.split(gathered, corpus, run.config)
        with contextlib.closing(_prepare_trainer(run, request, corpus, text)) as trainer:
            attempt = AttemptRecord(run, trainer, corpus)
            with failure_recorded(attempt, trainer):
                reason = trainer.train()
                if reason is None:
                    _write_model(run_dir, request, corpus, trainer)
                attempt.end(reason.reason if reason else "completed", trainer.step, reason.detail if reason else None)
    return reason


def _prepare_trainer(
    run: RunContext, request: PretrainingRequest, corpus: Corpus, text: LanguageText
) -> Trainer[LanguageTask]:
    identity = {"config": run.config.fingerprint(), "data": corpus.fingerprint, "code": running_code().training}
    identity |= {"text or size of the language model": request.fingerprint}

    def build(device: torch.device, choices: Mapping[str, Any]) -> LanguageTask:
        begun = f"the language model in {run.run_dir.path}"
        library = Products.choose(torch.float32, device, choices[_LIBRARY], begun).library
        model = LanguageModel(request.options, text.vocabulary, request.settings.dropout, library)
        if request.init:
            load_weights(model, request.init.weights_path)
        return LanguageTask(run.config, model.to(device), text, device)

    return resumed_trainer(run, identity, build, {_LIBRARY: fastest_library(torch.float32)})


def _write_model(
    run_dir: PretrainedDir, request: PretrainingRequest, corpus: Corpus, trainer: Trainer[LanguageTask]
) -> None:
    """Write the model of the best epoch, the card last."""
    best, text, options = trainer.early_stopping.best_weights, trainer.task.text, request.options
    run_dir.write(run_dir.options_file, lambda file: file.write(options_bytes(options)))
    content = weights_bytes(best, options)
    run_dir.write(run_dir.weights_file, lambda file: file.write(content))
    point = next(point for point in read_points(run_dir) if point.epoch == trainer.early_stopping.best_epoch)
    card = PretrainedCard(
        model=request.model,
        fingerprint=request.fingerprint,
        settings=request.plain_settings,
        corpus=corpus.fingerprint,
        source=corpus.report.source,
        training_tweets=len(corpus.rows("train")),
        held_out_tweets=len(text.held_out),
        unlabelled=text.text.counts,
        unlabelled_sha256={file.name: file.sha256 for file in request.files},
        init=request.settings.init,
        init_fingerprint=request.init.fingerprint if request.init else None,
        words=text.vocabulary,
        unknown=text.unknown,
        parameters=options.parameters,
        tokens=text.tokens,
        epochs=trainer.epoch,
        best_epoch=trainer.early_stopping.best_epoch,
        steps=trainer.step,
        perplexity=Perplexity(forward=point.forward, backward=point.backward),
        seconds_trained=trainer.seconds,
        options_sha256=sha256_of(run_dir.options_file),
        weights_sha256=sha256_of(run_dir.weights_file),
    )
    run_dir.write_card(card)
    Checkpoints(run_dir.checkpoints).delete_all()
