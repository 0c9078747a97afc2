"""The program as a library: `from sentiment import load, train`.

    model = load("results/runs/single/RUN_ID")     # or a file that `sentiment export` wrote
    model.predict(["what a lovely day"])           # array(['positive'])
    model.predict_proba(["what a lovely day"])     # array([[0.005, 0.995]])
    model.explain("what a lovely day")             # a weight for each token

A model follows scikit-learn's conventions: it can be the last step of a pipeline and be scored by its metrics.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Never

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin

from sentiment.config_file import dotted, read_yaml
from sentiment.console import Console, silent
from sentiment.data.guess_columns import resolve_with_guesses
from sentiment.errors import SentimentError, UsageError
from sentiment.files import config_file
from sentiment.inference.predict import CHUNK, Explanation, explain
from sentiment.inference.stored import open_model
from sentiment.models.text_model import Reading, TextModel
from sentiment.runs.records import MODEL_NAMES, THRESHOLD, Recommendation
from sentiment.runs.run_dir import Results

_LONGEST_QUOTE = 60


class Model(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A trained classifier of texts: `classes_` are the names of the negative and the positive label, shape (2,).

    `name` says what predicts, and `config` is that of its run; of an exported file with names in place of paths.
    """

    def __init__(self, trained: TextModel) -> None:
        self.trained = trained
        self.classes_ = np.array(trained.config.data.label_names)
        self.name, self.config = trained.name, trained.config

    def predict(self, texts: Iterable[str], threshold: float = THRESHOLD) -> npt.NDArray[np.str_]:
        """The label of each text; the empty label where the model knows no word.

        Args:
            texts: a list, a pandas Series, an array or a generator of any length.
            threshold: the label is positive from this probability on.

        Raises:
            TypeError: `texts` is one text, or holds something that is none; names its place.
            UsageError: the threshold is no probability.
        """
        return self._read(texts, "predict").labels(self.classes_, threshold)[0]

    def predict_proba(self, texts: Iterable[str]) -> npt.NDArray[np.float64]:
        """The probability of each label, shape (n, 2), in the order of `classes_`; NaN where no word is known.

        Raises:
            TypeError: as `predict`.
        """
        reading = self._read(texts, "predict_proba")
        positive = np.where(reading.usable, reading.probabilities, np.nan)
        return np.column_stack([1 - positive, positive])

    def explain(self, text: str) -> Explanation:
        """One prediction with a weight for each token: attention, or what leaving the token out would change.

        Raises:
            TypeError: `text` is not one text.
            UsageError: it is too long to leave out each of its tokens.
        """
        if not isinstance(text, str):
            raise TypeError(f"explain takes one text, not {_described(text)}")
        return explain(self.trained, text)

    def fit(self, texts: Any = None, labels: Any = None) -> Never:  # noqa: ARG002
        """Is refused: fitting anew in each fold, as scikit-learn's searches do, is not what a trained model does.

        Raises:
            TypeError: always.
        """
        raise TypeError("this model is trained already; sentiment.train(...) trains another one")

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Model({self.trained.config.title}, by the {self.name})"

    def _read(self, texts: Iterable[str], method: str) -> Reading:
        checked = _checked(texts, method)
        readings = [Reading(np.empty(0), np.empty(0, bool))]
        while chunk := list(islice(checked, CHUNK)):
            readings.append(self.trained.read_texts(chunk))
        return Reading.joined(readings)


def load(
    path: str | PathLike[str], choice: Recommendation | None = None, results: str | PathLike[str] | None = None
) -> Model:
    """A trained model.

    Args:
        path: the directory of a run, or a file that `sentiment export` wrote.
        choice: `network`, `baseline` or `both` (their mean); None is the most accurate one on validation tweets.
        results: where its encoder is looked for; None is the folder that a run lies in, else `results`.

    Raises:
        UsageError: there is no such run or choice.
        SentimentError: what is there is damaged.
    """
    if choice is not None and choice not in MODEL_NAMES:
        raise UsageError(f"choice={choice!r}: valid are {', '.join(MODEL_NAMES)}")
    return Model(open_model(Path(path), choice, Results(Path(results)) if results else None))


def train(
    run: str | PathLike[str] = "rnn",
    data: str | PathLike[str] | None = None,
    changes: Mapping[str, Any] | None = None,
    results: str | PathLike[str] = "results",
    show_progress: bool = False,
) -> Model:
    """Train a run, or resume it where it stopped, and load its model; a completed run is loaded at once.

    Args:
        run: a YAML file, or its name in `configs/runs`.
        data: a table of tweets, or a data set's name; None takes what the run says.
        changes: values of fields by dotted name, such as `{"model.hidden_size": 32, "seed": 2}`.
        results: the folder for all results.
        show_progress: print what was guessed of the table's columns, and a line for each epoch.

    Raises:
        SentimentError: the run cannot be trained; the message says what to mend.
        KeyboardInterrupt: Ctrl+C or the run's time limit, after everything was saved; the same call goes on.
    """
    from sentiment.training.experiment import run_experiment
    from sentiment.training.stop import RunContext, StopRequest, end_of_time

    file = config_file(Path(run), "runs")
    if wrong := [name for name in changes or {} if not isinstance(name, str)]:
        raise UsageError(f"changes: {wrong[0]!r} is no dotted name of a field, such as 'model.hidden_size'")
    parameters = {name: _plain(value) for name, value in (changes or {}).items()}
    if data is not None:
        parameters["data.source"] = str(data)
    values, start = read_yaml(file), time.time()
    config, found = resolve_with_guesses(values, dotted(values), parameters, str(file))
    folder = Results(Path(results))
    run_dir = folder.run_dir(config.run_id)
    console = Console(say=print if show_progress else lambda _line: None, progress=silent)
    for line in found.told() if found else ():
        console.say(line)
    try:
        with StopRequest(end_of_time(config.runtime.time_limit_seconds, start)) as stop:
            reason = run_experiment(RunContext(config, folder, run_dir, stop, console))
    except SentimentError:
        run_dir.discard_unbegun()
        raise
    if reason:
        raise KeyboardInterrupt(f"stopped ({reason.detail}); all is saved in {run_dir.path}: the same call goes on")
    return load(run_dir.path)


def _plain(value: Any) -> Any:
    """A value as the configuration takes it: paths as text, numbers of NumPy as Python's."""
    if isinstance(value, PathLike):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def _checked(texts: Any, method: str) -> Iterator[str]:
    if isinstance(texts, str):
        raise TypeError(f"{method} takes several texts, not one: put it into a list, {method}([text])")
    if isinstance(texts, bytes | Mapping) or hasattr(texts, "columns") or not isinstance(texts, Iterable):
        hint = "; name its column, as in table['text']" if hasattr(texts, "columns") else ""
        raise TypeError(f"{method} takes a list, a Series or a generator of texts, not {_described(texts)}{hint}")
    for place, text in enumerate(texts.to_pylist() if hasattr(texts, "to_pylist") else texts):  # Arrow's arrays
        if not isinstance(text, str):
            missing = text is None or text != text  # only NaN differs from itself
            hint = "; leave missing texts out, or put '' in their place" if missing is True else ""
            raise TypeError(f"{method}: texts[{place}] is {_described(text)}, not a text{hint}")
        yield str(text)


def _described(value: Any) -> str:
    said = repr(value)
    quoted = f" ({said})" if len(said) <= _LONGEST_QUOTE and "\n" not in said else ""
    return f"{type(value).__name__}{quoted}"
