"""The program as a library: `from sentiment import SentimentClassifier, load, train`.

    model = SentimentClassifier("rnn").fit(texts, labels)
    model.predict(["what a lovely day"])           # array(['positive'])
    model.predict_proba(["what a lovely day"])     # array([[0.005, 0.995]])
    model.explain("what a lovely day")             # a weight for each token

`load` reads a trained one from a run's directory or an exported file, and `train` trains from a table as the command
does. All are one class, an estimator of scikit-learn: in pipelines, `cross_val_score`, `GridSearchCV`, pickles.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sentiment.config import RunConfig
from sentiment.config_file import dotted, read_yaml, resolve
from sentiment.console import Console, silent
from sentiment.data.guess_columns import known_pair, resolve_with_guesses
from sentiment.errors import SentimentError, UsageError
from sentiment.files import config_path, fingerprint, named_path, write_once
from sentiment.inference.predict import CHUNK, Explanation, explain
from sentiment.inference.stored import open_model
from sentiment.models.text_model import Predictions, TextModel, checked_threshold
from sentiment.runs.records import MODEL_NAMES, THRESHOLD, ModelChoice
from sentiment.runs.run_dir import Results

Texts = Iterable[str]
Labels = npt.NDArray[Any]


class SentimentClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Tells two kinds of texts apart, as a run of the program does: a net, a linear model, or the mean of both.

    Of the texts that it is fitted on, a tenth chooses the epoch and which of the three predicts, and a tenth tests.

    Attributes:
        classes_: the two labels in ascending order, shape (2,), as all estimators of scikit-learn have them. The
            second is the positive one, unless the words say otherwise, as happy and sad do.
        name: what predicts.
        config: of its run; of an exported file with names in place of paths.
    """

    def __init__(
        self,
        run: str | PathLike[str] | RunConfig = "rnn",
        changes: Mapping[str, Any] | None = None,
        seed: int | None = None,
        choice: ModelChoice | None = None,
        results: str | PathLike[str] | None = None,
        show_progress: bool = False,
    ) -> None:
        """Say how to train; nothing is read before `fit`.

        Args:
            run: a YAML file, its name in `configs/runs`, or the `config` of another model.
            changes: values of fields by dotted name, such as `{"model.hidden_size": 32}`. A search over several fields
                tries each of `ParameterGrid({"model.hidden_size": [16, 32], "model.dropout": [0, 0.2]})`.
            seed: of initial weights, batches and dropout; None takes that of the run.
            choice: `network`, `baseline` or `both` (their mean); None is the most accurate one on validation tweets.
            results: the folder in which a fit that was stopped goes on, and one that is done is read; None is a
                temporary one.
            show_progress: print a line for each epoch.
        """
        self.run, self.changes, self.seed, self.choice = run, changes, seed, choice
        self.results, self.show_progress = results, show_progress

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - so scikit-learn calls it
        """Train on texts and their labels.

        Args:
            X: a list, an array, a Series, a generator, or a table with one column.
            y: two different values, such as words, numbers or truths; as many as texts.

        Raises:
            TypeError: something in `X` is no text.
            ValueError: `y` has not two values, lacks some, or has not as many as there are texts.
            SentimentError: the run cannot be trained; the message says what to mend.
            KeyboardInterrupt: Ctrl+C or the run's time limit.
        """
        texts, (meanings, names) = [*_checked(X, "fit")], _two_labels(y)
        if len(texts) != len(names):
            raise ValueError(f"fit takes a label for each text, not {len(names):,} labels for {len(texts):,} texts")
        choice, (values, origin) = _checked_choice(self.choice), _read_run(self.run)
        negative, positive = map(str, meanings)
        parameters = (
            {"data.tests": {}} | _plain(self.changes) | _plain({} if self.seed is None else {"seed": self.seed})
        )
        labels = {"negative": [negative], "positive": [positive], "ignored": []}
        parameters |= {"data.columns": {}, "data.labels": labels}
        with TemporaryDirectory(prefix="sentiment-") as temporary:
            folder = Results(Path(self.results or temporary))
            if self.results is None:
                parameters["tracking.wandb"] = "disabled"  # nothing stays that could be uploaded later
            parameters["data.source"] = str(_write_table(folder, texts, names))
            config = resolve(values, parameters, origin)
            if (encoder := config.any_encoder) and self.results is None and not named_path(encoder.model).is_dir():
                raise UsageError(f"{encoder.model!r} lies in a folder of results: name it, as results='results'")
            trained = _train(config, folder, choice, self.show_progress)
        return self._holding(trained, meanings)

    def _holding(self, trained: TextModel, meanings: Labels | None = None) -> Self:
        """This estimator with a trained model; `meanings` are its negative and its positive label."""
        self._trained = trained
        self._meanings = np.array(trained.config.data.label_names) if meanings is None else meanings
        self.classes_ = np.sort(self._meanings)
        return self

    def predict(self, X: Any, threshold: float = THRESHOLD) -> Labels:  # noqa: N803
        """The label of each text, also where it is a guess (see `knows`); positive from the threshold on.

        Raises:
            TypeError: `X` is one text, or holds something that is none; names its place.
            UsageError: the threshold is no probability.
        """
        positive = self._classify(X, "predict").probabilities >= checked_threshold(threshold)
        labels: Labels = self._meanings[positive.astype(int)]
        return labels

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """The probability of each label, shape (n, 2), in the order of `classes_`."""
        positive = self._classify(X, "predict_proba").probabilities
        return np.column_stack([positive if one == self._meanings[1] else 1 - positive for one in self.classes_])

    def knows(self, X: Any) -> npt.NDArray[np.bool_]:  # noqa: N803
        """Whether the model knows any word of each text, shape (n,); its label is a guess where it does not."""
        return self._classify(X, "knows").usable

    def explain(self, text: str) -> Explanation:
        """One prediction with a weight for each token: attention, or what leaving the token out would change."""
        check_is_fitted(self)
        if not isinstance(text, str):
            raise TypeError(f"explain takes one text, not {_described(text)}")
        return explain(self._trained, text)

    @property
    def name(self) -> str:
        check_is_fitted(self)
        return self._trained.name

    @property
    def config(self) -> RunConfig:
        check_is_fitted(self)
        return self._trained.config

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, True, False
        tags.classifier_tags.multi_class = False
        return tags

    def _classify(self, texts: Any, method: str) -> Predictions:
        check_is_fitted(self)
        checked = _checked(texts, method)
        parts = [Predictions(np.empty(0), np.empty(0, bool))]
        while chunk := list(islice(checked, CHUNK)):
            parts.append(self._trained.classify_texts(chunk))
        return Predictions.joined(parts)


def load(
    path: str | PathLike[str], choice: ModelChoice | None = None, results: str | PathLike[str] | None = None
) -> SentimentClassifier:
    """A trained model: the directory of a run, or a file that `sentiment export` wrote.

    Args:
        choice: `network`, `baseline` or `both` (their mean); None is the most accurate one on validation tweets.
        results: where its encoder is looked for; None is the folder that a run lies in, else `results`.

    Raises:
        SentimentError: there is no such run or choice, or what is there is damaged.
    """
    trained = open_model(Path(path), _checked_choice(choice), Results(Path(results)) if results else None)
    return SentimentClassifier(trained.config, choice=choice, results=results)._holding(trained)


def train(
    run: str | PathLike[str] = "rnn",
    data: str | PathLike[str] | None = None,
    changes: Mapping[str, Any] | None = None,
    results: str | PathLike[str] = "results",
    show_progress: bool = False,
) -> SentimentClassifier:
    """Train a run, or resume it where it stopped, and load its model; a completed run is loaded at once.

    Args:
        run: a YAML file, or its name in `configs/runs`; `changes` as of `SentimentClassifier`.
        data: a table of tweets, or a data set's name; None takes what the run says.
        show_progress: print what was guessed of the table's columns, and a line for each epoch.

    Raises:
        SentimentError: the run cannot be trained; the message says what to mend.
        KeyboardInterrupt: Ctrl+C or the run's time limit; the same call goes on from what is saved.
    """
    values, origin = _read_run(run)
    parameters = _plain(changes) | ({} if data is None else {"data.source": str(data)})
    config, found = resolve_with_guesses(values, dotted(values), parameters, origin)
    for line in found.told() if found and show_progress else ():
        print(line)
    trained = _train(config, Results(Path(results)), None, show_progress)
    return SentimentClassifier(config, results=results, show_progress=show_progress)._holding(trained)


def _train(config: RunConfig, folder: Results, choice: ModelChoice | None, show_progress: bool) -> TextModel:
    from sentiment.training.experiment import run_experiment
    from sentiment.training.stop import RunContext, StopRequest, process_deadline

    run_dir = folder.run_dir(config.run_id)
    console = Console(say=print if show_progress else lambda _line: None, progress=silent)
    try:
        with StopRequest(process_deadline(config.runtime.time_limit_seconds, time.time())) as stop:
            reason = run_experiment(RunContext(config, folder, run_dir, stop, console))
    except SentimentError:
        run_dir.discard_unbegun()
        raise
    if reason:
        raise KeyboardInterrupt(
            f"stopped ({reason.detail}); the same call goes on from what is saved in {run_dir.path}"
        )
    return open_model(run_dir.path, choice, folder)


def _read_run(run: Any) -> tuple[dict[str, Any], str]:
    """The values of a run, and where they come from, for messages."""
    if isinstance(run, RunConfig):
        return run.model_dump(), "the configuration"
    file = config_path(Path(run), "runs")
    return read_yaml(file), str(file)


def _plain(changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Changes as the configuration takes them: paths as text, numbers of NumPy as Python's."""
    if wrong := [name for name in changes or {} if not isinstance(name, str)]:
        raise UsageError(f"changes: {wrong[0]!r} is no dotted name of a field, such as 'model.hidden_size'")
    return {
        name: str(value) if isinstance(value, PathLike) else value.item() if isinstance(value, np.generic) else value
        for name, value in (changes or {}).items()
    }


def _checked_choice(choice: ModelChoice | None) -> ModelChoice | None:
    if choice is not None and choice not in MODEL_NAMES:
        raise UsageError(f"choice={choice!r}: valid are {', '.join(MODEL_NAMES)}")
    return choice


def _write_table(folder: Results, texts: list[str], labels: list[str]) -> Path:
    """A table called after its content, so that the same fit is the same run."""
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    path = folder.tables / f"texts-{fingerprint(rows)[:8]}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_once(path, lambda file: file.write("".join(f"{json.dumps(row)}\n" for row in rows).encode()))
    return path


def _two_labels(y: Any) -> tuple[Labels, list[str]]:
    """The negative and the positive one of two labels, and that of each text as a word."""
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None: it is the labels of the texts")
    labels = column_or_1d(y, warn=True)
    if len(missing := np.flatnonzero(pd.isna(labels))):
        told = f"y[{missing[0]}] is {labels[missing[0]]}"
        raise ValueError(f"{told}: leave texts without a label out ({len(missing):,} of {len(labels):,})")
    check_classification_targets(labels)
    names, classes = [*map(str, labels.tolist())], np.unique(labels)
    if len(classes) != 2:
        found = ", ".join([*map(str, classes[:5].tolist())]) + ", ..." * (len(classes) > 5)
        only = "two classes are needed; y has only 1 class"
        if len(classes) > 1:  # in scikit-learn's words
            only = "Only binary classification is supported. The type of the target is multiclass. Leave the others out"
        raise ValueError(f"{only} ({found})")
    pair = known_pair([*map(str, classes.tolist())])
    return classes[::-1] if pair and pair[0] == str(classes[1]) else classes, names


def _checked(texts: Any, method: str) -> Iterator[str]:
    if isinstance(texts, str):
        raise TypeError(f"{method} takes several texts, not one: put it into a list, {method}([text])")
    shape: tuple[int, ...] = getattr(texts, "shape", ())
    if len(shape) == 2 and shape[1] == 1:  # a table with one column, as scikit-learn's searches cut it
        texts = np.asarray(texts)[:, 0]
    elif hasattr(texts, "columns"):
        raise TypeError(f"{method} takes one column of texts, not {shape[1]}: name it, as in table['text']")
    if isinstance(texts, bytes | Mapping) or not isinstance(texts, Iterable):
        raise TypeError(f"{method} takes a list, a Series or a generator of texts, not {_described(texts)}")
    for place, text in enumerate(texts.to_pylist() if hasattr(texts, "to_pylist") else texts):  # Arrow's arrays
        if not isinstance(text, str):
            missing = text is None or text != text  # only NaN differs from itself
            hint = "; leave missing texts out, or put '' in their place" if missing is True else ""
            raise TypeError(f"{method}: texts[{place}] is {_described(text)}, not a text{hint}")
        yield str(text)


def _described(value: Any) -> str:
    said = repr(value)
    quoted = f" ({said})" if len(said) <= 60 and "\n" not in said else ""
    return f"{type(value).__name__}{quoted}"
