"""What a finished run writes: weights, predictions, samples of attention and, last of all, the result."""

import json
from dataclasses import dataclass

import numpy as np

from sentiment.files import sha256_of
from sentiment.models.calibration import Probabilities, as_used, calibrated, fit_temperature, fit_temperatures
from sentiment.models.check_list import check
from sentiment.models.embedding import ElmoEmbedding
from sentiment.models.evaluation import attention_of, predict
from sentiment.models.network import Predictor, encoder_of
from sentiment.models.text_model import BaselinePredictor, TextModel, models_of_a_run
from sentiment.records import PREDICTION_COLUMNS, ElmoRecord, Metrics, Part, Recommendation, Result
from sentiment.run_dir import RunDir
from sentiment.training.context import RunContext
from sentiment.training.loop.checkpoint import weights_sha256, write_checkpoint
from sentiment.training.loop.trainer import Trainer
from sentiment.training.preparing import Baselines, TrainingData
from sentiment.training.tasks.classifying import ClassifierTask
from sentiment.training.tasks.metrics import judge_overfit, measure

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
        baseline_settings=baselines.linear.settings,
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
    network = Predictor(run.config, vocabulary, trainer.model, encoder, device, temperatures["network"])
    baseline = BaselinePredictor(run.config, baselines.linear.model, temperatures["baseline"])
    return models_of_a_run(network, baseline, temperatures["both"])


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
