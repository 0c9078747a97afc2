"""One run from its configuration to its result: prepare, resume, train, measure, write down."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from sentiment.data.corpus.corpus import Corpus, corpus_fingerprint
from sentiment.data.vocabulary import Vocabulary, load_vectors
from sentiment.data.word_vectors import prepare_vectors, pretrained_file, vectors_fingerprint
from sentiment.elmo.models import ModelFiles, find_elmo_of, has_pretrained
from sentiment.errors import MemoryExhaustedError, RunDirError
from sentiment.files import sha256_of
from sentiment.models.baseline import BaselineModel
from sentiment.models.calibration import Probabilities, as_used, calibrated, fit_temperature, fit_temperatures
from sentiment.models.check_list import check
from sentiment.models.classifier import Classifier, ElmoEmbedding, build_classifier, count_weights
from sentiment.models.lexicon import LexiconModel
from sentiment.models.network import NetworkModel, attention_of, encoder_of, predict
from sentiment.models.text_model import MeanModel, TextModel
from sentiment.runs.attempts import AttemptFolder, ProcessLock
from sentiment.runs.code_version import running_code
from sentiment.runs.records import (
    BOTH,
    PREDICTION_COLUMNS,
    ElmoRecord,
    Metrics,
    Part,
    Recommendation,
    Result,
    RunRecord,
)
from sentiment.runs.run_dir import RunDir, refuse_incomplete
from sentiment.tracking.mirror import mirror_again, mirrored
from sentiment.training.checkpoint import Checkpoints, weights_sha256, write_checkpoint
from sentiment.training.classifying import ClassifierTask, judge_overfit, measure
from sentiment.training.context import RunContext
from sentiment.training.device import available_ram
from sentiment.training.encoding import RunVectors, elmo_record, tweet_vectors
from sentiment.training.preparing import Baselines, TrainingData, prepare_data
from sentiment.training.resuming import (
    AttemptRecord,
    failure_recorded,
    pretrained_sha256,
    resumed_trainer,
)
from sentiment.training.stop import Stop, StoppedError
from sentiment.training.trainer import Trainer

_ATTENTION_SAMPLES = 40


def write_outcome(
    run: RunContext, trainer: Trainer[ClassifierTask], baselines: Baselines, elmo: ElmoRecord | None
) -> None:
    """Measure the best epoch's weights on all parts and write all files, `result.json` last.

    Args:
        trainer: has finished.
        elmo: what the result records of the run's ELMo model.

    Raises:
        OSError: the disk is full or fails; the run is then not completed, and a later call can complete it.
        TakenOverError: another process has taken the run over, and completes it.
    """
    run_dir, data = run.run_dir, trainer.task.data
    last = {name: tensor.detach().cpu().clone() for name, tensor in trainer.model.state_dict().items()}
    best = trainer.early_stopping.best_weights
    trainer.model.load_state_dict(best)
    said = _Said.by(trainer, baselines)
    _write_predictions(run_dir, data, said.scores, baselines)
    _write_attention(run_dir, trainer, said.temperatures["network"])
    write_checkpoint(run_dir.best_weights, {"weights": best, "epoch": trainer.early_stopping.best_epoch}, run_dir.write)
    write_checkpoint(run_dir.last_weights, {"weights": last, "epoch": trainer.epoch}, run_dir.write)
    run_dir.write(run_dir.baseline_file, baselines.linear.model.write)
    run_dir.write_result(_result(run, trainer, said, baselines, elmo))
    trainer.checkpoints.delete_all()


@dataclass(frozen=True)
class _Said:
    """What the models of a run say of each part, calibrated."""

    scores: dict[Part, dict[Recommendation, Probabilities]]
    temperatures: dict[Recommendation, float]

    @classmethod
    def by(cls, trainer: Trainer[ClassifierTask], baselines: Baselines) -> "_Said":
        data = trainer.task.data
        rows, validation = data.measured_rows, data.rows["validation"]
        labels, linear = data.store.labels_of(validation), baselines.linear.probabilities.astype(np.float64)
        of_baseline = fit_temperature(labels, linear[validation])
        linear = calibrated(linear, of_baseline)
        raw = {part: predict(trainer.model, data.store, of_part) for part, of_part in rows.items()}
        temperatures = fit_temperatures(labels, raw["validation"], linear[validation])
        scores = {part: as_used(said, linear[rows[part]], temperatures) for part, said in raw.items()}
        return cls(scores, temperatures | {"baseline": of_baseline})


def _result(
    run: RunContext,
    trainer: Trainer[ClassifierTask],
    said: _Said,
    baselines: Baselines,
    elmo: ElmoRecord | None,
) -> Result:
    training, data = run.config.training, trainer.task.data
    metrics: dict[Part, Metrics] = {}
    linear: dict[Part, Metrics] = {}
    combinations: dict[Part, Metrics] = {}
    lexicon: dict[Part, Metrics] = {}
    for part, rows in data.measured_rows.items():
        labels = data.store.labels_of(rows)
        metrics[part] = measure(labels, said.scores[part]["network"])
        linear[part] = measure(labels, said.scores[part]["baseline"])
        combinations[part] = measure(labels, said.scores[part]["both"])
        lexicon[part] = measure(labels, baselines.lexicon[rows].astype(np.float64))
    embedding = trainer.model.embedding
    return Result(
        run_id=run.config.run_id,
        stopped_by="early stopping" if trainer.early_stopping.should_stop else "all epochs",
        epochs=trainer.epoch,
        steps=trainer.step,
        best_epoch=trainer.early_stopping.best_epoch,
        parameters=sum(parameter.numel() for parameter in trainer.model.trainable_parameters()),
        vocabulary_size=len(data.vocabulary),
        metrics=metrics,
        baseline=linear,
        combination=combinations,
        lexicon=lexicon,
        recommended=recommend(metrics["validation"], linear["validation"], combinations["validation"]),
        temperatures=said.temperatures,
        check_list={model.name: check(model) for model in _models(run, trainer, said.temperatures, baselines, elmo)},
        baseline_settings=baselines.linear.model.settings,
        overfit=judge_overfit(metrics["train"].accuracy, metrics["validation"].accuracy, training.overfit_gap),
        elmo=elmo,
        mixture=embedding.mixture() if isinstance(embedding, ElmoEmbedding) else None,
        seconds_per_epoch=trainer.seconds / trainer.epoch,
        seconds_trained=trainer.seconds,
        checkpoint_seconds=trainer.save_seconds,
        weights_sha256=weights_sha256(trainer.early_stopping.best_weights),
        metrics_sha256=trainer.log.sha256,
        files_sha256={path.name: sha256_of(path) for path in run.run_dir.hashed_files if path.exists()},
    )


def _models(
    run: RunContext,
    trainer: Trainer[ClassifierTask],
    temperatures: dict[Recommendation, float],
    baselines: Baselines,
    elmo: ElmoRecord | None,
) -> list[TextModel]:
    """The models of the run, as they will read texts when it is completed."""
    device, vocabulary = trainer.device, trainer.task.data.vocabulary
    encoder = encoder_of(run.config, elmo, run.results, device)
    network = NetworkModel(run.config, vocabulary, trainer.model, encoder, device, temperatures["network"])
    baseline = BaselineModel(run.config, baselines.linear.model, temperatures["baseline"])
    both = MeanModel(BOTH, [network, baseline], temperatures["both"])
    return [network, baseline, both, LexiconModel(run.config)]


def recommend(network: Metrics, baseline: Metrics, both: Metrics) -> Recommendation:
    """What is most accurate on validation tweets; of equally accurate ones what has the lower loss."""
    found: dict[Recommendation, Metrics] = {"network": network, "baseline": baseline, "both": both}
    return max(found, key=lambda name: (found[name].accuracy, -found[name].loss))


def _write_predictions(
    run_dir: RunDir,
    data: TrainingData,
    scores: dict[Part, dict[Recommendation, Probabilities]],
    baselines: Baselines,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [part for part in scores if part != "train"]
    rows = np.concatenate([data.rows[part] for part in parts])
    table = pa.table(
        {
            "part": pa.array(np.repeat(parts, [len(data.rows[part]) for part in parts])).dictionary_encode(),
            "row": rows,
            "label": data.store.labels_of(rows),
            **{
                column: np.concatenate([scores[part][model] for part in parts]).astype(np.float32)
                for column, model in PREDICTION_COLUMNS.items()
            },
            "lexicon": baselines.lexicon[rows],
        }
    )
    run_dir.write(run_dir.predictions_file, lambda file: pq.write_table(table, file))


def _write_attention(run_dir: RunDir, trainer: Trainer[ClassifierTask], temperature: float) -> None:
    """Write sample test tweets with the weight of each token in each hop, for the heat maps of the report."""
    corpus, store = trainer.task.data.corpus, trainer.task.data.store
    rows = trainer.task.data.rows["test"]
    sample = np.sort(np.random.default_rng(0).permutation(rows)[:_ATTENTION_SAMPLES])
    lines = []
    for row in sample:
        batch = store.epoch(np.array([row]), 1, 0, 0)[0]
        attention = attention_of(trainer.model, batch)
        if attention is None:
            return
        score = float(calibrated(predict(trainer.model, store, np.array([row])), temperature)[0])
        weights = [[round(weight, 4) for weight in hop] for hop in attention[0].tolist()]
        sample_row = {"row": int(row), "label": int(corpus.labels[row]), "score": score}
        lines.append(json.dumps(sample_row | {"tokens": corpus.tokens(row), "weights": weights}) + "\n")
    run_dir.write(run_dir.attention_file, lambda file: file.write("".join(lines).encode()))


_BYTES_PER_WEIGHT = 4


def run_experiment(run: RunContext) -> Stop | None:
    """Train a run in its directory, from its newest checkpoint if there is one. A completed run is left as it is.

    Returns:
        None if the run is completed, else the reason why it saved and stopped; the same call then resumes it.

    Raises:
        TakenOverError: another process has begun a later attempt.
        SentimentError: anything that a user can mend; everything that was saved before stays valid.
        OSError: the outcome cannot be written, on a full disk for example; likewise.
    """
    if (stop := _train_language_model(run)) is not None:
        return stop
    elmo_model = find_elmo_of(run.config, run.results)
    run = replace(run, config=run.run_dir.create(run.config))
    with ProcessLock(run.run_dir.lock_file):
        run = replace(run, run_dir=replace(run.run_dir, attempt=AttemptFolder(run.run_dir.path)))
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
    from sentiment.training.pretraining import run_pretraining  # few runs need the language model's code

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
