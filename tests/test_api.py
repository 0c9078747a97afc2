"""The program as a library: `load`, `train`, and an estimator that behaves as scikit-learn's do."""

import io
import pickle
import signal
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.metrics import recall_score
from sklearn.utils import InputTags

from sentiment import api as library
from sentiment.api import SentimentClassifier, load, train
from sentiment.config import RunConfig
from sentiment.console import Progress
from sentiment.data.corpus import Corpus
from sentiment.errors import ConfigError, DataError, UsageError
from sentiment.files import ROOT
from sentiment.models.baseline import LinearModel, fit_linear_model
from sentiment.models.text_model import Predictions, TextModel
from sentiment.predicting.stored import StoredModels
from sentiment.runs.records import MODEL_KINDS, FitResult, ModelKind, Result
from sentiment.runs.run_dir import Results, RunDir
from tests.commands import invoke
from tests.small_runs import invented_tweets, small_config, write_tweets

TEXTS = ["such a lovely happy day", "awful, broken and sad", "so sweet"]


@pytest.fixture(scope="module")
def model(trained: RunDir) -> SentimentClassifier:
    return load(trained.path)


def test_threshold_is_from_where_on_labels_are_positive(model: SentimentClassifier) -> None:
    positive = model.predict_proba(TEXTS)[:, 1]
    labels = model.predict(TEXTS, threshold=np.median(positive))
    assert list(labels == "positive") == list(positive >= np.median(positive))
    with pytest.raises(UsageError, match="threshold 2"):
        model.predict(TEXTS, threshold=2)


def test_texts_come_in_any_iterable(model: SentimentClassifier) -> None:
    column, series = np.array(TEXTS)[:, None], pd.Series(TEXTS, index=[7, 5, 3])
    of_any_kind: list[Any] = [tuple(TEXTS), np.array(TEXTS), series, iter(TEXTS), dict.fromkeys(TEXTS).keys(), column]
    for texts in [*of_any_kind, pd.DataFrame({"said": TEXTS})]:
        assert model.predict(texts).tolist() == ["positive", "negative", "positive"], type(texts)


def test_many_texts_are_predicted_as_each_alone(model: SentimentClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentiment.predicting.files.CHUNK", 2)
    together = model.predict_proba(iter(TEXTS))
    assert together == pytest.approx(np.array([model.predict_proba([text])[0] for text in TEXTS]), abs=1e-6)
    assert (together.sum(1).tolist(), model.classes_.tolist()) == (pytest.approx([1] * 3), ["negative", "positive"])
    assert model.predict_proba([]).shape == (0, 2)
    assert model.knows(["lovely", "", "happy"]).tolist() == [True, False, True]
    assert {*model.predict(["lovely", ""])} <= {*model.classes_}


@pytest.mark.parametrize("choice", MODEL_KINDS)
def test_model_does_not_know_a_text_of_words_that_it_has_never_seen(trained: RunDir, choice: ModelKind) -> None:
    known = load(trained.path, choice).knows(["lovely", "xqzt lovelyish vbnm", "xqzt lovely", "horrible"])
    assert known.tolist() == [True, False, True, choice != "network"]  # the last one is rated by the lexicon


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("one text", r"put it into a list, predict\(\[text\]\)"),
        (3, "a generator of texts, not int"),
        (["fine", None], r"texts\[1\] is NoneType \(None\), not a text; leave missing texts out"),
        (pd.Series(["fine", float("nan")]), r"texts\[1\] is float \(nan\), not a text; leave missing"),
        ([["fine"]], r"texts\[0\] is list \(\['fine'\]\), not a text"),
        (pd.DataFrame({"text": ["fine"], "n": [1]}), r"one column of texts, not 2: name it, as in table\['text'\]"),
        ({"a": "b"}, "not dict"),
        (b"bytes", "not bytes"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(model: SentimentClassifier, texts: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        model.predict(texts)


def test_explanation_weighs_each_token(trained: RunDir, trained_with_attention: RunDir) -> None:
    attentive = load(trained_with_attention.path, "network").explain("lovely tea today")
    assert (attentive.kind, attentive.tokens) == ("attention", ["lovely", "tea", "today"])
    assert sum(attentive.weights) == pytest.approx(1)
    assert load(trained_with_attention.path, "network").explain("").tokens == []
    for choice in ("baseline", "network"):
        by_leaving_out = load(trained.path, choice).explain("awful tea today")
        assert by_leaving_out.kind == "leave-one-out"
        word, weight = max(by_leaving_out, key=lambda pair: abs(pair[1]))
        assert (by_leaving_out.label, word, weight > 0) == ("negative", "awful", True)
    assert load(trained.path, "baseline").explain("").tokens == []
    with pytest.raises(TypeError, match="explain takes one text, not list"):
        load(trained.path).explain(["a", "b"])


def test_choice_that_does_not_exist_is_named(trained: RunDir) -> None:
    with pytest.raises(UsageError, match="'net' was not fitted; valid: network, baseline, both"):
        load(trained.path, "net")
    with pytest.raises(UsageError, match="choice='net': valid are network, baseline, both"):
        SentimentClassifier(choice="net").fit(["good", "bad"], ["yes", "no"])
    assert load(trained.path, "both").name == "mean of both"


def test_a_trained_classifier_is_shown_as_the_model_that_predicts(trained: RunDir) -> None:
    shown = repr(load(trained.path, "baseline"))
    assert shown == f"<SentimentClassifier: linear baseline of {trained.path}, classes negative, positive>"
    assert "choice='baseline'" in repr(SentimentClassifier(choice="baseline"))


def test_training_gives_a_model_and_is_done_once(small_run_file: Path, tmp_path: Path) -> None:
    table = write_tweets(tmp_path / "tweets.csv", invented_tweets(400, seed=3))
    results, epochs = tmp_path / "results", np.int64(1)
    first = train(small_run_file, table, results, classes="negative=0 positive=1", training__epochs=epochs)
    (run_dir,) = (tmp_path / "results" / "runs" / "single").iterdir()
    assert first.config.training.epochs == 1
    before = (run_dir / "result.json").stat().st_mtime_ns
    classes = {"negative": ["0"], "positive": ["1"]}
    again = train(small_run_file, table, results, classes=classes, training__epochs=epochs)
    assert (run_dir / "result.json").stat().st_mtime_ns == before
    assert again.predict_proba(TEXTS).tolist() == first.predict_proba(TEXTS).tolist()
    with pytest.raises(ConfigError, match="did you mean 'hidden_size'"):
        train(small_run_file, results=tmp_path, model__hiden_size=3)


def test_training_guesses_columns_and_minds_the_time_as_the_command_does(
    small_run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_tweets(tmp_path / "tweets.csv", invented_tweets(400, seed=3))
    table.write_text(table.read_text().replace("label,text", "mood,tweet", 1))
    with pytest.raises(KeyboardInterrupt, match=r"0 s left.*; call it again to continue from "):
        train(small_run_file, table, tmp_path, verbose=1, runtime__time_limit_seconds=0.1)
    assert "guessed data.columns.text: tweet" in capsys.readouterr().out


@pytest.mark.more
def test_type_checker_knows_the_package_in_the_script_of_a_user(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from sentiment import SentimentClassifier, load\n"
        "model: SentimentClassifier = SentimentClassifier('rnn', model__hidden_size=16).fit(['good'], ['yes'])\n"
        "labels: str = load('model.zip').predict(['bad'])\n"
    )
    cache = ROOT / ".mypy_cache" / "of_a_user"  # of other options than that of the suite; without one it takes minutes
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "3: error: Incompatible types in assignment" in done.stdout
    assert "Found 1 error" in done.stdout


TWEETS = invented_tweets(240, seed=5)
X, Y = [text for _, text in TWEETS], [label for label, _ in TWEETS]


@pytest.fixture
def tiny(small_run_file: Path) -> SentimentClassifier:
    return SentimentClassifier(small_run_file, training__epochs=1)


def test_fitted_classifier_is_copied_with_all_that_it_says(tiny: SentimentClassifier) -> None:
    fitted, file = tiny.set_params(choice="both").fit(X, Y), io.BytesIO()
    joblib.dump(fitted, file)
    for again in (pickle.loads(pickle.dumps(fitted)), joblib.load(io.BytesIO(file.getvalue()))):
        assert again.predict_proba(X).tolist() == fitted.predict_proba(X).tolist()
        assert (again.name, again.classes_.tolist()) == ("mean of both", [0, 1])
        assert clone(again).get_params() == fitted.get_params()


@pytest.mark.parametrize("choice", [None, "network", "baseline", "both"])
def test_saved_classifier_predicts_alike(tiny: SentimentClassifier, choice: ModelKind | None, tmp_path: Path) -> None:
    fitted = tiny.set_params(choice=choice).fit(X, Y)
    fitted.save(tmp_path / "model.zip")
    loaded = load(tmp_path / "model.zip")
    assert loaded.name == fitted.name
    assert loaded.predict_proba(TEXTS).tolist() == fitted.predict_proba(TEXTS).tolist()
    assert fitted.name in invoke("predict", tmp_path / "model.zip", "such a lovely day").output
    card = zipfile.ZipFile(tmp_path / "model.zip").read("README.md").decode()
    assert "240 texts that were passed to SentimentClassifier.fit" in card
    assert "sets no test tweets aside" in card
    assert ("as was chosen when this file was exported" in card) == (choice == "both")
    loaded.save(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "model.zip").read_bytes()
    if choice == "baseline":
        with pytest.raises(UsageError, match=r"model\.zip: 'network' was not fitted; valid: baseline"):
            load(tmp_path / "model.zip", "network")
        with pytest.raises(UsageError, match="the fitted classifier: 'network' cannot be chosen after the fit"):
            pickle.loads(pickle.dumps(fitted)).set_params(choice="network").save(tmp_path / "other.zip")
    with pytest.raises(UsageError, match=r"name it .*model\.zip"):
        fitted.save(tmp_path / "model.pkl")


def test_run_is_saved_as_export_writes_it(trained: RunDir, tmp_path: Path) -> None:
    load(trained.path).save(tmp_path / "saved.zip")
    assert invoke("export", trained.path, tmp_path / "exported.zip").exit_code == 0
    assert (tmp_path / "saved.zip").read_bytes() == (tmp_path / "exported.zip").read_bytes()
    load(tmp_path / "saved.zip").save(tmp_path / "again.zip")
    load(trained.path, "both").save(tmp_path / "both.zip")
    assert load(tmp_path / "both.zip").name == "mean of both"
    with pytest.raises(UsageError, match="'network' cannot be chosen after the fit or the export"):
        load(tmp_path / "both.zip", "network").save(tmp_path / "network.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "saved.zip").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "choice", "given", "order"),
    [
        ((9, 10), None, None, ["9", "10"]),
        ((False, True), "baseline", None, ["False", "True"]),
        ((1.0, 2.0), "baseline", None, ["1.0", "2.0"]),
        ((0.0, 1.0), "baseline", None, ["0.0", "1.0"]),
        ((" positive", "negative"), "baseline", None, ["negative", " positive"]),
        (("9", "10"), "baseline", None, ["10", "9"]),
        (("sad", "happy"), "baseline", None, ["sad", "happy"]),
        (("yawn", "zest"), "baseline", ["zest", "yawn"], ["zest", "yawn"]),
    ],
)
def test_labels_of_any_kind_are_answered_in_the_order_of_scikit_learn_and_saved_as_they_were_fitted(
    tiny: SentimentClassifier, names: tuple[Any, Any], choice: Any, given: Any, order: list[str], tmp_path: Path
) -> None:
    labels = pd.Series([names[label] for label in Y])
    tiny.set_params(classes=given, choice=choice).fit(pd.DataFrame({"text": X}), labels)
    assert tiny.classes_.tolist() == sorted(names)
    assert list(tiny.config.data.label_names) == order
    assert tiny.score(X, labels) > 0.7
    assert (tiny.classes_[tiny.predict_proba(X).argmax(1)] == tiny.predict(X)).all()
    tiny.save(tmp_path / "model.zip")
    loaded = load(tmp_path / "model.zip")
    assert [*map(repr, loaded.classes_)] == [*map(repr, tiny.classes_)]
    assert loaded.predict_proba(TEXTS).tolist() == tiny.predict_proba(TEXTS).tolist()
    assert loaded.predict(TEXTS).tolist() == tiny.predict(TEXTS).tolist()


@pytest.mark.slow
def test_search_and_cross_validation_train_anew_for_each_fold(tiny: SentimentClassifier) -> None:
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    texts, labels = np.array(X), np.array(Y)
    steps = Pipeline([("strip", FunctionTransformer()), ("classifier", tiny)])
    tried = {"classifier__model__hidden_size": [4, 6], "classifier__choice": ["network"]}
    found = GridSearchCV(steps, tried, cv=2, scoring="roc_auc").fit(np.tile(texts, 2), np.tile(labels, 2))
    assert found.best_score_ > 0.6
    best = found.best_estimator_["classifier"]
    assert best.config.model.hidden_size == found.best_params_["classifier__model__hidden_size"]


@pytest.mark.slow
def test_fit_leaves_nothing_unless_it_is_given_a_folder_in_which_it_is_done_once(
    tiny: SentimentClassifier, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tiny.fit(X, Y)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
    for _ in range(2):
        kept = clone(tiny).set_params(results=tmp_path / "results", seed=np.int64(1)).fit(X, Y)
    (run_dir,) = (tmp_path / "results/runs/single").iterdir()
    loaded = load(run_dir)
    assert repr(loaded) == f"<SentimentClassifier: linear baseline of {run_dir}, classes 0, 1>"
    assert kept.predict_proba(X).tolist() == loaded.predict_proba(X).tolist()
    again = clone(loaded).set_params(results=None).fit(X, Y)
    assert again.predict_proba(X).tolist() == tiny.predict_proba(X).tolist()


@pytest.mark.parametrize(
    ("changes", "texts", "labels", "error", "said"),
    [
        ({}, X, None, ValueError, "requires y to be passed, but the target y is None"),
        ({}, X, Y[:-1], ValueError, "a label for each text, not 239 labels for 240 texts"),
        ({}, X, ["yes"] * 240, ValueError, r"y has only 1 class \(yes\)"),
        ({}, X, [str(n % 24) for n in range(240)], ValueError, "2 to 20 classes are needed"),
        ({}, X, ["ignored", *map(str, Y[1:])], ValueError, "y has the label 'ignored'"),
        ({}, X, [*Y[:-1], None], ValueError, r"y\[239\] is None: leave texts without a label out \(1 of 240\)"),
        ({}, [*X[:-1], None], Y, TypeError, r"fit: texts\[239\] is NoneType"),
        ({}, X, ["a", "b", float("nan")] * 80, ValueError, r"y\[2\] is nan: leave .* out \(80 of 240\)"),
        ({}, {*X}, Y, TypeError, "fit takes texts in an order, not a set"),
        ({}, X, ["Good", "good", "bad"] * 80, ValueError, "labels 'Good' and 'good', which differ only in case"),
        ({}, X, ["1", "1.0", "2"] * 80, ValueError, "labels '1' and '1.0', which differ only in case, blanks or zeros"),
        ({}, X, [1, "neg"] * 120, ValueError, "Unknown label type: y has labels of type int, str"),
        ({}, X, pd.to_datetime(["2020-01-01", "2021-01-01"] * 120), ValueError, "Unknown label type: .*datetime64"),
        ({"model__hiden_size": 3}, X, Y, ConfigError, "did you mean 'hidden_size'"),
        ({"elmo__model": "tiny"}, X, Y, UsageError, "'tiny' is stored in a results folder"),
        ({"choice": "network"}, X[:6], Y[:6], DataError, "add some hundreds"),
        ({"classes": ["0", "2"]}, X, Y, ValueError, "classes=.*must be the labels of y in their order: 0, 1"),
    ],
)  # fmt: skip
def test_fit_refuses_in_a_line(
    tiny: SentimentClassifier, changes: dict[str, Any], texts: Any, labels: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        tiny.set_params(**changes).fit(texts, labels)


@pytest.mark.slow
def test_rare_classes_are_learned_and_texts_without_words_left_out(tiny: SentimentClassifier) -> None:
    texts = [*X, *(f"meh meh {number}" for number in range(5)), *[""] * 40]
    labels = [*("happy" if label else "sad" for label in Y), *["so so"] * 5, *["sad"] * 40]
    fitted = tiny.fit(texts, labels)
    assert fitted.classes_.tolist() == ["happy", "sad", "so so"]
    assert fitted.predict_proba(["meh"]).shape == (1, 3)


def test_networks_are_fitted_in_threads(tiny: SentimentClassifier) -> None:
    with ThreadPoolExecutor(2) as pool:
        fitted = list(pool.map(lambda seed: clone(tiny).set_params(choice="network", seed=seed).fit(X, Y), [1, 1]))
    assert fitted[0].predict_proba(X).tolist() == fitted[1].predict_proba(X).tolist()


def test_waiting_for_another_thread_takes_no_time_of_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Waiting:
        """The lock, for which a fit waits for a hundred seconds."""

        def __enter__(self) -> None:
            monkeypatch.setattr("sentiment.training.stop.time", SimpleNamespace(monotonic=lambda: 1100.0))

        def __exit__(self, *_error: object) -> None:
            pass

    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    monkeypatch.setattr("sentiment.training.stop.time", SimpleNamespace(monotonic=lambda: 1000.0))
    monkeypatch.setattr(library, "_ONE_FIT_AT_A_TIME", Waiting())
    config = small_config(tmp_path / "tweets.csv", **{"runtime.time_limit_seconds": 60.0})
    with library._run_context(config, Results(tmp_path), 0) as run:
        assert run.stop.end == 1160.0


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 4])
def test_few_texts_give_the_baseline_without_one_set_aside(classes: int) -> None:
    labels = [["sad", "happy", "so so", "odd"][number % classes] for number in range(30)]
    texts = [f"{label} {label} tea {number}" for number, label in enumerate(labels)]
    with pytest.warns(UserWarning, match="30 texts are too few to validate a network, for which 200 are needed"):
        model = SentimentClassifier().fit(texts, labels)
    assert (model.name, model.classes_.tolist()) == ("linear baseline", sorted(set(labels)))
    assert model.predict(["happy tea", "sad tea"]).tolist() == ["happy", "sad"]
    assert model.explain("sad tea").tokens == ["sad", "tea"]


@pytest.mark.slow
def test_scores_are_those_of_the_texts_that_were_set_aside_or_are_given(
    tiny: SentimentClassifier, trained: RunDir
) -> None:
    fitted = clone(tiny).fit(X, Y)
    names = ("network", "linear baseline", "mean of both")
    assert fitted.scores_.index.tolist() == [(name, "validation") for name in names]
    assert 0 < fitted.scores_["n"].max() < len(X) / 5
    of_run = load(trained.path).scores_
    stored_result = trained.read(Result)
    assert of_run.loc[("network", "test"), "accuracy"] == stored_result.scores["network"]["test"].accuracy
    given = fitted.evaluate(X, pd.Series(Y, index=range(7, 7 + len(Y))))
    assert given["accuracy"] == fitted.score(X, Y)
    assert given["recall"]["1"] == recall_score(Y, fitted.predict(X))
    alone = clone(tiny).set_params(choice="baseline").fit(X, Y)
    assert alone.scores_.empty
    with pytest.raises(ValueError, match="is needed for each of the 240 texts"):
        fitted.evaluate(X, Y[1:])
    with pytest.raises(ValueError, match=r"y\[0\] is 7, which is none of"):
        fitted.evaluate(X, [7, *Y[1:]])
    with pytest.raises(ValueError, match="of 240 some have none"):
        fitted.evaluate(X, [None, *Y[1:]])


def test_fit_leaves_the_modes_of_torch_as_they_were(tiny: SentimentClassifier) -> None:
    import torch

    def modes() -> list[Any]:
        state = torch.get_rng_state().tolist()
        return [torch.get_deterministic_debug_mode(), torch.get_num_threads(), torch.backends.cudnn.allow_tf32, state]

    before = modes()
    tiny.set_params(choice="network").fit(X, Y)
    with pytest.raises(ConfigError):
        tiny.set_params(training__batch_size=0).fit(X, Y)
    assert modes() == before


def test_fit_sets_no_test_part_aside(tiny: SentimentClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentiment.training import experiment

    corpora = []

    def fit(corpus: Corpus, progress: Progress) -> tuple[LinearModel, dict[str, Any]]:
        corpora.append(corpus)
        return fit_linear_model(corpus, progress)

    monkeypatch.setattr(experiment, "fit_linear_model", fit)
    for only_compared in (
        "models.baseline.rate_rows",
        "training.publishing.answer_checks",
        "training.publishing._scores",
    ):
        monkeypatch.setattr(f"sentiment.{only_compared}", lambda *_: pytest.fail("is only compared"))
    tiny.fit(X, Y)
    (corpus,) = corpora
    sizes = [len(corpus.rows(part)) for part in ("train", "validation", "test")]
    assert (sum(sizes), sizes[2]) == (240, 0)
    assert corpus.rows("validation").size > 10
    corpora.clear()
    tiny.set_params(choice="network").fit(X, Y)
    assert not corpora


@pytest.mark.parametrize("choice", [None, "baseline"])
def test_interrupted_fit_leaves_the_classifier_as_it_was(
    tiny: SentimentClassifier, choice: ModelKind | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tiny.fit(X, Y).predict_proba(TEXTS).tolist()

    def interrupt(*_: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return 1.0

    monkeypatch.setattr("sentiment.models.baseline._by_cross_validation", interrupt)
    said = (
        None if choice else r"stopped \(SIGINT\); nothing of this fit is kept; with results='results' it would resume"
    )
    with pytest.raises(KeyboardInterrupt, match=said):
        tiny.set_params(choice=choice).fit(X, ["other" if label else "labels" for label in Y])
    assert tiny.predict_proba(TEXTS).tolist() == before
    assert tiny.classes_.tolist() == [0, 1]


def test_what_needs_a_fitted_classifier_says_so(tiny: SentimentClassifier) -> None:
    for ask in (tiny.predict, tiny.knows, tiny.explain):
        with pytest.raises(NotFittedError):
            ask(TEXTS)
    assert not hasattr(tiny, "name")


class _Counting(TextModel):
    """Says something of any text, so that scikit-learn's tests train nothing."""

    name = "counting"

    def __init__(self, config: RunConfig, *_: Any) -> None:
        self.config = config
        self.classes = len(config.data.label_names)

    def classify_texts(self, texts: Any) -> Predictions:
        weights = [[1 + sum(map(ord, text)) * (index + 7) % 97 for index in range(self.classes)] for text in texts]
        probabilities = np.array(weights, float).reshape(len(texts), self.classes)
        return Predictions(probabilities / probabilities.sum(axis=1, keepdims=True), np.ones(len(texts), bool))


class _OfNumbers(SentimentClassifier):
    """Takes the tables of scikit-learn's tests: each row is a text."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = InputTags()
        return tags


NOT_FOR_TEXTS = {
    "check_n_features_in": "a text has no features",
    "check_n_features_in_after_fitting": "a text has no features",
    "check_estimators_empty_data_messages": "rows without features are texts here, as any other row",
    "check_fit1d": "a single dimension is the right one for texts; numbers in it are refused by a TypeError",
    "check_fit2d_predict1d": "a single dimension is the right one for texts; numbers in it are refused by a TypeError",
    "check_dtype_object": "rows of dictionaries are texts here, as any other row",
    "check_estimators_nan_inf": "rows with NaN are texts here, as any other row; a missing text is another test",
    "check_estimator_sparse_tag": "texts have no sparse form",
    "check_estimator_sparse_array": "texts have no sparse form",
    "check_estimator_sparse_matrix": "texts have no sparse form",
    "check_classifiers_train": "the stand-in learns nothing; training is what other tests see",
}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # from scikit-learn's own look at labels
def test_estimator_passes_the_tests_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.utils.estimator_checks import check_estimator

    with pytest.warns(SkipTestWarning, match="requires input"):
        check_estimator(SentimentClassifier())
    checked = library._iter_texts

    def rows(table: Any, method: str) -> Any:
        array = np.asarray(table)
        return checked([str(row) for row in array.tolist()] if array.ndim == 2 else table, method)

    monkeypatch.setattr(library, "_iter_texts", rows)
    result = FitResult(recommended="network", temperatures={"network": 1}, texts=0)

    def fit(config: RunConfig, results: Results, *_: Any) -> StoredModels:
        return StoredModels(path="fitted", config=config, result=result, results=results, files={})

    monkeypatch.setattr(library, "_fit", fit)
    monkeypatch.setattr(StoredModels, "model", lambda stored, _choice: _Counting(stored.config))
    check_estimator(_OfNumbers(choice="network"), expected_failed_checks=NOT_FOR_TEXTS, on_skip=None)
