"""Language models in the report: perplexities by tokens, all lives as one model, and where the model pays."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from report.build import build_report
from report.compare.findings import Findings, analyse
from report.questions.own_elmo import own_elmo, own_elmo_gains
from report.read.load import load_study
from report.render.blocks import Block, Bullets, Figure
from sentiment.config_file import resolve
from sentiment.files import write_json
from sentiment.runs.pretrained import PretrainedCard, PretrainedDir, read_own_models
from sentiment.runs.records import Attempt, RunRecord
from sentiment.runs.run_dir import Results
from tests.report.chart_checks import axes_ascend, rows_with
from tests.report.made_up import Study

_MOMENT = "2026-03-04T10:00:00+00:00"
_HERE: dict[str, Any] = {"host": "node", "pid": 1, "job": "7_0", "restart_count": 0}
_HERE |= {"code": "c", "environment": "e", "device": "cpu", "threads": 1}
_CARD: dict[str, Any] = {
    "model": "pretrained/tweet",
    "fingerprint": "f",
    "source": "tweets.csv",
    "training_tweets": 100,
    "held_out_tweets": 10,
    "unlabelled": {},
    "init": None,
    "words": 777,
    "unknown": 0.05,
    "parameters": 2_860_048,
    "tokens": 1_000_000,
    "steps": 30,
    "forward": 22.2,
    "backward": 18.2,
    "seconds_trained": 60,
    "files_fingerprint": "f",
}


def _attempt(first: int, reason: Any) -> Attempt:
    ended = {"start": _MOMENT, "end": _MOMENT, "reason": reason}
    return Attempt.model_validate(_HERE | ended | {"first_step": first, "last_step": first + 10})


def _write_model(results: Results, name: str, epochs: int, completed: bool) -> PretrainedDir:
    run_dir = PretrainedDir(results.pretrained / name)
    run_dir.path.mkdir(parents=True)
    config = resolve({}, {"elmo.model": "pretrained/tweet"}, "a test")
    write_json(run_dir.config_file, config.model_dump(mode="json"))
    lives = [_attempt(0, "deadline"), _attempt(10, "deadline"), *([_attempt(20, "completed")] if completed else [])]
    record: dict[str, Any] = {"run_id": config.run_id, "config_fingerprint": config.fingerprint()}
    record |= {
        "data_fingerprint": "d",
        "dataset": "table",
        "git_commit": None,
        "git_dirty": None,
        "versions": {},
        "command": [],
    }
    run_dir.write_record(RunRecord(**record, attempts=lives))
    rows = [
        {"kind": "epoch", "step": 10 * epoch, "epoch": epoch, "tokens": 1_000_000 * epoch}
        | {"held_out": {"n": 9, "loss": 6 - epoch, "forward": 6.1 - epoch, "backward": 5.9 - epoch}}
        for epoch in range(1, epochs + 1)
    ]
    run_dir.metrics_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if completed:
        run_dir.write_card(PretrainedCard(**_CARD, epochs=epochs, best_epoch=epochs))
    return run_dir


def _blocks(findings: Findings) -> list[Block]:
    (card,) = own_elmo(findings).cards
    return card.blocks


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A grid in which the model helps with few labels only."""
    study = Study(Results(tmp_path / "results"))
    runs: list[dict[str, Any]] = [
        {"data.train_rows": rows, "elmo.model": model, "seed": seed}
        for rows in (100, None)
        for model in ("none", "pretrained/tweet")
        for seed in (1, 2)
    ]
    parameters: dict[str, list[Any]] = {"data.train_rows": [100, None], "elmo.model": ["none", "pretrained/tweet"]}
    for config in study.write_grid("own", "Does it pay?", parameters, runs):
        helps = config.elmo is not None and config.data.train_rows == 100
        study.complete(config, "own", skill=4.0 if helps else 0.5)
    return study


@pytest.mark.slow
def test_models_are_told_with_their_perplexities_and_all_lives_as_one(study: Study) -> None:
    _write_model(study.results, "tweet-a", 3, completed=True)
    _write_model(study.results, "tweet-b", 2, completed=False)
    (first, second), _ = read_own_models(study.results)
    assert (first.attempts, first.state.state) == (3, "COMPLETED")
    assert [point.tokens for point in first.points] == [1_000_000, 2_000_000, 3_000_000]
    assert first.points[-1].forward == pytest.approx(22.2, abs=0.01)
    assert (second.attempts, second.state.state, second.card) == (2, "TIMEOUT", None)
    build_report(study.results, [], study.results.report)
    text = (study.results.report / "report.md").read_text()
    assert "Language models and the perplexity" in text
    assert "22.2" in text
    assert "2,860,048" in text


def test_model_is_compared_with_runs_that_differ_in_nothing_else_by_number_of_labels(study: Study) -> None:
    found = analyse(load_study(study.results, []))
    few, every = own_elmo_gains(found.study.grids, found.answers)
    assert (few.labels, every.labels, few.runs) == (100, None, 2)
    assert few.gap.value == pytest.approx(few.accuracy - few.without)
    assert few.gap.value > 0.1
    sentences = next(block for block in _blocks(found) if isinstance(block, Bullets)).items
    assert sentences[0].startswith("Grid own, at most 100 labels: the own model brings +")
    assert "is not shown to differ from zero" not in sentences[0]


def test_report_without_own_models_has_no_such_card(tmp_path: Path) -> None:
    study = Study(Results(tmp_path / "results"))
    study.complete(resolve({"data": {"source": "invented.csv"}}, {}, "a test"))
    assert not own_elmo(analyse(load_study(study.results, []))).cards


def test_a_damaged_model_is_a_problem_and_no_end_of_the_report(study: Study) -> None:
    run_dir = _write_model(study.results, "tweet-a", 3, completed=True)
    run_dir.metrics_file.write_text('{"kind": "epoch", "step": 1, "epoch": 1}\n')
    found = own_elmo(analyse(load_study(study.results, [])))
    assert any("is not the log of a language model" in problem for problem in found.problems)


def test_a_card_that_lacks_a_direction_of_the_perplexity_is_a_problem(study: Study) -> None:
    run_dir = _write_model(study.results, "tweet-a", 3, completed=True)
    card = json.loads(run_dir.card_file.read_text())
    del card["perplexity"]["backward"]
    run_dir.card_file.write_text(json.dumps(card))
    found = own_elmo(analyse(load_study(study.results, [])))
    assert any("perplexity.backward" in problem for problem in found.problems), found.problems


def test_chart_draws_the_perplexities_of_the_logs_and_each_in_its_direction(study: Study) -> None:
    models = [_write_model(study.results, name, 3, completed=True) for name in ("tweet-a", "tweet-b")]
    blocks = _blocks(analyse(load_study(study.results, [])))
    (figure,) = (block for block in blocks if isinstance(block, Figure))
    axes_ascend(figure.spec)
    drawn = sorted(
        (row["x"], row["line"].rsplit(", ", 1)[1], row["value"]) for row in rows_with(figure.spec, "line", "x", "value")
    )
    logged = [json.loads(line) for model in models for line in model.metrics_file.read_text().splitlines()]
    expected = sorted(
        (row["tokens"] / 1e6, direction, math.exp(row["held_out"][direction]))
        for row in logged
        for direction in ("forward", "backward")
    )
    assert [row[:2] for row in drawn] == [row[:2] for row in expected]
    assert [row[2] for row in drawn] == pytest.approx([row[2] for row in expected])
