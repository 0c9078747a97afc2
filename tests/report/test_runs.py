"""Runs in every state and of every kind, damaged ones among them: all are named, none stops the report; how they were
made, and the command that repeats each."""

import json
import os
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report.build import compose, results_by_name
from report.compare.findings import analyse
from report.compare.matching import seeds_together
from report.questions.settings import effects_of
from report.read import load_study
from report.render.blocks import Block, Command, Explorer
from report.render.wording import read_texts
from report.sections.answer import caveats, headline
from report.sections.models import published_results, worse_than_the_lexicon
from report.sections.names import model_name
from report.sections.provenance import provenance
from report.sections.runs import runs
from report.sections.tables import lead
from sentiment.answers.table import AnswerTable, Predictor, compare_predictors
from sentiment.blocks.content import Bullets, DataTable, Text
from sentiment.config_file import resolve
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.locks import Lock
from sentiment.runs.records import Failure, Result, RunRecord, StartCount
from sentiment.runs.run_dir import Results
from tests.commands import invoke, refused
from tests.invented import UNFINISHED, attempt, combinations, new_record, write_unfinished
from tests.jobs.grid_files import write_yaml
from tests.jobs.submitted import write_job
from tests.report.made_up import BASE, PARTS, Study, tables_of
from tests.small_runs import load_config, stored


def test_unknown_grid_is_an_error_that_names_those_that_there_are(study: Study, invented: Study) -> None:
    with pytest.raises(RunDirError):
        load_study(study.results, [])
    with pytest.raises(UsageError, match="attention, elmo, rnn, stop_words, sweep"):
        load_study(invented.results, ["nowhere"])


def test_runs_of_one_configuration_on_other_tweets_are_no_seeds_of_each_other(study: Study) -> None:
    for seed, data in ((1, "a"), (2, "b"), (3, "a")):
        study.complete(resolve(BASE, {"seed": seed}, "test"), data_fingerprint=64 * data)
    groups = seeds_together(load_study(study.results, []).completed)
    assert sorted([run.config.seed for run in group] for group in groups) == [[1, 3], [2]]


def test_every_state_is_told(invented: Study) -> None:
    runs = load_study(invented.results, ["rnn"]).runs
    assert [run.state.state for run in runs] == ["COMPLETED"] * 8 + ["FAILED", "UNKNOWN", "UNKNOWN", "PLANNED"]
    stopped = "saved and stopped: SIGTERM; only Slurm knows whether its job starts again"
    reasons = ("DivergedError: the loss ran away", stopped, "its process on node-1 cannot be", "")
    assert [run.state.reason.startswith(reason) for run, reason in zip(runs[8:], reasons, strict=True)] == [True] * 4


def test_a_run_has_the_state_that_status_names_where_slurm_does_not_answer(
    study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What Slurm may start again has neither failed nor stopped; what was cancelled has the same name in both."""
    monkeypatch.setenv("PATH", str(tmp_path))  # no Slurm
    failed, stopped, died = UNFINISHED
    lasts = [stopped, stopped | {"reason": "deadline"}, died, failed, failed, stopped, stopped]
    configs = study.write_grid("rnn", "Which?", [{"seed": seed} for seed in range(len(lasts))])
    for config, last in zip(configs, lasts, strict=True):
        write_unfinished(study.run_dir(config, "rnn"), config, last)
    *_, with_retries, _, resumed, cancelled = [study.run_dir(config, "rnn") for config in configs]
    failure = stored(with_retries, Failure)
    with_retries.write_record(failure.model_copy(update={"retry": True}))
    run_ids = [[config.run_id] for config in configs]
    job = write_job(study.results, "train", run_ids, configs, grid="rnn", job_id="41")
    job.mark_cancelled([resumed.path.name, cancelled.path.name])
    write_job(study.results, "train", [[resumed.path.name]], [configs[-2]], grid="rnn", job_id="42")
    rows = json.loads(invoke("status", "--json", "--results", study.results.root).output)[0]["rows"]
    states = ["UNKNOWN", "UNKNOWN", "UNKNOWN", "FAILED", "FAILED", "UNKNOWN", "CANCELLED"]
    assert [row["state"] for row in rows] == states
    findings = study.findings()
    assert [run.state.state for run in findings.study.runs] == states
    advice = next(block.text for block in runs(findings) if isinstance(block, Text))
    assert advice.startswith("7 of 7 runs are not completed. 2 runs ended without a result. ")


def test_run_that_a_task_is_about_to_begin_is_planned_and_a_folder_without_records_is_none(study: Study) -> None:
    (config,) = study.write_grid("rnn", "Which?", [{}])
    run_dir = study.run_dir(config, "rnn")
    run_dir.path.mkdir()
    run_dir.write_record(StartCount(step=0, number=1, job="7_0"))
    (study.results.runs / "single" / "drafts of mine").mkdir(parents=True)
    loaded = load_study(study.results, [])
    assert [(run.run_id, run.state.state) for run in loaded.runs] == [(config.run_id, "PLANNED")]
    assert loaded.reader.problems == []


def test_names_of_folders_that_are_not_utf8_stop_no_report(study: Study) -> None:
    run_dir = study.single({})
    for grid, name in (("single", os.fsdecode(b"caf\xe9")), (os.fsdecode(b"caf\xe9"), run_dir.path.name)):
        shutil.copytree(run_dir.path, study.results.runs / grid / name)
    text = study.text().replace("\\", "")
    assert f"single/caf\u27e8U+DCE9\u27e9: holds run {run_dir.path.name}" in text
    assert "the name of this folder is not UTF-8; rename it" in text
    assert "1 of 2 runs completed" in text


def test_second_report_waits_until_the_first_is_written(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the first, which knows less, might be written last."""
    study.single({})

    def while_it_is_built(results: Results, *_: object) -> None:
        with Lock(results.runs / ".report.lock", "writes the report"):
            pass

    monkeypatch.setattr("report.build.build_report", while_it_is_built)
    told = refused(1, "report", "--results", study.results.root)
    assert f"process {os.getpid()} on host" in told


def test_broken_plan_and_texts_that_are_not_here_are_named_and_runs_are_reported(study: Study) -> None:
    (config,) = study.write_grid("rnn", "Which?", [{}])
    run_dir = study.complete(config, "rnn")
    study.results.grid_file("rnn").write_text("{")
    hidden = study.results.runs / "rnn" / ".rsync-partial"  # as others leave, and no run
    hidden.mkdir()
    (hidden / "config.json").write_text("{")
    study.results.answers.mkdir()
    (study.results.answers / ".DS_Store").touch()
    (study.results.corpus_dir(run_dir.read(RunRecord).data_fingerprint) / "tweets.parquet").unlink()
    text = study.text()
    assert "grid.json" in text.split("Unreadable files (2)")[1]
    for expected in ("Test accuracy", "misclassified tweets are not listed", "Confusion matrix"):
        assert expected in text


def test_stages_of_a_study_say_what_each_took_over_and_where_nothing_was(study: Study) -> None:
    configs = study.write_grid("rnn", "Which?", [{"seed": seed} for seed in range(1, 9)])
    run_ids = [study.complete(config, "rnn").path.name for config in configs]
    origin = {"grid": "rnn", "rule": "overfitting", "run_ids": run_ids, "left_out": []}
    (varied,) = study.write_grid("varied", "Which?", [{"model.dropout": 0.5}], starts_from=origin)
    study.complete(varied, "varied")
    nothing = origin | {"rule": "best 1", "run_ids": [], "left_out": [f"{run_ids[0]}, which has no result"]}
    study.write_grid("empty", "Which?", [], starts_from=nothing)
    stages, *_ = runs(study.findings())
    assert isinstance(stages, Bullets)
    empty, taken = (str(item).replace("\\", "") for item in stages.items)
    assert empty.startswith("*empty:* is empty, since no run of grid rnn fits the rule: best 1. Left out: ")
    assert taken.startswith(f"*varied:* starts from 8 runs of grid rnn (rule: overfitting): {run_ids[0]}, ")
    assert taken.endswith(" and 2 more.")


def test_page_does_not_grow_with_runs_that_have_no_result(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report.sections.runs._MAX_UNFINISHED", 5)
    study.single({})
    for seed in range(1000, 1006):
        config = resolve(BASE, {"seed": seed}, "base")
        study.run_dir(config).create(config)
    table = tables_of(compose(study.findings()).blocks)["runs"]
    assert (len(table.rows), table.caption[:12]) == (6, "6 of 7 runs ")


def test_methods_refer_only_to_methods_on_the_same_page(study: Study) -> None:
    for width in (8, 16):
        for seed in (1, 2):
            study.single({"model.hidden_size": width, "seed": seed})
    text = study.text().split("## Methods")[1]
    terms = re.findall(r"^- \*\*(.*?)\*\*:", text, re.MULTILINE)
    assert {*re.findall(r'"(.*?)"', text)} <= {*terms}


def test_report_on_tweets_in_another_language_has_neither_lexicon_nor_check_list(study: Study) -> None:
    for seed in (1, 2):
        study.single({"data.language": "de", "seed": seed}, skill=3.0)
    findings = study.findings()
    assert not findings.problems
    tables = tables_of(compose(findings).blocks)
    assert "check-list" not in tables
    assert not [row for row in tables["leaderboard"].rows if "lexicon" in row["model"]]
    assert not [each.title for each in tables["test-sets"].columns if "lexicon" in each.title]
    assert not [sentence for sentence in caveats(findings) if "lexicon" in sentence]


@pytest.mark.parametrize(
    ("codes", "is_mixed"),
    [([("a", 0), ("a", 20)], False), ([("a", 0), ("b", 20)], True), ([("a", 0), ("b", 0)], False)],  # begun anew
)
def test_runs_that_went_on_with_other_code_or_on_other_hardware_are_named(
    study: Study, codes: Any, is_mixed: bool
) -> None:
    attempts = [attempt(code=code * 64, first_step=step) for code, step in codes]
    run_dir = study.single({}, attempts=attempts, hardware=["Xeon (AVX512)", "Old Xeon (AVX2)", "Xeon (AVX512)"])
    still = study.single({"seed": 2}, hardware=["Xeon (AVX512)"])
    (facts, *_) = provenance(study.findings())
    text = "\n".join(map(str, facts.items)).replace("\\_", "_")
    assert ("1 run was resumed with a different code version: " in text) == is_mixed
    assert f"may not be reproducible bit for bit: {run_dir.path.name}." in text
    assert still.path.name not in text.split("bit for bit")[1]


@pytest.mark.parametrize(("codes", "is_mixed"), [("aa", False), ("ab", True)])
def test_runs_that_other_code_has_trained_are_counted_by_code_also_outside_of_a_checkout(
    study: Study, codes: str, is_mixed: bool
) -> None:
    for seed, code in enumerate(codes, 1):
        study.single({"seed": seed}, attempts=[attempt(code=code * 64, git_commit=None)])
    (facts, *_) = provenance(study.findings())
    line = "The code that trains differs between runs, by its SHA-256: aaaaaaaaaaaa (1 run); bbbbbbbbbbbb (1 run)."
    assert (line in map(str, facts.items)) == is_mixed


_PARAMETERS: list[dict[str, Any]] = [
    {"model.hidden_size": 32, "training.learning_rate": 1e-5, "model.bidirectional": False},
    {"data.source": "it's my \u00ab$HOME\u00bb `file` # 1.csv", "data.columns.label": "yes"},
    {"training.clip": None, "data.labels": "sad=0 happy=4,glad"},
    {"data.source": "two\nlines.csv", "data.columns.text": "'quoted'", "data.columns.label": 3},
    {"data.columns.text": "1e3"},
    {"elmo": {"model": "small", "layers": "top"}},
    {},
]


def _resolved(command: str | None) -> str:
    """The id of the run that the command line makes of a printed command."""
    program, (path, *options) = command.split(" train ")[0], shlex.split(command.split(" train ", 1)[1])
    assert program.endswith("sentiment")
    overrides = [value for option, value in zip(options[::2], options[1::2], strict=True) if option == "--set"]
    return load_config(Path(path), overrides).run_id


def _explored(blocks: list[Block]) -> list[dict[str, Any]]:
    (explorer,) = (block for block in blocks if isinstance(block, Explorer))
    columns = explorer.data["runs"]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_command_of_a_run_repeats_that_run_also_after_an_edit_of_its_base_file(study: Study, tmp_path: Path) -> None:
    base_file = write_yaml(tmp_path / "configs of mine" / "base.yaml", BASE)
    *begun, never_begun = study.write_grid("rnn", "Which?", _PARAMETERS, base=str(base_file))
    for config in begun:
        study.run_dir(config, "rnn").create(config)
    write_yaml(base_file, BASE | {"training": {"epochs": 9}})
    paths = {run["run"]: run.get("path") for run in _explored(compose(study.findings()).blocks)}
    assert paths.pop(never_begun.run_id) is None
    commands = [f"sentiment train {path}/config.json" for path in paths.values()]
    assert [_resolved(command) for command in commands] == [config.run_id for config in begun]


def test_printed_commands_work_in_the_folder_that_holds_the_results_and_name_no_path_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(Results(tmp_path / "deep" / "other results"))
    config, stopped = study.write_grid("rnn", "Which?", [{"seed": 1}, {"seed": 2}])
    study.complete(config, "rnn")
    run_dir = study.run_dir(stopped, "rnn")
    run_dir.create(stopped)
    run_dir.write_record(new_record(stopped.run_id, attempts=[attempt(reason="signal", detail="SIGTERM")]))
    (study.results.runs / "rnn" / "broken").mkdir()
    (study.results.runs / "rnn" / "broken" / "config.json").write_text("{")
    study.report(tmp_path / "out")
    written = [file.read_text() for file in (tmp_path / "out").rglob("*") if file.suffix in (".html", ".md", ".csv")]
    assert not [text for text in written if str(tmp_path) in text]
    with results_by_name(study.results) as named:
        page = compose(analyse(load_study(named, [])))
        predict, export = (shlex.split(block.text) for block in page.blocks if isinstance(block, Command))
        assert (predict[1], export[1]) == ("predict", "export")
        paths = [predict[2], export[2], *(shlex.split(run["path"])[0] for run in _explored(page.blocks) if run["path"])]
        assert all((Path(path) / "config.json").is_file() for path in paths)
    (advice,) = (str(block.text) for block in page.blocks if isinstance(block, Text) and "status" in str(block.text))
    assert "--results 'other results'" in advice


def test_test_sets_called_as_columns_are_leave_these_as_they_are(study: Study) -> None:
    tests = {name: {"path": "more.csv"} for name in ("runs", "source")}
    run_dir = study.single({"data.tests": tests})
    findings = study.findings()
    ((corpus, counts),) = findings.study.counts.items()
    named = dict.fromkeys(tests, counts.parts["manual"])
    report = counts.model_copy(update={"parts": counts.parts | named})
    changed = replace(findings, study=replace(findings.study, counts={corpus: report}))
    tables = tables_of(compose(changed).blocks)
    (row,) = tables["data"].rows
    assert (row["source"], row["runs"], row["test_set_runs"]) == ("invented.csv", 1, 60)
    assert run_dir.path.is_dir()


def test_each_value_of_a_setting_has_a_name_of_its_own(study: Study) -> None:
    runs = combinations({"training.class_weights": ["auto", "none", "balanced"], "seed": [1, 2]})
    for config in study.write_grid("weights", "Which?", runs):
        study.complete(config, "weights")
    rows = tables_of(compose(study.findings()).blocks)["effects-weights"].rows
    assert [row["value"] for row in rows] == ["class weights by need", "balanced class weights", "no class weights"]


def test_kind_of_network_that_is_added_goes_by_its_own_name() -> None:
    config = resolve(BASE, {"model.layers": 2}, "base")
    names = {}
    for kind in ("cnn", "feed_forward", "linear", "rnn"):
        added = config.model_copy(update={"model": config.model.model_copy(update={"kind": kind})})
        names[kind] = model_name(added)
    assert names.pop("cnn") == "cnn 2\u00d764"
    assert [*names.values()] == ["feed-forward network 2\u00d764", "linear classifier", "BiLSTM 2\u00d764"]
    one_way = {"model.bidirectional": False, "model.cell": "gru"}
    assert [model_name(resolve({}, changes, "a test")) for changes in ({}, one_way)] == ["BiLSTM 64", "GRU 64"]
    assert added.title.startswith("bilstm2x64")


def test_all_of_sentiment140_is_known_by_the_record(study: Study) -> None:
    study.single({"data.source": "training.1600000.csv"}, dataset="sentiment140")
    study.single({"data.source": "my-sentiment140-sample.csv"}, dataset="table")
    known = {dataset.name: dataset.source == "sentiment140" for dataset in study.findings().datasets}
    assert known == {"training.1600000.csv": True, "my-sentiment140-sample.csv": False}


def test_published_scores_stand_beside_runs_on_their_tweets_or_of_their_study_alone(study: Study) -> None:
    config = resolve({"data": {"source": "mine.csv"}}, {}, "a test")
    study.complete(config, dataset="tweeteval")
    (table,) = published_results(study.findings())
    assert isinstance(table, DataTable)
    assert len(table.rows) == len(read_texts("published")["tweeteval"])
    assert {column.key for column in table.columns} == {"model", "macro_recall"}
    study.complete(config.model_copy(update={"seed": 2}), dataset="table")
    assert published_results(study.findings()) == []
    replicates = {"data": "sentiment140", "source": "https://example.org/study"}
    (of_grid,) = study.write_grid("rnn", "Which?", [{"seed": 3}], replicates=replicates)
    study.complete(of_grid, "rnn")
    (table,) = published_results(study.findings())
    assert isinstance(table, DataTable)
    assert "other tweets than those of these runs" in table.caption
    (of_another,) = study.write_grid("rnn", "Which?", [{"seed": 3}], replicates=replicates | {"data": "airline"})
    study.complete(of_another, "rnn")
    assert published_results(study.findings()) == []


def test_each_data_set_is_ranked_with_what_is_recommended_for_it(study: Study) -> None:
    study.single({})
    study.single({"data.test_fraction": 0.2}, linear=2.0)
    findings = study.findings()
    assert [best.model.kind for best in findings.recommendations] == ["both", "baseline"]
    tables = tables_of(compose(findings).blocks)
    names = [str((tables[name].best or {})["model"])[:13] for name in ("leaderboard", "leaderboard-2")]
    assert names == ["mean of both ", "linear baseli"]
    starred = [row["model"][2:15] for row in tables["test-sets"].rows if row["model"].startswith("\u2605")]
    assert sorted(starred) == sorted(names)


def test_class_without_a_test_tweet_has_no_recall(study: Study) -> None:
    Study(study.results, every={"test": 1000}).single({})
    confusion = tables_of(compose(study.findings()).blocks)["confusion"]
    recalls = {row["class"]: row["recall"] for row in confusion.rows if row["model"] == "network"}
    assert recalls["positive"] is None
    assert recalls["negative"] > 0


def test_what_the_best_trained_model_gets_wrong_is_not_said_of_an_added_predictor_that_is_recommended(
    study: Study,
) -> None:
    poor_elsewhere = replace(study, skills={"manual": -3.0})
    run_dir = poor_elsewhere.single({}, linear=0.3)
    (said,) = worse_than_the_lexicon(study.findings())
    assert said.startswith("On the external test set manual: The network is significantly worse ")
    rows = range(study.parts["validation"] + study.parts["test"])
    study.add(run_dir, "llm", {row: float(row % 2) for row in rows})
    findings = study.findings()
    assert findings.recommended.added_winner
    (said,) = worse_than_the_lexicon(findings)
    assert said.startswith("On the external test set manual: The network is significantly worse ")


def test_added_predictor_is_not_said_to_lack_validation_tweets_where_each_is_a_test_tweet_of_a_fold(
    study: Study,
) -> None:
    runs = [study.single({"data.folds": 3, "data.fold": fold, "seed": seed}) for fold in (1, 2, 3) for seed in (1, 2)]
    tweets = [
        10_000 * fold + row for fold in (1, 2, 3) for row in range(study.parts["validation"] + study.parts["test"])
    ]
    study.add(runs[0], "llm", {tweet: float(tweet % 2) for tweet in tweets})
    (said,) = [said for said in caveats(study.findings()) if "not recommended because" in said]
    assert "because the validation tweets of each fold are test tweets of another one, and test tweets alone" in said


def test_baseline_that_is_better_on_validation_tweets_is_not_said_to_want_more_of_them(study: Study) -> None:
    replace(study, skills={"validation": 0.1}, parts=PARTS | {"validation": 400, "test": 400}).single({}, skill=3.0)
    best = study.findings().recommended
    said = headline(best)
    assert said.startswith("**Use the linear baseline.**")
    assert "The linear baseline is significantly worse than the " in said
    assert said.endswith("Models are selected on validation tweets, which do not show this.")


def test_seeds_of_a_score_are_those_whose_predictions_can_be_read(study: Study) -> None:
    runs = [study.single({"seed": seed}) for seed in (1, 2, 3)]
    runs[1].predictions_file.unlink()
    row = next(row for row in tables_of(compose(study.findings()).blocks)["leaderboard"].rows if row.get("overfits"))
    scores = [stored(run, Result).metrics["test"].accuracy for run in (runs[0], runs[2])]
    assert (row["seeds"], row["score"]) == (2, pytest.approx(sum(scores) / 2))


def test_of_added_predictors_that_are_better_validation_tweets_choose_one(study: Study) -> None:
    run_dir = study.single({}, skill=0.6, linear=0.3)
    validation = study.parts["validation"]
    rows = range(validation + study.parts["test"])
    for name, wrong in (("best before", range(validation, validation + 6)), ("best after", range(6))):
        study.add(run_dir, name, {row: float(row % 2 != (row in wrong)) for row in rows})
    best = study.findings().recommended
    assert [best.differences[added].is_better for added in best.added] == [True, True]
    assert best.added_winner.name == "best before"


def test_gold_table_is_led_by_no_comparison_of_two_others() -> None:
    of_best, of_others = (np.where(np.arange(80) < 40, *values)[:, None] for values in ((1.0, np.nan), (np.nan, 1.0)))
    best, second, third = (
        Predictor(name, "added", part * [0.0, 1.0])
        for name, part in (("a", of_best), ("b", of_others), ("c", of_others))
    )
    predictions = AnswerTable(np.arange(80), np.ones(80, np.int64), [best, second, third])
    comparisons = compare_predictors([(best, second), (second, third)], predictions.labels)
    assert [one.first.name for one in comparisons] == ["b"]
    assert lead(predictions, comparisons) == "**a classifies 100.0 % of 40 tweets correctly.**"


def test_run_that_two_grids_share_costs_once(study: Study) -> None:
    for name in ("rnn", "sweep"):
        (config,) = study.write_grid(name, "Which?", [{"seed": 1}])
        study.complete(config, name)
    (usage,) = (
        block for block in compose(study.findings()).blocks if isinstance(block, DataTable) and block.name == "usage"
    )
    assert [row["cpu_hours"] for row in usage.rows] == [90 / 3600] * 3
    assert [row["runs"] for row in usage.rows] == [1, 1, 2]


def test_grids_stand_in_the_order_in_which_they_were_planned(study: Study) -> None:
    for second, name in enumerate(("rnn", "attention", "elmo")):
        planned_at = f"2026-01-01T00:00:00.00000{second}+00:00"
        (config,) = study.write_grid(name, "Which?", [{"seed": 1}], planned_at=planned_at)
        study.complete(config, name)
    assert [grid.name for grid in load_study(study.results, []).grids] == ["rnn", "attention", "elmo"]


@pytest.mark.parametrize("cells", [["lstm"], ["lstm", "gru"]])
def test_a_setting_of_baselines_is_judged_once_on_each_corpus(study: Study, cells: list[str]) -> None:
    skills = {("none", True): 1.2, ("all", True): 0.9, ("none", False): 1.0, ("all", False): 0.4}
    texts = {"data.text.stop_words": ["none", "all"], "data.text.lowercase": [True, False]}
    for config in study.write_grid(
        "cleaning", "What does cleaning change?", combinations(texts | {"model.cell": cells})
    ):
        text = config.data.text
        study.complete(config, "cleaning", linear=skills[text.stop_words, text.lowercase])
    (grid,) = study.findings().study.grids
    answers = study.findings().answers.with_metric(grid.metric)
    scores = {
        (run.config.data.text.stop_words, run.config.data.text.lowercase): run.score("test", grid.metric, "baseline")
        for run in grid.completed
    }
    (effect,) = [one for one in effects_of(grid.completed, answers, "baseline") if one.parameter.endswith("stop_words")]
    (difference,) = [effect.differences[value] for value in effect.pairs]
    gaps = [scores["none", lowercase] - scores["all", lowercase] for lowercase in (True, False)]
    assert difference.value == pytest.approx(sum(gaps) / 2)
    assert gaps[0] != pytest.approx(gaps[1])
    assert difference.p > 0.05  # two pairs that differ so much, however often each is trained
