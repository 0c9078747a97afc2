"""A search in rungs in the report: what it spent, who got how far, and nothing that compares what does not."""

import json
from itertools import product
from pathlib import Path

import pytest

from report.build import build_report
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import read_rungs
from tests.report.made_up import Study, attempt, new_record
from tests.report.written import read_table

pytestmark = pytest.mark.slow

RATES = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003]
DROPOUTS = [0.0, 0.1, 0.2, 0.3, 0.4]


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of thirty trials of which ten went on to epoch 2 and four to the end, beside a full search."""
    results = Results(tmp_path_factory.mktemp("halved"))
    write_halved(Study(results))
    folder = tmp_path_factory.mktemp("report")
    build_report(results, [], folder)
    return folder


def write_halved(study: Study) -> None:
    """The grids `halving` and `full`, whose better trials have higher learning rates."""
    parameters = {"training.learning_rate": RATES, "model.dropout": DROPOUTS}
    runs = [{"training.learning_rate": rate, "model.dropout": dropout} for rate, dropout in product(RATES, DROPOUTS)]
    metric = {"method": "random", "metric": "validation/accuracy"}
    for config in study.write_grid("full", "Which are best, all to the end?", parameters, runs, **metric):
        study.complete(config, "full", skill=0.5 + 200 * config.training.learning_rate)
    halving = {"epochs": [1, 2], "eta": 3.0, "strict": True}
    configs = study.write_grid("halving", "Which are best?", parameters, runs, **metric, halving=halving)
    for config in configs:
        _pause(study, config, 1)
    for epochs in (2, None):
        plan = study.results.read_grid("halving")
        assert plan is not None
        rungs = read_rungs(study.results, plan)
        assert rungs is not None
        rungs = rungs.settle()
        for config in configs:
            if config.run_id in rungs.trials(rungs.current):
                _pause(study, config, epochs)


def _pause(study: Study, config: object, epochs: int | None) -> None:
    from sentiment.config import RunConfig

    assert isinstance(config, RunConfig)
    run_dir = study.complete(config, "halving", skill=0.5 + 200 * config.training.learning_rate)
    if epochs is None:
        return
    run_dir.result_file.unlink()
    rows = [row for row in run_dir.read_metrics() if row["epoch"] <= epochs]
    run_dir.metrics_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_dir.write_record(new_record(config, attempts=[attempt(reason="paused", last_step=10 * epochs)]))


def test_epochs_spent_and_rungs_are_told(halved: Path) -> None:
    text = (halved / "report.md").read_text(encoding="utf-8")
    epochs = 20 * 1 + 6 * 2 + 4 * 4
    assert f"{epochs} epochs were trained, 40.0 % of the 120 that all 30 trials take to their end" in text
    assert "After epoch 1 the best 10 of 30 trials went on." in text
    tie = "5 of 10 equal, ordered as in the plan"  # the trials with one learning rate are equally good
    assert f"After epoch 2 the best 4 of 10 trials went on; {tie}." in text


def test_pruned_trials_stand_among_the_runs_and_never_among_the_completed(halved: Path) -> None:
    rows = [row for row in read_table(halved, "runs") if row["grid"] == "halving"]
    assert sorted(row["state"] for row in rows) == ["completed"] * 4 + ["pruned"] * 26
    assert len(read_table(halved, "best-halving")) == 4


def test_importance_rests_on_a_score_that_all_trials_have(halved: Path) -> None:
    text = (halved / "report.md").read_text(encoding="utf-8")
    assert "Share of the variance of validation accuracy after epoch 1 that each parameter explains" in text
    assert "n = 30 trials: one line each, from its settings to its validation accuracy after epoch 1" in text
    assert "Share of the variance of validation F1 that" in text  # of the full search
