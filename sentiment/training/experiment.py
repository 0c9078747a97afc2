"""A run from its configuration to its result: prepare, train, publish."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from sentiment.config import RunConfig
from sentiment.console import Console, Progress
from sentiment.data.corpus import Corpus, corpus_fingerprint, prepare_corpus
from sentiment.data.sources import cached_sha256
from sentiment.data.vocabulary import Vocabulary, load_vectors, prepare_vectors, pretrained_file, vectors_fingerprint
from sentiment.encoders.cache import CachedVectors
from sentiment.encoders.finetuned import FineTuned
from sentiment.encoders.pretrained import EncoderFiles, encoder_record, find_model
from sentiment.errors import MemoryExhaustedError, RunDirError, SentimentError
from sentiment.files import sha256_of
from sentiment.metrics import measure
from sentiment.models.baseline import BaselineModel, Baselines, load_or_fit_baselines
from sentiment.models.classifier import (
    Classifier,
    FrozenEmbedding,
    NetworkModel,
    attention_of,
    build_classifier,
    build_on_meta_device,
    load_encoder,
    predict,
)
from sentiment.models.lexicon import LexiconModel
from sentiment.models.text_model import (
    MeanModel,
    Probabilities,
    TextModel,
    answer_checks,
    calibrate_all,
    calibrated,
    fit_temperatures,
)
from sentiment.runs.code_version import running_code
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import (
    PREDICTION_COLUMNS,
    THRESHOLD,
    EncoderRecord,
    Metrics,
    ModelChoice,
    Part,
    Result,
    RunRecord,
)
from sentiment.runs.run_dir import Results, RunDir
from sentiment.tracking import in_sweep, mirror_to_wandb
from sentiment.training.checkpoint import WeightsState, delete_checkpoints, weights_sha256, write_checkpoint
from sentiment.training.encoding import tweet_vectors
from sentiment.training.stop import RunContext, StopRequest, stoppable
from sentiment.training.task import ClassifierTask, evaluation_rows, judge_overfit
from sentiment.training.trainer import PRETRAINED_VECTORS, Trainer, train_task

Scores = dict[Part, dict[ModelChoice, Probabilities]]


def prepare_data(config: RunConfig, results: Results, progress: Progress) -> tuple[Corpus, Baselines]:
    """The corpus of a run and its baselines, from their caches if they are there."""
    corpus = prepare_corpus(config.data, results, progress)
    return corpus, load_or_fit_baselines(corpus, np.concatenate([*evaluation_rows(corpus).values()]), progress)


@stoppable
def run_preparation(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> None:
    """Prepare the tweets of these runs, and their baselines."""
    progress = stop.interrupting(console.progress)
    for config in configs:
        corpus, _ = prepare_data(config, results, progress)
        console.say(f"{len(corpus.labels):,} tweets of {config.data.source} and their baseline are in {corpus.path}")


@stoppable
def run_vectors(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> None:
    """Learn the word vectors that these runs start from, each set once."""
    progress = stop.interrupting(console.progress)
    for config in configs:
        learned, file = prepare_vectors(config, results, progress), pretrained_file(config, results)
        console.say("\n".join(learned or [f"vectors are in {file}"]))


@stoppable
def run_experiment(run: RunContext) -> None:
    """Train a run in its directory, from its newest checkpoint if there is one; do nothing if it is completed.

    Raises:
        TakenOverError: another process has begun a later attempt.
        SentimentError: an error that the user can mend; earlier checkpoints stay valid.
        OSError: a file cannot be written, as on a full disk; earlier checkpoints stay valid.
    """
    model = None
    if not run.run_dir.completed:
        model = find_model(run.config, run.results)  # before anything is created, since it may be missing
    run = replace(run, config=run.run_dir.create(run.config))
    with ProcessLock(run.run_dir.lock_file):
        run = replace(run, run_dir=run.run_dir.begin_attempt())
        if run.run_dir.completed:
            _refuse_other_files(run)
            delete_checkpoints(run.run_dir)  # a kill just after the result was written leaves them
            run.console.say("is completed already; nothing to train")
            if in_sweep():  # W&B's sweep agent, which has started this process, waits for a new run
                with mirror_to_wandb(run.run_dir, run.config.tracking, run.console.say):
                    pass
            return
        run.on_begin()
        encoder = encoder_record(run.config.any_encoder.model, model) if run.config.any_encoder and model else None
        corpus, baselines = prepare_data(run.config, run.results, run.progress)
        prepare_vectors(run.config, run.results, run.progress)
        read = run.config.any_encoder if not run.config.finetunes else None  # tuned vectors change
        vectors = tweet_vectors(run, read, corpus, model) if read and model else None
        identity = _identity(run, corpus.fingerprint, encoder)
        vocabulary = _new_vocabulary(run, corpus)

        def build(device: torch.device) -> ClassifierTask:
            classifier = _new_classifier(run, vocabulary, model)
            return ClassifierTask(run.config, classifier, corpus, vocabulary, vectors, device)

        publish = partial(_publish, run, baselines, encoder)
        recorded = encoder
        if encoder and isinstance(vectors, CachedVectors):
            recorded = encoder.model_copy(update={"cache": vectors.cache.record()})
        train_task(run, identity, build, publish, recorded)


def _identity(run: RunContext, data: str, encoder: EncoderRecord | None) -> dict[str, str]:
    """Hashes of all that determines a run's numbers, by names for messages; `data` is the corpus's fingerprint."""
    identity = {"config": run.config.fingerprint(), "data": data, "code": running_code().training}
    if encoder:
        identity["encoder"] = encoder.fingerprint
    if vectors := _vectors_sha256(run):
        identity[PRETRAINED_VECTORS] = vectors
    return identity


def _vectors_sha256(run: RunContext) -> str | None:
    """SHA-256 of the pretrained vectors (their fingerprint if they were learned: the file may be gone), or None."""
    learned, file = vectors_fingerprint(run.config, run.results), pretrained_file(run.config, run.results)
    return (learned or cached_sha256(file)) if file else None


def _refuse_other_files(run: RunContext) -> None:
    # A run's id depends on the names of its data, vectors and encoder; their contents may have changed since.
    record, config, changed = run.run_dir.read(RunRecord), run.config, list[str]()
    if record is None:
        return
    with suppress(SentimentError):  # no comparison if an input is gone: a completed run no longer needs it
        encoder, model = record.encoder, find_model(config, run.results) if record.encoder else None
        compared = (
            (f"data than {config.data.source}", record.data_fingerprint, corpus_fingerprint(config.data, run.results)),
            (f"vectors than {config.embedding.pretrained}", record.vectors_sha256, _vectors_sha256(run)),
            (f"weights than {encoder and encoder.model}", encoder and encoder.fingerprint, model and model.fingerprint),
        )
        changed = [f"{what} now holds" for what, former, present in compared if former != present]
    if changed:
        other = " and with other ".join(changed)
        raise RunDirError(f"{run.run_dir.path}: was completed with other {other}; move it away to train it again")


def _new_vocabulary(run: RunContext, corpus: Corpus) -> Vocabulary:
    vocabulary, learned = Vocabulary.build(corpus, run.config.data.vocabulary), run.config.vectors
    if learned and learned.vocabulary == "vectors" and (file := pretrained_file(run.config, run.results)):
        return vocabulary.extended_by(file, run.config.data.vocabulary.max_size)
    return vocabulary


def _new_classifier(run: RunContext, vocabulary: Vocabulary, model: EncoderFiles | None) -> Classifier:
    reads: int | FineTuned | None = model.vector_size if model else None
    if model and run.config.encoder and run.config.finetunes:
        reads = FineTuned(model)
    sketch = build_on_meta_device(run.config, len(vocabulary), reads)
    weights = sum(parameter.numel() for parameter in sketch.parameters())
    needed = 4 * weights
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > available:  # a lower bound: training takes more, depending on the batch and the device
        raise MemoryExhaustedError(
            f"the model has {weights:,} weights, which take {needed:,} bytes, and this machine has {available:,}; a "
            "smaller model.hidden_size or embedding.size may fit"
        )
    embedding, vectors = run.config.embedding, None
    if file := pretrained_file(run.config, run.results):
        vectors, known = load_vectors(file, vocabulary, embedding.size, run.config.seed)
        run.console.say(f"{embedding.pretrained}: has vectors for {known} of {len(vocabulary)} types")
    return build_classifier(run.config, len(vocabulary), vectors, reads)


def _publish(run: RunContext, baselines: Baselines, encoder: EncoderRecord | None, trainer: Trainer) -> None:
    run_dir, stopping = run.run_dir, trainer.early_stopping
    last = {name: tensor.detach().cpu().clone() for name, tensor in trainer.model.state_dict().items()}
    best, best_epoch = stopping.best_weights, stopping.best_epoch
    trainer.model.load_state_dict(best)
    scores, temperatures = _calibrated_scores(trainer.task, baselines)
    _write_predictions(run_dir, trainer.task, scores, baselines)
    _write_attention(run_dir, trainer.task, temperatures["network"])
    trainer.task.vocabulary.write(run_dir.vocabulary_file, run_dir.write)
    write_checkpoint(run_dir.best_weights, WeightsState(weights=best, epoch=best_epoch).model_dump(), run_dir.write)
    write_checkpoint(run_dir.last_weights, WeightsState(weights=last, epoch=trainer.epoch).model_dump(), run_dir.write)
    run_dir.write(run_dir.baseline_file, lambda file: file.write(baselines.model.to_bytes()))
    run_dir.write_record(_result(run, trainer, scores, temperatures, baselines, encoder))
    delete_checkpoints(run_dir)


def _result(
    run: RunContext,
    trainer: Trainer,
    scores: Scores,
    temperatures: dict[ModelChoice, float],
    baselines: Baselines,
    encoder: EncoderRecord | None,
) -> Result:
    run_dir, task, stopping = run.run_dir, trainer.task, trainer.early_stopping
    labels = {part: task.corpus.labels[rows] for part, rows in task.measured.items()}
    measured = {name: {part: measure(labels[part], scores[part][name]) for part in labels} for name in temperatures}
    lexicon = {part: baselines.lexicon[rows].astype(np.float64) for part, rows in task.measured.items()}
    metrics, embedding = measured["network"], trainer.model.embedding
    # On the CPU, since vectors may fill the GPU's memory, and the sentences are few.
    cpu = torch.device("cpu")
    computing = embedding if isinstance(embedding, FineTuned) else load_encoder(run.config, encoder, run.results, cpu)
    network = NetworkModel(run.config, task.vocabulary, trainer.model, computing, task.device, temperatures["network"])
    baseline = BaselineModel(run.config, baselines.model, temperatures["baseline"])
    both = MeanModel(network, baseline, temperatures["both"])
    models: list[TextModel] = [network, baseline, both, LexiconModel(run.config)]
    positive = {bool(one) for one in scores["validation"]["network"] >= THRESHOLD}
    hashed = run_dir.vocabulary_file, run_dir.metrics_file, run_dir.predictions_file, run_dir.baseline_file
    return Result(
        run_id=run.config.run_id,
        stopped_by="early stopping" if stopping.should_stop else "all epochs",
        epochs=trainer.epoch,
        steps=trainer.step,
        best_epoch=stopping.best_epoch,
        parameters=sum(parameter.numel() for parameter in trainer.model.trainable_parameters()),
        metrics=metrics,
        baseline=measured["baseline"],
        both=measured["both"],
        lexicon={part: measure(labels[part], said) for part, said in lexicon.items()},
        recommended=recommend({name: of_parts["validation"] for name, of_parts in measured.items()}),
        temperatures=temperatures,
        only_label=int(positive.pop()) if len(positive) == 1 else None,
        check_list={model.name: answer_checks(model) for model in models},
        baseline_settings=baselines.settings,
        overfit=judge_overfit(metrics["train"].accuracy, metrics["validation"].accuracy),
        encoder=encoder,
        mixture=embedding.mixture_weights() if isinstance(embedding, FrozenEmbedding) else None,
        seconds_trained=trainer.seconds,
        weights_sha256=weights_sha256(stopping.best_weights),
        files_sha256={path.name: sha256_of(path) for path in (*hashed, run_dir.attention_file) if path.exists()},
    )


def _calibrated_scores(task: ClassifierTask, baselines: Baselines) -> tuple[Scores, dict[ModelChoice, float]]:
    rows, validation = task.measured, task.rows["validation"]
    labels, linear = task.corpus.labels[validation], baselines.linear.astype(np.float64)
    raw = {part: predict(task.model, task.store, of_part) for part, of_part in rows.items()}
    temperatures = fit_temperatures(labels, raw["validation"], linear[validation])
    scores = {part: calibrate_all(said, linear[rows[part]], temperatures) for part, said in raw.items()}
    return scores, temperatures


def recommend(metrics: dict[ModelChoice, Metrics]) -> ModelChoice:
    """The model with the highest validation accuracy; ties are broken by the lower loss, then by the order."""
    return max(metrics, key=lambda name: (metrics[name].accuracy, -metrics[name].loss))


def _write_predictions(run_dir: RunDir, task: ClassifierTask, scores: Scores, baselines: Baselines) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [part for part in scores if part != "train"]
    rows = np.concatenate([task.rows[part] for part in parts])
    table = pa.table(
        {
            "part": pa.array(np.repeat(parts, [len(task.rows[part]) for part in parts])).dictionary_encode(),
            "tweet": task.corpus.keys[rows],
            "label": task.corpus.labels[rows],
            **{
                column: np.concatenate([scores[part][model] for part in parts]).astype(np.float32)
                for column, model in PREDICTION_COLUMNS.items()
            },
            "lexicon": baselines.lexicon[rows],
        }
    )
    run_dir.write(run_dir.predictions_file, lambda file: pq.write_table(table, file))


def _write_attention(run_dir: RunDir, task: ClassifierTask, temperature: float) -> None:
    sample = np.sort(np.random.default_rng(0).permutation(task.rows["test"])[:40])
    lines = []
    for row in sample:
        attention = attention_of(task.model, task.store.epoch(np.array([row]), 1, 0, 0)[0])
        if attention is None:
            return
        score = float(calibrated(predict(task.model, task.store, np.array([row])), temperature)[0])
        weights = [[round(weight, 4) for weight in hop] for hop in attention[0].tolist()]
        sample_row = {"tweet": int(task.corpus.keys[row]), "label": int(task.corpus.labels[row]), "score": score}
        lines.append(json.dumps(sample_row | {"tokens": task.corpus.tokens(row), "weights": weights}) + "\n")
    run_dir.write(run_dir.attention_file, lambda file: file.write("".join(lines).encode()))
