"""The program as a library: `load`, `train`, and a model that behaves as scikit-learn's do."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from sentiment.errors import ConfigError, UsageError
from sentiment.files import ROOT
from sentiment.model import Model, load, train
from sentiment.runs.run_dir import RunDir
from tests.small_runs import invented_tweets, write_tweets

TEXTS = ["such a lovely happy day", "awful, broken and sad", "so sweet"]


@pytest.fixture(scope="module")
def model(trained: RunDir) -> Model:
    return load(trained.path)


def test_labels_are_those_of_the_larger_probability(model: Model) -> None:
    labels = model.predict(TEXTS)
    assert labels.tolist() == ["positive", "negative", "positive"]
    table = model.predict_proba(TEXTS)
    assert model.classes_.tolist() == ["negative", "positive"]
    assert np.allclose(table.sum(1), 1)
    assert (model.classes_[table.argmax(1)] == labels).all()


def test_threshold_is_from_where_on_labels_are_positive(model: Model) -> None:
    positive = model.predict_proba(TEXTS)[:, 1]
    labels = model.predict(TEXTS, threshold=np.median(positive))
    assert list(labels == "positive") == list(positive >= np.median(positive))
    with pytest.raises(UsageError, match=r"threshold 2: is compared with probabilities; valid is 0 to 1"):
        model.predict(TEXTS, threshold=2)


@pytest.mark.parametrize(
    "texts",
    [tuple(TEXTS), np.array(TEXTS), pd.Series(TEXTS, index=[7, 5, 3]), iter(TEXTS), dict.fromkeys(TEXTS).keys()],
    ids=["tuple", "array", "Series", "generator", "keys"],
)  # fmt: skip
def test_texts_come_in_any_iterable(model: Model, texts: Any) -> None:
    assert model.predict(texts).tolist() == ["positive", "negative", "positive"]


def test_many_texts_are_predicted_as_each_alone(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentiment.model.CHUNK", 2)
    together = model.predict_proba(iter(TEXTS))
    assert together == pytest.approx(np.array([model.predict_proba([text])[0] for text in TEXTS]), abs=1e-6)
    assert model.predict_proba([]).shape == (0, 2)
    assert model.predict(["lovely", ""]).tolist() == ["positive", ""]
    assert np.isnan(model.predict_proba(["lovely", ""])).all(1).tolist() == [False, True]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("one text", r"put it into a list, predict\(\[text\]\)"),
        (3, "a generator of texts, not int"),
        (["fine", None], r"texts\[1\] is NoneType \(None\), not a text; leave missing texts out"),
        (pd.Series(["fine", float("nan")]), r"texts\[1\] is float \(nan\), not a text; leave missing"),
        ([["fine"]], r"texts\[0\] is list \(\['fine'\]\), not a text"),
        (pd.DataFrame({"text": ["fine"]}), r"not DataFrame; name its column, as in table\['text'\]"),
        ({"a": "b"}, "not dict"),
        (b"bytes", "not bytes"),
    ],
)
def test_what_is_no_list_of_texts_is_refused_with_what_was_expected(model: Model, texts: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        model.predict(texts)


def test_model_is_the_last_step_of_a_pipeline_and_is_never_fitted_anew(model: Model) -> None:
    clean = FunctionTransformer(lambda texts: [text.replace("awful", "lovely") for text in texts])
    steps = Pipeline([("clean", clean), ("model", model)])
    assert steps.predict(["awful", "lovely"]).tolist() == ["positive", "positive"]
    assert accuracy_score(["positive", "negative", "positive"], model.predict(TEXTS)) == 1.0
    assert model.score(TEXTS, ["positive", "negative", "negative"]) == pytest.approx(2 / 3)
    with pytest.raises(TypeError, match="trained already"):
        model.fit(TEXTS, [1, 0, 1])


def test_explanation_weighs_each_token(trained: RunDir, trained_with_attention: RunDir) -> None:
    attentive = load(trained_with_attention.path, "network").explain("lovely tea today")
    assert (attentive.kind, attentive.tokens) == ("attention", ["lovely", "tea", "today"])
    assert sum(attentive.weights) == pytest.approx(1)
    assert load(trained_with_attention.path, "network").explain("").tokens == []
    for choice in ("baseline", "network"):
        by_leaving_out = load(trained.path, choice).explain("awful tea today")
        assert by_leaving_out.kind == "left out"
        word, weight = max(by_leaving_out, key=lambda pair: abs(pair[1]))
        assert (word, weight < 0) == ("awful", True)
    assert load(trained.path, "baseline").explain("").tokens == []
    with pytest.raises(TypeError, match="explain takes one text, not list"):
        load(trained.path).explain(["a", "b"])  # type: ignore[arg-type]


def test_choices_and_places_that_do_not_exist_are_named(trained: RunDir, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choice='net': valid are network, baseline, both"):
        load(trained.path, "net")
    with pytest.raises(UsageError, match="no such directory"):
        load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is not a run's directory; its runs are: run"):
        load(trained.path.parent)
    assert load(trained.path, "both").name == "mean of both"


def test_training_gives_a_model_and_is_done_once(small_run_file: Path, tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "tweets.csv", invented_tweets(400, seed=3))
    changes = {"training.epochs": np.int64(1), "data.labels.positive": ["1"], "data.labels.negative": ["0"]}
    first = train(small_run_file, table, changes, tmp_path / "results")
    (run_dir,) = (tmp_path / "results" / "runs" / "single").iterdir()
    assert first.config.training.epochs == 1
    before = (run_dir / "result.json").stat().st_mtime_ns
    again = train(small_run_file, table, changes, tmp_path / "results")
    assert (run_dir / "result.json").stat().st_mtime_ns == before
    assert again.predict_proba(TEXTS).tolist() == first.predict_proba(TEXTS).tolist()
    with pytest.raises(ConfigError, match="did you mean 'hidden_size'"):
        train(small_run_file, changes={"model.hiden_size": 3}, results=tmp_path)


def test_training_guesses_columns_and_minds_the_time_as_the_command_does(
    small_run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_tweets(tmp_path / "tweets.csv", invented_tweets(400, seed=3))
    table.write_text(table.read_text().replace("label,text", "mood,tweet", 1))
    limit = {"runtime.time_limit_seconds": 0.1}
    with pytest.raises(KeyboardInterrupt, match="0 s left"):
        train(small_run_file, table, limit, tmp_path / "results", show_progress=True)
    assert "texts are taken from column 'tweet'" in capsys.readouterr().out


def test_importing_the_package_loads_nothing_heavy_and_a_wrong_name_is_an_attribute_error() -> None:
    script = "import sys, sentiment; print({'torch', 'numpy', 'sklearn'} & {*sys.modules}, hasattr(sentiment, 'lode'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "False"]


def test_pickled_model_predicts_the_same(trained: RunDir) -> None:
    model = load(trained.path, "both")
    again = pickle.loads(pickle.dumps(model))
    assert again.predict_proba(TEXTS).tolist() == model.predict_proba(TEXTS).tolist()
    assert again.name == model.name


SCRIPT = """
import sys
from pathlib import Path
print("started", file=open("starts.txt", "a"))
from sentiment.config import DataConfig
from sentiment.data import preparation
from sentiment.data.corpus import prepare_corpus
from sentiment.runs.run_dir import Results

preparation._LOTS_WORTH_WORKERS = 1
corpus = prepare_corpus(DataConfig(source="tweets.csv"), Results(Path("results")), workers=2)
print(len(corpus.labels), Path(sys.modules["__main__"].__file__).name)
"""


def test_script_that_trains_is_not_started_again_by_its_workers(tmp_path: Path) -> None:
    write_tweets(tmp_path / "tweets.csv", invented_tweets(400))
    (tmp_path / "script.py").write_text(SCRIPT)
    command, env = [sys.executable, "script.py"], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "script.py"
    assert (tmp_path / "starts.txt").read_text() == "started\n"
