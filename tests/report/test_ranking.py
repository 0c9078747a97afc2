"""One ranking of all that was trained, and one rule for what is recommended of it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from report.build import build_report, compose
from report.compare.cost import usage_of
from report.compare.datasets import trained_on_most
from report.compare.findings import Findings
from report.read import load_study
from report.render.page import render_document
from report.sections.answer import caveats, headline
from report.sections.models import rankings
from report.sections.paper import checklist
from sentiment.runs.records import Result, RunRecord
from tests.invented import attempt
from tests.report.made_up import Study
from tests.small_runs import stored


def _rows(findings: Findings) -> list[dict[str, Any]]:
    return [*rankings(findings)[0].rows]


def test_best_baseline_is_recommended_although_its_network_hardly_learns(study: Study) -> None:
    study.single({"data.text.stop_words": "none"}, skill=0.05, linear=5.0)
    study.single({"data.text.stop_words": "all"}, skill=0.8, linear=0.9)
    findings = study.findings()
    best = findings.recommended
    first, *_ = best.ranking
    assert best.model is best.baseline is first
    (row, *_) = _rows(findings)
    assert (row["model"], row["score"]) == ("linear baseline (stop words kept)", pytest.approx(1.0))
    assert headline(best).startswith("**Use the linear baseline.** Stop words kept. ")


def test_less_certain_best_one_does_not_hide_that_another_is_better_than_the_baseline(invented: Study) -> None:
    """The mean of both is best there, and its two seeds differ much."""
    best = invented.findings().recommended
    assert best.ranking[0].kind == "both"
    assert best.model.kind == "network"


def test_added_predictor_is_recommended_by_thirty_validation_answers_and_not_by_29(study: Study) -> None:
    run_dir = study.single({}, skill=0.6, linear=0.3)
    validation = study.parts["validation"]
    tested = range(validation, validation + study.parts["test"])
    for answers in (29, 30):
        study.add(run_dir, "llm", {row: float(row % 2) for row in (*range(answers), *tested)})
        best = study.findings().recommended
        assert (best.added_winner is not None) is (answers == 30)


def test_added_predictor_with_few_test_answers_is_neither_ranked_nor_recommended_nor_drawn(study: Study) -> None:
    run_dir = study.single({}, skill=0.6, linear=0.3)
    validation = study.parts["validation"]
    for answers, is_ranked in ((29, False), (30, True)):
        study.add(run_dir, "llm", {row: float(row % 2) for row in range(validation + answers)})
        findings = study.findings()
        best = findings.recommended
        (row,) = [row for row in _rows(findings) if row["model"].startswith("llm")]
        assert (row["rank"] is not None, best.added_winner is not None) == (is_ranked, is_ranked)
        if not is_ranked:
            said = str(caveats(findings))
            assert "and 29 test tweets, and 30 of each are needed, and test tweets alone select no model" in said
            scale = next(column.scale for column in rankings(findings)[0].columns if column.scale)
            assert scale.high < row["score_high"]


@pytest.mark.parametrize(
    ("of_grid", "of_stopping", "expected"),
    [
        ("validation/accuracy", "macro_recall", "accuracy"),
        ("validation/macro_recall", "accuracy", "macro_recall"),
        ("validation/loss", "macro_recall", "macro_recall"),
        ("validation/loss", "macro_f1", "accuracy"),
    ],
)
def test_metric_is_that_of_the_grid_if_predictors_can_be_compared_by_it(
    study: Study, of_grid: str, of_stopping: str, expected: str
) -> None:
    parameters = {"training.early_stopping.metric": of_stopping}
    (config,) = study.write_grid("rnn", "Which?", [parameters], metric=of_grid)
    study.complete(config, "rnn")
    (grid,) = load_study(study.results, []).grids
    assert grid.metric == expected


def test_data_set_with_the_most_tweets_leads_whatever_the_number_of_runs(study: Study) -> None:
    for fold in (1, 2, 3):
        study.single({"data.folds": 3, "data.fold": fold})
    for seed in range(6):
        study.single({"seed": seed})
    assert [dataset.test_tweets for dataset in study.findings().datasets] == [360, 120]


def test_limit_that_cuts_nothing_leaves_a_configuration_eligible() -> None:
    """Though cleaning may leave it fewer tweets than others have."""
    sizes = [(None, False, 400), (5000, False, 390), (390, True, 390)]
    configurations: list[Any] = [
        SimpleNamespace(
            config=SimpleNamespace(data=SimpleNamespace(train_rows=limit)),
            runs=[SimpleNamespace(is_cut=is_cut, trained_on=number)],
        )
        for limit, is_cut, number in sizes
    ]
    assert trained_on_most(configurations) == configurations[:2]


def test_cross_validated_run_costs_what_all_its_folds_cost_and_takes_as_many_epochs_as_they_in_the_mean(
    study: Study,
) -> None:
    for fold in (1, 2, 3):
        run_dir = study.single({"data.folds": 3, "data.fold": fold})
        run_dir.write_record(stored(run_dir, Result).model_copy(update={"best_epoch": fold + 1}))
    rows = _rows(study.findings())
    assert [row["cpu_seconds"] for row in rows if row.get("seeds")] == [270, 270]  # 90 for each
    assert [row["best_epoch"] for row in rows if row.get("best_epoch")] == [3]


def test_seed_of_the_recommended_run_is_the_best_on_validation_tweets(study: Study) -> None:
    for seed, validation in ((1, 3.0), (2, 2.0)):
        replace(study, skills={"validation": validation}).single({"seed": seed}, skill=1.0 + 2 * (seed - 1), linear=0.1)
    best = study.findings().recommended
    assert best.model.kind == "network"
    assert best.run.config.seed == 1


def test_two_versions_of_an_added_predictor_are_both_named(study: Study) -> None:
    for words, digest in (("none", "a"), ("all", "b")):
        run_dir = study.single({"data.text.stop_words": words})
        study.add(run_dir, "llm", {row: float(row % 2) for row in range(220)}, file_sha256=digest * 64)
    findings = study.findings()
    (problem,) = findings.problems
    folders = [study.results.added_dir(run.record.data_fingerprint) for run in findings.study.completed_runs]
    assert all(str(folder / "llm.json") in problem for folder in folders)


def test_page_says_that_nothing_is_recommended_where_folds_alone_are_completed(study: Study) -> None:
    study.single({"data.folds": 3, "data.fold": 2})
    findings = study.findings()
    assert findings.recommended is None
    blocks = compose(findings).blocks
    assert blocks
    assert "Runs of cross-validations that lack a fold, which are compared with no other: 1." in study.text()


def test_time_of_a_killed_attempt_is_a_lower_bound(study: Study) -> None:
    killed = attempt(reason=None, end=None, last_step=None, compute_time=None)
    study.single({}, attempts=[killed, attempt(first_step=20)])
    text = study.text()
    assert "a lower bound where a process was killed" in text
    assert "| Attempts of unknown time |" in text
    assert "a lower bound, since the time of 1 of them" in render_document(checklist(study.findings())).replace(
        "\n", " "
    ).replace("  ", " ")


def test_time_that_no_attempt_tells_is_how_long_the_run_trained_on_its_own_processor(study: Study) -> None:
    seconds = []
    for size, device in ((8, "cpu"), (16, "NVIDIA H100 80GB HBM3")):
        run_dir = study.single({"model.hidden_size": size}, attempts=[attempt(device=device, compute_time=None)])
        seconds.append(stored(run_dir, Result).seconds_trained)
    times = {(row["gpu_seconds"], row["cpu_seconds"]) for row in _rows(study.findings()) if row.get("seeds")}
    assert times == {(0, seconds[0]), (seconds[1], seconds[1])}


def test_vectors_that_several_runs_read_cost_once_what_their_last_state_says(study: Study) -> None:
    for seed, seconds in ((1, 20), (2, 50), (3, 30)):
        run_dir = study.single({"elmo.model": "small", "seed": seed})
        record = stored(run_dir, RunRecord)
        assert record.encoder
        assert record.encoder.cache
        cache = record.encoder.cache.model_copy(update={"cpu_seconds": seconds, "gpu_seconds": seconds})
        run_dir.write_record(record.model_copy(update={"encoder": record.encoder.model_copy(update={"cache": cache})}))
    assert usage_of(study.findings().study.runs).encoding == (50, 50)


def test_page_names_no_folder_of_this_machine(study: Study, tmp_path: Path) -> None:
    for name in ("a", "b"):
        study.single(
            {"embedding.pretrained": f"/home/ann/vectors/{name}.vec", "data.tests": {"own": {"path": "/srv/x.csv"}}}
        )
    study.report(tmp_path / "out")
    for file in (tmp_path / "out").rglob("*"):
        if file.suffix in (".html", ".md", ".csv", ".json", ".tex"):
            text = file.read_text(encoding="utf-8")
            assert "/home/ann" not in text, file
            assert "/srv" not in text, file


def test_foreign_page_and_title_stop_no_report(study: Study, tmp_path: Path) -> None:
    study.single({})
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.html").write_bytes(b"<p>caf\xe9</p>")
    build_report(study.results, [], folder, "Red\x1b[31m")
    for name in ("report.html", "report.md"):
        assert "\x1b" not in (folder / name).read_text(encoding="utf-8")


def test_added_predictor_that_gives_no_test_tweet_a_class_is_named_as_left_out(study: Study) -> None:
    run_dir = study.single({})
    validation = study.parts["validation"]
    said: dict[int, float | None] = {row: float(row % 2) for row in range(validation)}
    said |= dict.fromkeys(range(validation, validation + study.parts["test"]))
    file = study.add(run_dir, "llm", said)
    findings = study.findings()
    assert not [row for row in _rows(findings) if row["model"].startswith("llm")]
    assert findings.problems == [f"{file}: gives none of the test tweets a class, and is left out"]
