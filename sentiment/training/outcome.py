"""What a finished run leaves: weights, predictions, attention samples and, last of all, the result."""

import hashlib
import json
from typing import Any

import numpy as np

from sentiment.config import RunConfig
from sentiment.data.batches import Rows
from sentiment.data.corpus.corpus import Corpus
from sentiment.files import write_atomically
from sentiment.models.baseline import Baseline
from sentiment.models.elmo_embedding import ElmoEmbedding
from sentiment.records import ElmoRecord, Metrics, Part, Result
from sentiment.run_dir import RunDir
from sentiment.training.checkpoint import write_checkpoint
from sentiment.training.digest import weights_sha256
from sentiment.training.evaluation import attention_of, predict
from sentiment.training.metrics import Probabilities, judge_overfit, measure
from sentiment.training.trainer import Trainer

_ATTENTION_SAMPLES = 40


def write_outcome(
    run_dir: RunDir,
    config: RunConfig,
    trainer: Trainer,
    corpus: Corpus,
    vocabulary_size: int,
    baseline: Baseline,
    elmo: ElmoRecord | None,
) -> None:
    """Measure the best epoch's weights on all parts and write everything down, `result.json` last.

    Raises:
        OSError: the disk refuses it; the run is then not completed, and the same call later makes it good.
    """
    last = {name: tensor.detach().cpu().clone() for name, tensor in trainer.model.state_dict().items()}
    best = trainer.early_stopping.best_weights
    trainer.model.load_state_dict(best)
    scores: dict[Part, Probabilities] = {}
    for part, rows in _measured_rows(trainer).items():
        scores[part] = predict(trainer.model, trainer.data.store, rows)
    _write_predictions(run_dir, trainer, scores, baseline)
    _write_attention(run_dir, trainer, corpus)
    write_checkpoint(run_dir.best_weights, {"weights": best, "epoch": trainer.early_stopping.best_epoch})
    write_checkpoint(run_dir.last_weights, {"weights": last, "epoch": trainer.epoch})
    run_dir.write_result(_result(run_dir, config, trainer, vocabulary_size, scores, baseline, elmo))
    trainer.checkpoints.delete_all()


def _measured_rows(trainer: Trainer) -> dict[Part, Rows]:
    """All rows of each part; of the training part the sample on which the curves were measured."""
    return trainer.data.rows | {"train": trainer.data.train_sample}


def _result(
    run_dir: RunDir,
    config: RunConfig,
    trainer: Trainer,
    vocabulary_size: int,
    scores: dict[Part, Probabilities],
    baseline: Baseline,
    elmo: ElmoRecord | None,
) -> Result:
    metrics: dict[Part, Metrics] = {}
    baselines: dict[Part, Metrics] = {}
    combinations: dict[Part, Metrics] = {}
    for part, rows in _measured_rows(trainer).items():
        labels = trainer.data.store.labels_of(rows)
        linear = baseline.probabilities[rows].astype(np.float64)
        metrics[part] = measure(labels, scores[part])
        baselines[part] = measure(labels, linear)
        combinations[part] = measure(labels, (scores[part] + linear) / 2)
    embedding = trainer.model.embedding
    epochs = [row for row in run_dir.read_metrics() if row["kind"] == "epoch"]
    return Result(
        run_id=config.run_id,
        stopped_by="early stopping" if trainer.early_stopping.should_stop else "all epochs",
        epochs=trainer.epoch,
        steps=trainer.step,
        best_epoch=trainer.early_stopping.best_epoch,
        parameters=sum(parameter.numel() for parameter in trainer.model.trainable_parameters()),
        vocabulary_size=vocabulary_size,
        metrics=metrics,
        baseline=baselines,
        combination=combinations,
        baseline_settings=baseline.settings,
        overfit=judge_overfit(metrics["train"].accuracy, metrics["validation"].accuracy, config.training.overfit_gap),
        elmo=elmo,
        mixture=embedding.mixture() if isinstance(embedding, ElmoEmbedding) else None,
        epochs_to_accuracy=_epochs_to_accuracy(epochs, config.training.accuracies),
        seconds_per_epoch=trainer.seconds / trainer.epoch,
        seconds_trained=trainer.seconds,
        checkpoint_seconds=trainer.save_seconds,
        weights_sha256=weights_sha256(trainer.early_stopping.best_weights),
        metrics_sha256=hashlib.sha256(run_dir.metrics_file.read_bytes()).hexdigest(),
    )


def _epochs_to_accuracy(epochs: list[dict[str, Any]], accuracies: tuple[float, ...]) -> dict[str, int | None]:
    """The first epoch whose validation accuracy reached each value; None where none did."""
    return {
        f"{wanted:g}": next((row["epoch"] for row in epochs if row["validation"]["accuracy"] >= wanted), None)
        for wanted in accuracies
    }


def _write_predictions(
    run_dir: RunDir, trainer: Trainer, scores: dict[Part, Probabilities], baseline: Baseline
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [part for part in scores if part != "train"]
    rows = np.concatenate([trainer.data.rows[part] for part in parts])
    table = pa.table(
        {
            "part": pa.array(np.repeat(parts, [len(trainer.data.rows[part]) for part in parts])).dictionary_encode(),
            "row": rows,
            "label": trainer.data.store.labels_of(rows),
            "score": np.concatenate([scores[part] for part in parts]).astype(np.float32),
            "baseline": baseline.probabilities[rows],
        }
    )
    write_atomically(run_dir.predictions_file, lambda file: pq.write_table(table, file))


def _write_attention(run_dir: RunDir, trainer: Trainer, corpus: Corpus) -> None:
    """Sample test tweets with the weight of each token in each hop, for the report's heat maps."""
    rows = trainer.data.rows["test"]
    sample = np.sort(np.random.default_rng(0).permutation(rows)[:_ATTENTION_SAMPLES])
    lines = []
    for row in sample:
        batch = trainer.data.store.epoch(np.array([row]), 1, 0, 0)[0]
        attention = attention_of(trainer.model, batch)
        if attention is None:
            return
        score = float(predict(trainer.model, trainer.data.store, np.array([row]))[0])
        weights = [[round(weight, 4) for weight in hop] for hop in attention[0].tolist()]
        sample_row = {"row": int(row), "label": int(corpus.labels[row]), "score": score}
        lines.append(json.dumps(sample_row | {"tokens": corpus.tokens(row), "weights": weights}) + "\n")
    write_atomically(run_dir.attention_file, lambda file: file.write("".join(lines).encode()))
