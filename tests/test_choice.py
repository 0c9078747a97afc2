"""What of a run predicts: its network, its baseline, the mean of both; and by what names."""

import csv
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from report.compare.findings import analyse
from report.read import load_study
from sentiment.inference.stored import load_model
from sentiment.models.baseline import BaselineModel
from sentiment.models.text_model import MeanModel, calibrated
from sentiment.runs.records import Metrics, Result
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.experiment import recommend
from tests.conftest import MakeExperiment
from tests.small_runs import Experiment, invented_tweets, small_config, write_tweets
from tests.test_command_line import invoke, refused

TEXTS = [text for _, text in invented_tweets(40, seed=8)]


def _result(run_dir: RunDir) -> Result:
    result = run_dir.read_result()
    assert result is not None
    return result


def test_the_mean_is_the_calibrated_mean_of_its_members(trained: RunDir) -> None:
    network, baseline, both = (
        load_model(trained, choice).read_texts(TEXTS).probabilities for choice in ("network", "baseline", "both")
    )
    temperature = _result(trained).temperatures["both"]
    assert temperature != 1
    np.testing.assert_allclose(both, calibrated((network + baseline) / 2, temperature))


def test_a_baseline_predicts_texts_and_files_without_torch(trained: RunDir, tmp_path: Path) -> None:
    (tmp_path / "tweets.csv").write_text("text\nlovely\nawful\n")
    script = f"""
        import sys
        from pathlib import Path
        from sentiment.console import silent
        from sentiment.inference.predict import predict_file
        from sentiment.inference.stored import open_model
        from sentiment.inference.terminal import show_answers
        model = open_model(Path({str(trained.path)!r}), "baseline")
        print(model.read_texts(["lovely"]).usable[0])
        print(predict_file(model, Path("tweets.csv"), Path("out.csv"), None, silent).rows)
        print(set(sys.modules) & {{"torch", "sklearn", "pandas"}})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split("\n") == ["True", "2", "set()", ""], done.stderr


def test_the_default_is_what_the_result_recommends(experiment: MakeExperiment) -> None:
    run = experiment(training__epochs=1)
    run.complete()
    values = _result(run.run_dir).model_dump(mode="json")
    for recommended, kind in (("baseline", BaselineModel), ("both", MeanModel)):
        run.run_dir.result_file.write_text(json.dumps(values | {"recommended": recommended}))
        assert isinstance(load_model(run.run_dir), kind)
    assert "by the mean of both (the most accurate on validation" in invoke("predict", run.run_dir.path, "x").output


def test_what_is_most_accurate_on_validation_tweets_is_recommended() -> None:
    def metrics(accuracy: float, loss: float) -> Metrics:
        share = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "accuracy_low": 0.1, "accuracy_high": 0.9}
        return Metrics(n=10, loss=loss, accuracy=accuracy, **share)

    assert recommend(metrics(0.7, 0.5), metrics(0.8, 0.9), metrics(0.6, 0.1)) == "baseline"
    assert recommend(metrics(0.8, 0.5), metrics(0.8, 0.6), metrics(0.8, 0.4)) == "both"
    assert recommend(metrics(0.8, 0.4), metrics(0.8, 0.4), metrics(0.8, 0.4)) == "network"


def test_a_baseline_that_is_not_the_results_is_refused(experiment: MakeExperiment) -> None:
    run = experiment(training__epochs=1)
    run.complete()
    file = run.run_dir.baseline_file
    file.write_bytes(file.read_bytes()[:-1] + b"\7")
    assert "is not the file that belongs to this result" in refused(
        1, "predict", run.run_dir.path, "x", "--with", "baseline"
    )
    file.unlink()
    assert "baseline.safetensors: cannot be read" in refused(1, "predict", run.run_dir.path, "x", "--with", "both")


@pytest.mark.parametrize("choice", ["network", "baseline", "both"])
def test_evaluation_compares_the_chosen_model_with_the_others(trained: RunDir, tmp_path: Path, choice: str) -> None:
    table = write_tweets(tmp_path / "t.csv", invented_tweets(200, seed=3))
    options = ("--with", choice, "--out", tmp_path / "scores.json")
    for data in ((), ("--data", table, "--results", tmp_path)):
        done = invoke("evaluate", trained.path, *options, *data)
        assert done.exit_code == 0, done.output
        scores = json.loads((tmp_path / "scores.json").read_text())
        name = {"baseline": "linear baseline", "both": "mean of both"}.get(choice, choice)
        assert scores["chosen"] == name
        assert re.search(rf"^{name} less the others, on \d+ tweets: .* exact McNemar", done.output, re.MULTILINE)
        others = {line.strip().split("  ")[0] for line in done.output.splitlines() if "p = " in line}
        assert others == {"network", "linear baseline", "mean of both", "VADER's lexicon"} - {name}
        own = scores["models"][name]
        assert (own["test"]["n"] if not data else own["n"]) == (200 if data else _result(trained).metrics["test"].n)


def test_labels_keep_the_names_that_the_user_gives_them(experiment: MakeExperiment, tmp_path: Path) -> None:
    table = tmp_path / "moods.csv"
    with open(table, "w", encoding="utf-8", newline="") as file:
        rows = [("happy" if label else "sad", text) for label, text in invented_tweets(400, seed=2)]
        csv.writer(file).writerows([("label", "text"), *rows])
    changes = {"data__labels__positive": "happy", "data__labels__negative": ["0", "sad"], "data__source": str(table)}
    run = experiment(training__epochs=2, **changes)
    run.complete()
    done = invoke("predict", run.run_dir.path, "so lovely and great", "awful and sad")
    assert [line.split()[0] for line in done.output.splitlines()[2:]] == ["happy", "sad"]
    out = tmp_path / "out.csv"
    assert invoke("predict", run.run_dir.path, "--file", table, "--out", out).exit_code == 0
    with open(out, encoding="utf-8", newline="") as file:
        assert {row[-2] for row in list(csv.reader(file))[1:]} == {"happy", "sad"}
    assert invoke("evaluate", run.run_dir.path, "--data", table, "--results", tmp_path).exit_code == 0


def test_a_model_that_says_the_same_of_all_tweets_is_named(trained: RunDir, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("label,text\n" + "1,so lovely and great\n" * 5)
    done = invoke("evaluate", trained.path, "--data", table, "--results", tmp_path, "--with", "baseline")
    assert "warning: the linear baseline says 'positive' of all 5 tweets" in done.output


def test_a_trained_model_that_says_the_same_of_all_validation_tweets_is_named(experiment: MakeExperiment) -> None:
    run = experiment(training__epochs=1, training__learning_rate=1e-6)
    run.complete()
    table = pq.read_table(run.run_dir.predictions_file)
    assert len({score >= 0.5 for score in table["score"].to_pylist()}) == 1
    word = re.search(
        r"warning: the network says '(\w+)' of all \d+ validation tweets", invoke("evaluate", run.run_dir.path).output
    )
    assert word is not None
    assert word[1] in ("negative", "positive")


def test_all_models_are_measured_on_further_test_sets(tweets_file: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    tables = {
        name: write_tweets(tmp_path / f"{name}.csv", invented_tweets(count, seed=9))
        for name, count in (("ours", 40), ("theirs", 30))
    }
    tests = {name: {"path": str(path)} for name, path in tables.items()}
    configs = [small_config(tweets_file, seed=seed, training__epochs=1, data__tests=tests) for seed in (1, 2)]
    runs = [Experiment(config, results, results.run_dir(config.run_id)) for config in configs]
    for run in runs:
        run.complete()
    paths = [run.run_dir.path for run in runs]
    for path in paths:
        result = _result(RunDir(path))
        assert result.parts == ("train", "validation", "test", "ours", "theirs")
        for of_model in (result.metrics, result.baseline, result.combination, result.lexicon):
            assert (of_model["ours"].n, of_model["theirs"].n) == (40, 30)
        shown = invoke("evaluate", path).output
        assert "ours, 40 tweets" in shown
        assert "theirs, 30 tweets" in shown
    asked = tmp_path / "scores.json"
    assert invoke("evaluate", paths[0], "--data", tables["ours"], "--out", asked).exit_code == 0
    again = json.loads(asked.read_text())["models"]
    assert again["linear baseline"]["accuracy"] == pytest.approx(_result(RunDir(paths[0])).baseline["ours"].accuracy)
    assert "split: theirs" in invoke("show", "--card", paths[0]).output
    found = analyse(load_study(results, []))
    assert {(one.tests, len(one.labels)) for one in found.elsewhere} == {("ours", 40), ("theirs", 30)}
    assert found.problems == []
