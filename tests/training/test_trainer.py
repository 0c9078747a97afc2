"""Training as such: a known curve, divergence that is told, mixed precision refused where it is not to be had."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from sentiment.answers.recommendation import recommend_model
from sentiment.answers.table import AnswerTable
from sentiment.console import silent
from sentiment.data.corpus import prepare_corpus
from sentiment.errors import ConfigError, DivergedError, UsageError
from sentiment.models.text_model import calibrated
from sentiment.predicting.stored import open_stored
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, StepRow
from sentiment.runs.run_dir import TWEETS_FILE, Results, RunDir
from sentiment.statistics.metrics import with_first_class
from sentiment.training import publishing
from tests.conftest import MakeExperiment
from tests.small_runs import TWEETS, Digest, Experiment, invented_tweets, small_config, write_tweets

GOLDEN = Path(__file__).with_name("golden") / "loss_curve.json"
REWRITE = "GOLDEN=rewrite .venv/bin/python -m pytest tests/training/test_trainer.py -k golden"


def test_first_twenty_steps_follow_the_golden_loss_curve(experiment: MakeExperiment) -> None:
    run = experiment(training__log_every=1, training__epochs=2, model__layers=2)
    curve = _losses(run)[:20]
    if os.environ.get("GOLDEN") == "rewrite":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(curve, indent=2) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert curve == pytest.approx(golden, rel=1e-4), f"if training is meant to have changed: {REWRITE}"


RUNS_AWAY: dict[str, Any] = {"model__kind": "feed_forward", "model__pooling": "mean", "training__optimizer": "sgd"}
RUNS_AWAY |= {"training__learning_rate": 1e30, "training__clip": None}


@pytest.mark.parametrize("log_every", [1, 1000])
def test_divergence_is_told_and_the_attempt_has_failed(experiment: MakeExperiment, log_every: int) -> None:
    run = experiment(**RUNS_AWAY, training__log_every=log_every)
    with pytest.raises(DivergedError, match=r"the loss is (nan|inf) at step \d+ .*training\.learning_rate = 1e\+30"):
        run.attempt()
    assert run.record.attempts[-1].reason == "failed"
    assert "DivergedError" in str(run.record.attempts[-1].detail)
    assert not run.run_dir.completed


def test_weights_that_end_as_no_numbers_are_told(experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of a step is taken before its update, so an epoch's last update shows in the evaluation only.

    Which overflow ends as infinity and which as no number differs between processors, so that no learning rate will do.
    """

    def step(self: torch.optim.SGD) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.fill_(torch.nan)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    run = experiment(training__optimizer="sgd", training__batch_size=1000, training__log_every=1)
    with pytest.raises(DivergedError, match=r"the probabilities are not finite at step 1 .*learning_rate"):
        run.attempt()


def test_what_needs_a_gpu_is_refused_without_one(experiment: MakeExperiment) -> None:
    with pytest.raises(ConfigError, match=r"training\.precision = 'bf16' needs a CUDA GPU; valid .*: fp32"):
        experiment(training__precision="bf16").attempt()
    with pytest.raises(UsageError, match=r"runtime\.device = 'cuda:63': is not on this machine; valid: auto, cpu"):
        experiment(runtime__device="cuda:63").attempt()


def test_logged_loss_is_the_mean_over_the_steps_since_the_last_row(experiment: MakeExperiment) -> None:
    each, thirds = (_losses(experiment(training__epochs=1, training__log_every=every)) for every in (1, 3))
    means = [sum(each[start : start + 3]) / len(each[start : start + 3]) for start in range(0, len(each), 3)]
    assert thirds == pytest.approx(means)


def test_penalty_of_attention_is_minimised_and_not_logged(experiment: MakeExperiment) -> None:
    changes: dict[str, Any] = {"model__pooling": "attention", "training__epochs": 1, "training__log_every": 1}
    with_penalty, without = (_losses(experiment(**changes, model__attention__penalty=one)) for one in (9.0, 0.0))
    assert with_penalty[0] == without[0]
    assert with_penalty[-1] != without[-1]


def _losses(run: Experiment) -> list[float]:
    run.complete()
    return [row.loss for row in run.run_dir.read_metrics() if isinstance(row, StepRow)]


@pytest.mark.slow
def test_outcome_agrees_with_the_log_and_with_the_files(experiment: MakeExperiment) -> None:
    import pandas as pd

    run = experiment(model__pooling="attention", training__epochs=10, training__learning_rate=0.1)
    digest = run.complete()
    result = run.result
    epochs, _ = run.run_dir.read_epochs()
    best = epochs[result.best_epoch - 1]
    assert best.best
    by_part = [min(epochs, key=lambda row: row.metrics[part].loss).epoch for part in ("validation", "train")]
    assert by_part[0] == result.best_epoch
    assert by_part[0] not in (by_part[1], len(epochs)), "else it is not seen what the best epoch and its weights are"
    for part in ("validation", "train"):
        measured, logged = result.metrics[part].model_dump(), best.metrics[part].model_dump()
        assert measured.pop("loss") == pytest.approx(logged.pop("loss"), rel=0.2)  # calibrated, and as it was trained
        assert measured == logged
    assert result.weights_sha256 == digest.best
    assert result.files_sha256["metrics.jsonl"] == digest.metrics
    table = pd.read_parquet(run.run_dir.predictions_file)
    columns = [f"{kind}_positive" for kind in PREDICTORS]
    assert list(table.columns) == ["part", "tweet", "label", *columns]
    test = table[table.part == "test"]
    assert len(test) == result.metrics["test"].n
    assert ((test.network_positive >= 0.5) == (test.label == 1)).mean() == pytest.approx(
        result.metrics["test"].accuracy
    )
    mean = (test.network_positive + test.baseline_positive).to_numpy(float) / 2
    both = calibrated(with_first_class(mean[:, None]), result.temperatures["both"])
    assert test.both_positive.to_numpy() == pytest.approx(both[:, 1], abs=1e-6)
    assert result.scores.keys() == PREDICTORS.keys()
    for kind in MODEL_KINDS:
        metrics = result.scores[kind]
        probabilities = test[f"{kind}_positive"]
        said = probabilities.where(test.label == 1, 1 - probabilities)
        assert -np.log(said).mean() == pytest.approx(metrics["test"].loss, rel=1e-4), kind
    lines = [json.loads(line) for line in run.run_dir.attention_file.read_text().splitlines()]
    assert 0 < len(lines) <= 40
    for line in lines:
        for hop in line["weights"]:
            assert len(hop) == len(line["tokens"])
            assert sum(hop) == pytest.approx(1, abs=0.01)


def _finished(folder: Path, name: str, tweets: list[tuple[int, str]]) -> tuple[Experiment, Digest]:
    config = small_config(write_tweets(folder / f"{name}.csv", tweets))
    run = Experiment(config, Results(folder / f"results of {name}"), RunDir(folder / name))
    return run, run.complete()


@pytest.mark.slow
def test_turned_labels_of_test_tweets_change_test_scores_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of networks, of the baseline, of the mean of both and the lexicon."""
    tweets = invented_tweets(TWEETS)
    judged: list[AnswerTable] = []
    recommend = recommend_model
    monkeypatch.setattr(
        publishing, "recommend_model", lambda part, metric: judged.append(part) or recommend(part, metric)
    )
    first, digest = _finished(tmp_path, "first", tweets)
    corpus = prepare_corpus(first.config.data, first.results, silent)
    tested = {*pq.read_table(corpus.path / TWEETS_FILE)["text"].take(corpus.rows("test")).to_pylist()}
    turned, other_digest = _finished(tmp_path, "turned", [(label ^ (text in tested), text) for label, text in tweets])
    for kind, before in first.result.scores.items():
        after = turned.result.scores[kind]
        assert (before["train"], before["validation"]) == (after["train"], after["validation"]), kind
        assert after["test"].accuracy == pytest.approx(1 - before["test"].accuracy), kind
    assert digest == other_digest
    assert judged[0].has_tweets_of(judged[1])
    for chosen in ("best_epoch", "overfit", "temperatures", "baseline_settings", "recommended"):
        assert getattr(first.result, chosen) == getattr(turned.result, chosen)
    assert open_stored(first.run_dir.path).model().name == open_stored(turned.run_dir.path).model().name
