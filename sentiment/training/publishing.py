"""The results of a trained run: predictions, metrics, weights and `result.json`, which marks it as completed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sentiment.answers.recommendation import recommend_model
from sentiment.answers.table import AnswerTable, Predictor, columns_of
from sentiment.data.vocabulary import Vocabulary
from sentiment.files import sha256_of
from sentiment.models.baseline import BaselineModel, Baselines, LinearModel
from sentiment.models.classifier import FrozenEmbedding, NetworkModel, attention_of, frozen_encoder, predict
from sentiment.models.lexicon import lexicon_probabilities
from sentiment.models.predictors import all_models
from sentiment.models.text_model import (
    ByPredictor,
    Temperatures,
    answer_checks,
    calibrate_all,
    calibrated,
    fit_temperature,
    fit_temperatures,
)
from sentiment.runs.records import (
    PREDICTORS,
    CheckScore,
    FitResult,
    Metrics,
    ModelKind,
    Part,
    PredictorKind,
    Result,
)
from sentiment.runs.run_dir import RunDir
from sentiment.statistics.metrics import with_first_class
from sentiment.tokens import Rows
from sentiment.training.checkpoint import Weights, copied_weights, delete_checkpoints, weights_sha256, write_weights
from sentiment.training.preparation import Prepared
from sentiment.training.stop import RunContext
from sentiment.training.task import ClassifierTask, judge_overfit
from sentiment.training.trainer import Trainer


@dataclass(frozen=True)
class _Predictions:
    """The predictions of all predictors.

    Attributes:
        parts: the tweets of each part with the predictors' probabilities; those of models are calibrated.
        kinds: those of the predictors, in table order.
        temperatures: of the models.
        class_shares: the share of each class among the training tweets.
    """

    parts: dict[Part, AnswerTable]
    kinds: list[PredictorKind]
    temperatures: Temperatures
    class_shares: list[float]


@dataclass(frozen=True)
class ModelsInMemory:
    """The models that `fit_models` trains; a model that was not asked for is None.

    Attributes:
        weights: of the network at its best epoch.
    """

    result: FitResult
    weights: Weights
    vocabulary: Vocabulary
    baseline: LinearModel | None


def fitted_models(
    run: RunContext, prepared: Prepared, trainer: Trainer, baseline: LinearModel | None
) -> ModelsInMemory:
    """The models of a trainer and a baseline, calibrated on validation tweets, by which one of them is recommended."""
    task = trainer.task
    best = trainer.state.early_stopping.best_weights
    task.model.load_state_dict(best)
    rows = task.rows["validation"]
    labels = task.corpus.labels[rows]
    network = predict(task.model, task.store, rows)
    temperatures: Temperatures = {"network": fit_temperature(labels, network)}
    probabilities: ByPredictor = {"network": calibrated(network, temperatures["network"])}
    recommended: ModelKind = "network"
    if baseline is not None:
        linear = baseline.classify(task.corpus.take(rows)).probabilities
        temperatures = fit_temperatures(labels, network, linear)
        probabilities = calibrate_all(network, linear, temperatures)
    validation = _part_predictions(task, rows, probabilities)
    if baseline is not None:
        recommended = recommend_model(validation, run.config.training.early_stopping.metric)
    result = FitResult(
        recommended=recommended,
        temperatures=temperatures,
        encoder=prepared.encoder_record,
        texts=task.corpus.size,
        validation={predictor.name: predictor.metrics(labels) for predictor in validation.predictors},
    )
    return ModelsInMemory(result, best, task.vocabulary, baseline)


def publish(
    run: RunContext, prepared: Prepared, baselines: Baselines, trainer: Trainer, end: Callable[[], None]
) -> None:
    """Write the results of a run at its best epoch, and `result.json` last; then delete its checkpoints.

    Args:
        end: called just before `result.json` is written.

    Raises:
        Stop: there is a reason to stop; the same is done again from the checkpoint of the last step.
        TakenOverError, OSError: as `RunDir.write`.
    """
    run_dir = run.run_dir
    task = trainer.task
    last = copied_weights(trainer.model)
    best = trainer.state.early_stopping.best_weights
    trainer.model.load_state_dict(best)
    predictions = _predict(run, task, baselines)
    _write_predictions(run_dir, predictions, run.config.data.label_names)
    _write_attention(run_dir, task, predictions.parts["test"])
    task.vocabulary.write(run_dir.vocabulary_file, run_dir.write)
    write_weights(run_dir, run_dir.best_weights, best, trainer.state.early_stopping.best_epoch)
    write_weights(run_dir, run_dir.last_weights, last, trainer.state.epoch)
    run_dir.write(run_dir.baseline_file, lambda file: file.write(baselines.model.to_bytes()))
    result = _result(run, prepared, baselines, trainer, predictions)
    end()
    run_dir.write_record(result)
    delete_checkpoints(run_dir)


def _predict(run: RunContext, task: ClassifierTask, baselines: Baselines) -> _Predictions:
    """Predict all parts, unless there is a reason to stop; temperatures are fitted on the validation part."""
    data = run.config.data
    linear = with_first_class(baselines.later_classes)
    measured = task.measured_rows.items()
    network = {part: predict(task.model, task.store, rows, run.stop.check) for part, rows in measured}
    validation = task.rows["validation"]
    temperatures = fit_temperatures(task.corpus.labels[validation], network["validation"], linear[validation])
    training_labels = task.corpus.labels[task.rows["train"]]
    counts = np.bincount(training_labels, minlength=len(data.label_names))
    class_shares = (counts / len(training_labels)).tolist()
    parts: dict[Part, AnswerTable] = {}
    for part, rows in measured:
        probabilities = calibrate_all(network[part], linear[rows], temperatures)
        if data.is_english:
            probabilities["lexicon"] = lexicon_probabilities(baselines.compound[rows], task.corpus.class_count)
        probabilities["majority"] = np.tile(class_shares, (len(rows), 1))
        parts[part] = _part_predictions(task, rows, probabilities)
    return _Predictions(parts, [*probabilities], temperatures, class_shares)


def _part_predictions(task: ClassifierTask, rows: Rows, probabilities: ByPredictor) -> AnswerTable:
    """The predictions of some rows, rounded as they are stored: so their scores are those of the stored ones."""
    predictors = []
    for kind, predicted in probabilities.items():
        stored = with_first_class(predicted[:, 1:].astype(np.float32))
        predictors.append(Predictor(PREDICTORS[kind], kind, stored))
    return AnswerTable(task.corpus.keys[rows], task.corpus.labels[rows], predictors)


def _result(
    run: RunContext, prepared: Prepared, baselines: Baselines, trainer: Trainer, predictions: _Predictions
) -> Result:
    state = trainer.state
    best = state.early_stopping
    validation = predictions.parts["validation"]
    scores = {kind: _scores(predictions.parts, kind) for kind in predictions.kinds}
    network = scores["network"]
    overfit = judge_overfit(network["train"].accuracy, network["validation"].accuracy)
    recommended = recommend_model(validation, run.config.training.early_stopping.metric)
    check_list = _check_list(run, prepared, baselines.model, trainer, predictions.temperatures)
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    embedding = trainer.model.embedding
    mixture = embedding.mixture_weights() if isinstance(embedding, FrozenEmbedding) else None
    weights = weights_sha256(best.best_weights)
    files = _digests(run.run_dir)
    only_label = validation.of("network").only_class
    return Result(
        run_id=run.config.run_id,
        stopped_by="early stopping" if trainer.should_stop_early else "all epochs",
        epochs=state.epoch,
        steps=state.step,
        best_epoch=best.best_epoch,
        parameters=parameters,
        scores=scores,
        class_shares=predictions.class_shares,
        recommended=recommended,
        temperatures=predictions.temperatures,
        only_label=only_label,
        check_list=check_list,
        baseline_settings=baselines.settings,
        overfit=overfit,
        encoder=prepared.encoder_record,
        mixture=mixture,
        seconds_trained=state.seconds,
        weights_sha256=weights,
        files_sha256=files,
    )


def _scores(parts: dict[Part, AnswerTable], kind: PredictorKind) -> dict[Part, Metrics]:
    return {name: part.of(kind).metrics(part.labels) for name, part in parts.items()}


def _check_list(
    run: RunContext, prepared: Prepared, linear: LinearModel, trainer: Trainer, temperatures: Temperatures
) -> dict[PredictorKind, dict[str, CheckScore]]:
    """The check list's scores of each predictor that reads texts; none if the tweets are not English."""
    config = run.config
    if not config.data.is_english:
        return {}
    task = trainer.task
    # On the CPU, since vectors may fill the GPU's memory, and the sentences are few.
    encoder = prepared.encoder or frozen_encoder(config, prepared.files, torch.device("cpu"))
    network = NetworkModel(config, task.vocabulary, trainer.model, encoder, task.device, temperatures["network"])
    baseline = BaselineModel(config, linear, temperatures["baseline"])
    models = all_models(network, baseline, temperatures["both"])
    return {model.kind: answer_checks(model) for model in models}


def _digests(run_dir: RunDir) -> dict[str, str]:
    """The SHA-256 of the files that belong to the result, by their paths in the run's directory."""
    files = [run_dir.config_file, run_dir.vocabulary_file, run_dir.metrics_file, run_dir.predictions_file]
    files += [run_dir.baseline_file, run_dir.best_weights]
    if run_dir.attention_file.exists():
        files.append(run_dir.attention_file)
    return {str(file.relative_to(run_dir.path)): sha256_of(file) for file in files}


def _write_predictions(run_dir: RunDir, predictions: _Predictions, classes: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = {name: part for name, part in predictions.parts.items() if name != "train"}
    names = np.repeat([*parts], [len(part.labels) for part in parts.values()])
    columns = {"part": pa.array(names).dictionary_encode()} | columns_of(AnswerTable.joined([*parts.values()]), classes)
    run_dir.write(run_dir.predictions_file, lambda file: pq.write_table(pa.table(columns), file))


def _write_attention(run_dir: RunDir, task: ClassifierTask, test: AnswerTable) -> None:
    """Write the attention weights of 40 random test tweets; nothing for a model without attention."""
    rows = task.rows["test"]
    network = test.of("network")
    predicted = network.predicted
    lines = []
    for index in np.sort(np.random.default_rng(0).permutation(len(rows))[:40]):
        (batch,) = task.store.in_order_of_length(rows[index : index + 1])
        attention = attention_of(task.model, batch)
        if attention is None:
            return
        weights = [[round(weight, 4) for weight in hop] for hop in attention[0].tolist()]
        tweet = {
            "tweet": int(test.tweets[index]),
            "label": int(test.labels[index]),
            "predicted": int(predicted[index]),
            "probability": float(network.probabilities[index].max()),
            "tokens": task.corpus.tokens(rows[index]),
            "weights": weights,
        }
        lines.append(f"{json.dumps(tweet)}\n")
    run_dir.write(run_dir.attention_file, lambda file: file.write("".join(lines).encode()))
