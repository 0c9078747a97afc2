"""The command line: what its commands print and write."""

import json
import re
from pathlib import Path
from shlex import quote
from unittest.mock import Mock

import pytest

from sentiment.models.text_model import answer_checks, checks, total_score
from sentiment.predicting.stored import open_run, open_stored
from sentiment.runs.records import Result
from sentiment.runs.run_dir import Results, RunDir
from tests.commands import invoke, refused, succeed
from tests.small_runs import stored

COMMANDS = (
    *("data", "prepare", "train", "evaluate", "add", "predict", "export", "share"),
    *("submit", "status", "rerun", "cancel", "sync", "doctor", "report"),
)


def _with_corpora(folder: Path, results: Results) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "data").symlink_to(results.root / "data")
    return folder


def _only_run(results: Path) -> RunDir:
    (path,) = (results / "runs" / "single").iterdir()
    return RunDir(path)


GIVEN_TWICE = {
    ("train", "seed=1", "--seed=2"): "seed: is given twice, by seed=1 and seed=2; give one",
    ("train", "--data", "sample", "data.source=vader"): "--data and data.source=vader give the same field; leave one",
    ("train", "--classes", "a,b", "--data.labels=c,d"): "--classes and data.labels=c,d give the same field; leave one",
    ("train", "--data", ""): "--data: names no table; give sample, ",
    ("data", ""): "--data: names no table",
    ("submit", "smoke", "--set", "seed=1", "--set", "seed=[2, 3]"): "seed: is given twice, by seed=1 and seed=[2, 3]",
    ("submit", "smoke", "--data", "vader", "--set", "data.source=x"): "--data and data.source=x give the same field",
    ("submit", "smoke", "--data", ""): "--data: names no table",
    ("submit", "--study", "vader", "--set", "seed=2026-01-01", "--set", "seed=2"): "by seed=2026-01-01 and seed=2",
    ("submit", "smoke", "--set", "seed=[]"): "seed=[]: without a value the grid has no runs; give one value or a list",
    ("submit", "random_sweep", "--set", "training.clip=[]"): "training.clip=[]: without a value the grid has no runs",
}


@pytest.mark.parametrize("arguments", GIVEN_TWICE, ids=" ".join)
def test_what_is_given_twice_or_is_empty_is_refused_and_nothing_is_chosen_in_silence(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    assert GIVEN_TWICE[arguments] in refused(2, *arguments, "--results", tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_training_prints_and_is_done_once(
    small_run_file: Path, shared_results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = _with_corpora(tmp_path / "it's results", shared_results)
    first = succeed("train", small_run_file, "--results", results)
    run_dir = _only_run(results)
    right = total_score(answer_checks(open_stored(run_dir.path).model())).right
    for expected in (
        "linear baseline",
        "mean of both",
        "best epoch",
        "overfit",
        f"check list   {right} of {len(checks())} short sentences right",
        quote(str(run_dir.path)),
        "sentiment predict",
    ):
        assert expected in first
    before = run_dir.metrics_file.stat().st_mtime_ns
    monkeypatch.setattr("sentiment.training.trainer.Trainer.train", Mock(side_effect=AssertionError("trains again")))
    monkeypatch.setattr("sentiment.answers.evaluation.MIN_TWEETS_TO_CHOOSE", 1)  # then nothing needs a warning
    second = succeed("train", small_run_file, "--results", results)
    assert "is already completed" in second
    assert "\n\n\n" not in first + second
    assert first.split("\nrecommended  ")[1] == second.split("\nrecommended  ")[1]
    assert run_dir.metrics_file.stat().st_mtime_ns == before


def test_full_memory_is_an_error_that_says_what_to_change(
    small_run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentiment.training.experiment.run_experiment", Mock(side_effect=MemoryError("512 GiB")))
    said = refused(1, "train", small_run_file, "--results", tmp_path)
    assert "512 GiB; main memory is full; a smaller training.batch_size" in said


def test_fields_change_as_wandbs_agent_asks(small_run_file: Path, shared_results: Results, tmp_path: Path) -> None:
    _with_corpora(tmp_path, shared_results)
    changes = ("training.epochs=1", "--model.bidirectional=False", "training.l2=1e-05")
    succeed("train", small_run_file, *changes, "--results", tmp_path)
    config = _only_run(tmp_path).read_config()
    assert (config.training.epochs, config.model.bidirectional, config.training.l2) == (1, False, 1e-05)


def test_evaluation_of_a_run_shows_and_writes_its_scores(trained: RunDir, tmp_path: Path) -> None:
    output = succeed("evaluate", trained.path, "--out", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text())
    result = stored(trained, Result)
    network = {part: metrics.named(trained.read_config().data.label_names) for part, metrics in result.metrics.items()}
    assert scores["models"]["network"] == network
    chosen = scores["models"][scores["chosen"]]
    assert {part: scores[part] for part in network} == chosen
    assert f"{100 * result.metrics['test'].accuracy:.1f}" in output
    assert f"used by predict: {scores['chosen']}" in output
    models = open_run(trained.path).models()
    assert scores["check_list"] == {
        model.name: {name: list(tally) for name, tally in answer_checks(model).items()} for model in models
    }
    in_full = succeed("evaluate", trained.path, "--all")
    for name in {one.capability for one in checks()}:
        row = next(line for line in in_full.splitlines() if line.startswith(f"  {name}"))
        right = [scores["check_list"][model.name][name][0] for model in models]
        _sentences, *shown = map(int, row.removeprefix(f"  {name}").split())
        assert shown[: len(right)] == right


def test_explained_prediction_says_what_each_strong_token_adds(trained: RunDir) -> None:
    done = invoke("predict", trained.path, "awful tea", "", "--with", "baseline", "--explain")
    assert re.search(r"negative .* awful tea\n  awful \(\+\d\.\d\) tea\n-  ", done.output)


def test_prediction_with_attention_shows_the_weight_of_each_token(trained_with_attention: RunDir) -> None:
    output = succeed("predict", trained_with_attention.path, "lovely [red]tea :)", "--with", "network")
    weights = output.splitlines()[3]
    for token in ("lovely", "red", "tea", ":)"):
        assert token in weights
    assert weights.count("%)") >= 4


def test_help_lists_all_commands_each_explains_itself_and_no_command_shows_help() -> None:
    assert "Usage" in invoke().output
    done = invoke("--help")
    for command in COMMANDS:
        assert command in done.output
        assert "Usage" in invoke(command, "--help").output


def test_evaluate_reads_a_file_with_columns_and_labels_of_other_names(trained: RunDir, tmp_path: Path) -> None:
    file, places = tmp_path / "others.csv", ("--results", tmp_path / "results")
    file.write_text("class,tweet\nneg,what an awful day\npos,lovely cake\n")
    options = ["--set", "data.columns.text=tweet", "--set", "data.columns.label=class"]
    assert "others.csv, 2 " in invoke("evaluate", trained.path, "--data", file, *places, *options).output
    file.write_text("class,tweet\n1,what an awful day\n2,lovely cake\n")
    guessed = invoke("evaluate", trained.path, "--data", file, *places, "--classes", "negative=1 positive=2").output
    assert "guessed data.columns.text: tweet (--text-column=NAME says otherwise)" in guessed
    assert "others.csv, 2 " in guessed
    file.write_text("class,tweet\nneg,what an awful day\nneutral,it is monday\npos,lovely cake\n")
    three = invoke("evaluate", trained.path, "--data", file, *places).output
    assert "others.csv, 2 " in three  # the run has no class for the neutral one
    assert "1 left out: ignored label (line 3)" in three
    message = refused(
        2, "evaluate", trained.path, "--data", file, *places, "--classes", "bad=neg so-so=neutral good=pos"
    )
    assert "(bad, so-so, good) are not negative, positive, neither" in message
