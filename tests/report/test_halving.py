"""A search in rungs in the report: what it spent, who got how far, and nothing that compares what does not."""

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from report.build import build_report
from report.questions.rungs import analyse_halving, compare_budgets, expected_best
from report.read.load import Grid, load_study
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import read_rungs
from tests.report.made_up import Study, attempt, new_record

pytestmark = pytest.mark.slow

RATES = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003]
DROPOUTS = [0.0, 0.1, 0.2, 0.3, 0.4]


@dataclass(frozen=True)
class HalvedStudy:
    """Thirty trials of which ten went on to epoch 2 and four of these to the end, beside a full search."""

    results: Results
    report: str
    tables: Path

    def table(self, name: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = json.loads((self.tables / f"{name}.json").read_text())
        return rows

    def grid(self, name: str) -> Grid:
        return next(grid for grid in load_study(self.results, []).grids if grid.name == name)


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> HalvedStudy:
    results = Results(tmp_path_factory.mktemp("halved"))
    write_halved(Study(results))
    folder = tmp_path_factory.mktemp("report")
    build_report(results, [], folder)
    return HalvedStudy(results, (folder / "report.md").read_text(encoding="utf-8"), folder / "tables")


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


def test_epochs_spent_and_rungs_are_told(halved: HalvedStudy) -> None:
    found = analyse_halving(halved.grid("halving"))
    assert found is not None
    assert (found.epochs, found.full_epochs) == (20 * 1 + 6 * 2 + 4 * 4, 30 * 4)
    assert len(found.pruned) == 26
    assert "48 epochs were trained, 40.0 % of the 120 that all 30 trials take to their end" in halved.report
    assert "After epoch 1 the best 10 of 30 trials went on." in halved.report
    tie = "5 of 10 equal, ordered as in the plan"  # the trials with one learning rate are equally good
    assert f"After epoch 2 the best 4 of 10 trials went on; {tie}." in halved.report
    assert "What pruning may have missed: 26 trials ended before the last epoch" in halved.report


def test_pruned_trials_are_in_the_table_and_never_among_the_completed(halved: HalvedStudy) -> None:
    rows = halved.table("rungs-halving")
    assert [row["rung"] for row in rows] == [2] * 4 + [1] * 6 + [0] * 20
    assert [row["state"] for row in rows] == ["completed"] * 4 + ["pruned"] * 26
    assert [row["place"] for row in rows[4:]] == [*range(5, 11), *range(11, 31)]
    assert len(halved.table("best-halving")) == 4
    assert "26 of 60 runs were pruned by a search" in halved.report
    assert not (halved.tables / "unfinished.json").exists()


def test_importance_rests_on_a_score_that_all_trials_have(halved: HalvedStudy) -> None:
    assert "Share of the variance of validation accuracy after epoch 1 that each parameter explains" in halved.report
    assert "Grid halving, n = 30 trials: one line a trial, from its settings to its validation accuracy after" in (
        halved.report
    )
    assert "Share of the variance of validation F1 that" in halved.report  # of the full search


def test_budgets_of_searches_on_the_same_tweets_are_compared(halved: HalvedStudy) -> None:
    grids = [halved.grid(name) for name in ("full", "halving")]
    (comparison,) = compare_budgets([(grid, analyse_halving(grid)) for grid in grids])
    assert comparison.metric == "validation/accuracy"
    full, rungs = comparison.curves
    assert (full.expected, rungs.expected) == (True, False)
    assert [epochs for epochs, _ in full.points] == [4 * number for number in range(1, 31)]
    assert [epochs for epochs, _ in rungs.points] == [30, 40, 48]
    assert "the estimator of Dodge et al. 2019" in halved.report
    assert "full (expected, n = 30)" in next(halved.tables.parent.rglob("budget-1.svg")).read_text()


def test_expected_best_is_the_mean_over_all_draws() -> None:
    scores = [0.5, 0.7, 0.6]
    found = expected_best(scores)
    assert found[0] == pytest.approx(0.6)
    assert found[1] == pytest.approx(sum(max(pair) for pair in product(scores, repeat=2)) / 9)
    assert found[2] == pytest.approx(sum(max(three) for three in product(scores, repeat=3)) / 27)
