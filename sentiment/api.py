"""The program as a library: `from sentiment import SentimentClassifier, load, train`.

    model = SentimentClassifier("rnn").fit(texts, labels)
    model.predict(["what a lovely day"])           # array(['positive'])
    model.predict_proba(["what a lovely day"])     # array([[0.005, 0.995]])
    model.explain("what a lovely day")             # a weight for each token
    model.share(texts, labels)                     # the share of each class; labels: None for most of the texts

`load` reads a trained model from a run's directory or an exported file, and `train` trains from a table as the command
does. All return a SentimentClassifier, a scikit-learn estimator that works in pipelines, `cross_val_score`,
`GridSearchCV` and pickles.
"""

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sentiment.config import RunConfig
from sentiment.config_file import dotted, read_yaml, resolve
from sentiment.console import Console, silent
from sentiment.data.classes import IGNORED, MAX_CLASSES, MIN_CLASSES, Classes, word_of
from sentiment.data.guess_columns import resolve_with_guesses
from sentiment.errors import UsageError
from sentiment.files import config_path, fingerprint, user_path, write_once
from sentiment.models.baseline import fit_baseline
from sentiment.models.text_model import Predictions, checked_threshold
from sentiment.predicting.explain import Explanation, explain
from sentiment.predicting.files import classify
from sentiment.predicting.stored import (
    BASELINE_FILE,
    NETWORK_FILE,
    VOCABULARY_FILE,
    StoredModels,
    TrainedRun,
    export_warnings,
    exported_files,
    open_run,
    open_stored,
    weights_as_bytes,
    write_archive,
)
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, SCORES, FitResult, Metrics, ModelKind
from sentiment.runs.run_dir import Results
from sentiment.statistics.metrics import UNLABELLED, ClassIndices, measure, predicted_classes
from sentiment.statistics.shares import estimate_shares, strata_of

if TYPE_CHECKING:
    from sentiment.training.stop import RunContext

# Torch's random numbers and modes are those of the process: of two threads, each would change what the other computes.
_ONE_FIT_AT_A_TIME = Lock()
# With fewer texts, a tenth of them is too small to tell whether a network has learned anything.
_MIN_NETWORK_TEXTS = 200
_FITTED = "the fitted classifier"  # in place of a path

LabelArray = npt.NDArray[Any]


class SentimentClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Text classifier for 2 to 20 classes, trained like a run: a network, a linear model, or the mean of both.

    Of the texts that it is fitted on, 10 % are the validation set (early stopping, model selection). It predicts by the
    simplest of the three models that validation texts do not show to be worse than another one, often the linear
    baseline: a logistic regression on words. `name` says which one; `choice="network"` predicts by the network in any
    case. The linear baseline alone (`choice="baseline"`) learns from all texts. On fewer than 200 texts only it is
    fitted, since a tenth of them is too small to validate a network, unless `choice` names another model.

    Attributes:
        classes_: the labels in ascending order, as in every scikit-learn classifier.
        name: the model that predicts, such as "network".
        scores_: n, loss (nats), accuracy, its 95 % interval (Wilson), macro precision, recall and F1 of each predictor
            on the texts that were set aside, "validation" and "test"; without rows if only the baseline was fitted.
        config: the run's configuration; for exported files, paths are replaced by file names.
    """

    def __init__(
        self,
        run: str | PathLike[str] | RunConfig = "rnn",
        choice: ModelKind | None = None,
        results: str | PathLike[str] | None = None,
        verbose: int = 0,
        classes: Sequence[Any] | None = None,
        **fields: Any,
    ) -> None:
        """Store the parameters; no file is read before `fit`.

        Args:
            run: a YAML file, its name in `configs/runs`, or the `config` of another model.
            choice: `network`, `baseline` or `both` (their mean); None: the one that validation tweets recommend.
            results: the results folder in which `fit` trains a run: if it was interrupted, it resumes; if it is
                completed, it is loaded. Reports show it, so another 10 % of the texts are set aside as its test set.
                Not used if only the baseline is fitted. None: a temporary folder.
            verbose: 0 prints nothing, 1 a line for each epoch.
            classes: the labels, from the most negative to the most positive; None: the order of known words such as sad
                and happy, otherwise ascending order.
            fields: values of the configuration's fields, with two underscores for the dot, such as
                `model__hidden_size=32`, also in scikit-learn's searches.
        """
        self.run = run
        self.choice = choice
        self.results = results
        self.verbose = verbose
        self.classes = classes
        self._fields = fields

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters, with those fields of the configuration that were given."""
        own: dict[str, Any] = super().get_params(deep)
        return own | self._fields

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters, or fields of the configuration as `model__hidden_size=32`."""
        own = self._get_param_names()
        self._fields = self._fields | {name: value for name, value in parameters.items() if name not in own}
        super().set_params(**{name: value for name, value in parameters.items() if name in own})
        return self

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - the name that scikit-learn uses
        """Train on texts and their labels.

        Args:
            X: a list, an array, a Series, a generator, or a table with one column.
            y: labels of 2 to 20 classes (strings, numbers or booleans); same length as X.

        Raises:
            TypeError: an element of `X` is not a str.
            ValueError: `y` has one class or more than 20, has missing values, or differs from `X` in length.
            SentimentError: the run cannot be trained; the message says what to fix.
            KeyboardInterrupt: Ctrl+C or the run's time limit; the classifier stays as it was.
        """
        texts = list(_iter_texts(X, "fit"))
        classes, labels = _check_labels(y, self.classes)
        if len(texts) != len(labels):
            raise ValueError(f"fit takes a label for each text, not {len(labels):,} labels for {len(texts):,} texts")
        choice = self.choice
        if choice not in (None, *MODEL_KINDS):
            raise UsageError(f"choice={choice!r}: valid are {', '.join(MODEL_KINDS)}")
        values, origin = _read_run(self.run)
        own_labels = {str(label): [str(label)] for label in classes} | {IGNORED: []}
        parameters = {"data.tests": {}} | _changes(self._fields) | {"data.columns": {}, "data.labels": own_labels}
        parameters["data.source"] = "texts.jsonl"
        if choice is None and len(texts) < _MIN_NETWORK_TEXTS:
            choice = "baseline"
            warnings.warn(
                f"{len(texts)} texts are too few to validate a network, for which {_MIN_NETWORK_TEXTS} are needed; "
                "only the linear baseline is fitted",
                stacklevel=2,
            )
        if choice == "baseline":
            config = resolve(values, parameters, origin)
            linear = fit_baseline(config, texts, [*map(config.data.label_names.index, labels)])
            only: dict[ModelKind, float] = {"baseline": 1.0}
            result = FitResult(recommended="baseline", temperatures=only, texts=len(texts), labels=classes.tolist())
            files = {BASELINE_FILE: linear.to_bytes()}
            fitted = StoredModels(path=_FITTED, config=config, result=result, results=Results(), files=files)
            return self._set_trained(fitted, None)
        with TemporaryDirectory(prefix="sentiment-") as temporary:
            results = Results(Path(self.results or temporary))
            if self.results is None:
                parameters["tracking.wandb"] = "disabled"  # nothing remains that could be uploaded later
            parameters["data.source"] = str(_write_table(results, texts, labels))
            config = resolve(values, parameters, origin)
            encoder = config.any_encoder
            if encoder and self.results is None and not user_path(encoder.model).is_dir():
                raise UsageError(f"{encoder.model!r} is stored in a results folder; pass it, e.g. results='results'")
            if self.results is None:
                stored = _fit(config, results, choice, classes, self.verbose)
            else:
                stored = _train(config, results, self.verbose)
            return self._set_trained(stored, choice, classes)

    def _set_trained(self, stored: StoredModels, choice: ModelKind | None, classes: LabelArray | None = None) -> Self:
        """This estimator with a trained model.

        Args:
            classes: its labels, from negative to positive; None: those that it stores.
        """
        trained = stored.model(choice)
        self._trained = trained
        self._stored = stored
        self._classes = _stored_labels(stored) if classes is None else classes
        self.classes_ = np.sort(self._classes)
        return self

    def predict(self, X: Any, threshold: float | None = None) -> LabelArray:  # noqa: N803
        """Predicted labels, shape (n,), also for texts without a known word (see `knows`).

        Of two classes, the positive one is predicted if its probability is at least the threshold; of more, the most
        probable one.

        Args:
            threshold: None: that with which the model was exported, else 0.5.

        Raises:
            TypeError: `X` is a single string or contains a non-string; the message gives its index.
            UsageError: the threshold is not a probability, or there are more than two classes.
        """
        probabilities = self._classify(X, "predict").probabilities
        used = self._trained.threshold
        if threshold is not None:
            used = checked_threshold(threshold, [*map(str, self._classes)])
        labels: LabelArray = self._classes[predicted_classes(probabilities, used)]
        return labels

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """The probability of each label, shape (n, classes), in the order of `classes_`."""
        return self._classify(X, "predict_proba").probabilities[:, np.argsort(self._classes)]

    def knows(self, X: Any) -> npt.NDArray[np.bool_]:  # noqa: N803
        """Whether the model knows any word of each text, shape (n,); otherwise its predicted label is a guess.

        A network knows the words of its vocabulary, the baseline those that are features, negations, or rated by the
        lexicon. A network that reads an encoder knows all words, as pieces.
        """
        return self._classify(X, "knows").usable

    @property
    def scores_(self) -> pd.DataFrame:
        check_is_fitted(self)
        result = self._stored.result
        by_name: Mapping[str, Mapping[str, Metrics]]
        if isinstance(result, FitResult):
            by_name = {name: {"validation": metrics} for name, metrics in result.validation.items()}
        else:
            by_name = {PREDICTORS[kind]: by_part for kind, by_part in result.scores.items()}
        rows = [(name, part, metrics) for name, by_part in by_name.items() for part, metrics in by_part.items()]
        columns = ["n", *SCORES, "accuracy_low", "accuracy_high"]
        values = [[name, part, *(getattr(metrics, column) for column in columns)] for name, part, metrics in rows]
        return pd.DataFrame(values, columns=["predictor", "part", *columns]).set_index(["predictor", "part"])

    def evaluate(self, X: Any, y: Any) -> dict[str, Any]:  # noqa: N803
        """The scores of the model that predicts on n texts with labels, (n,), which it should not have learned from.

        Returns:
            n; loss in nats; accuracy, `accuracy_low`, `accuracy_high` (95 % interval, Wilson 1927); macro precision,
            recall and F1 over the classes that occur; `precision`, `recall` and `f1` by label.

        Raises:
            ValueError: there are no texts, a label is missing or none of `classes_`, or the lengths differ.
        """
        probabilities = self._classify(X, "evaluate").probabilities
        labels = self._indices_of(y, "y", len(probabilities))
        if UNLABELLED in labels or not len(labels):
            raise ValueError(f"evaluate takes a label for each text; of {len(labels):,} some have none")
        names = [*map(str, self._classes.tolist())]
        return measure(labels, probabilities, self._trained.threshold).named(names)

    def explain(self, text: str) -> Explanation:
        """One prediction with a weight for each token: attention weights, or leave-one-out weights."""
        check_is_fitted(self)
        if not isinstance(text, str):
            raise TypeError(f"explain takes one text, not {_described(text)}")
        return explain(self._trained, text)

    def share(
        self,
        X: Any,  # noqa: N803
        labels: Any,
        groups: Any = None,
        drawn_by_group: bool = False,
    ) -> pd.DataFrame:
        """The share of each class in all texts, and within groups of them, from the labels of a random sample.

            tweets = pd.read_csv("tweets.csv")
            sample = tweets.sample(200, random_state=1)  # label these, and store the labels:
            tweets.loc[sample.index, "label"] = ...  # missing for the others
            model.share(tweets["text"], tweets["label"], groups=tweets["day"]).loc["all"]

        The predictions for all texts are recalibrated on the labels, and the mean error on the labelled texts is added
        (prediction-powered inference: Angelopoulos et al. 2023, Science 382; arXiv:2311.01453). Counted predictions
        are biased (Egami et al. 2023, arXiv:2306.04746).

        Args:
            X: n texts, as in `predict`.
            labels: (n,), one of `classes_`, or missing (None, NaN) without a label; by position, whatever the index.
                The labelled texts must be a random sample of all texts, or of each group.
            groups: (n,), the group of each text, such as its day; texts with a missing group are in none.
            drawn_by_group: whether the labelled texts were drawn within each group, as `tweets.groupby("day").sample`
                does; all texts together then have the mean of the groups, weighted by their numbers of texts. Groups of
                fewer than 30 texts count as one.

        Returns:
            A row for each group and class; the index has the levels `group`, at first "all", and `class`, in the order
            from negative to positive. Shares are fractions of 1; columns ending in `_low` and `_high` are the bounds of
            the 95 % interval.
            tweets, labels: number of texts of the group, and of its labelled texts.
            labels_of_class: number of its texts that are labelled with this class.
            counted: the share of predicted labels; its interval treats each of them as a label.
            share: by labels and predictions together. NaN with fewer than 5 labels of the class or of all others, where
                only the bounds hold; in a group with fewer than 30 labels all of these are NaN.
            worth: the number of labels that alone would give an interval as narrow as that of `share`.

        Raises:
            ValueError: a label is none of the classes, or the lengths differ.
            UsageError: there are fewer than 30 labels, fewer than 3 of a group by which they were drawn, or a group is
                called "all".
        """
        probabilities = self._classify(X, "share").probabilities
        n = len(probabilities)
        indices = self._indices_of(labels, "labels", n)
        if groups is not None and len(groups) != n:
            raise ValueError(f"share takes a group for each of the {n:,} texts, not {len(groups):,}")
        strata = strata_of(groups) if drawn_by_group else None
        classes = self._classes.tolist()
        return estimate_shares(probabilities, indices, classes, groups, strata, self._trained.threshold)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the models to a zip file, as `sentiment export` does; `load` and `sentiment predict` read it.

        Raises:
            UsageError: the file is not called `*.zip`, or `choice` is not the model with which the loaded file was
                exported.
            SentimentError: the model was loaded from a run that is gone or damaged.
        """
        check_is_fitted(self)
        stored = self._stored
        if isinstance(stored, TrainedRun):
            stored = stored.with_choice(self.choice, None)
        elif self.choice not in (None, stored.default_choice):
            again = "fit again, or export the run again"
            raise UsageError(f"{stored.path}: {self.choice!r} cannot be chosen after the fit or the export; {again}")
        write_archive(exported_files(stored), Path(path))
        for warning in export_warnings(stored):
            warnings.warn(warning, stacklevel=2)

    @property
    def name(self) -> str:
        check_is_fitted(self)
        return self._trained.name

    @property
    def config(self) -> RunConfig:
        check_is_fitted(self)
        return self._trained.config

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:  # noqa: N803 - as scikit-learn calls it
        if not hasattr(self, "_trained"):
            return str(super().__repr__(N_CHAR_MAX))
        classes = ", ".join(map(str, self._classes.tolist()))
        return f"<SentimentClassifier: {self.name} of {self._stored.path}, classes {classes}>"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def _indices_of(self, labels: Any, name: str, n: int) -> ClassIndices:
        """The index of each label's class, from negative to positive, (n,); UNLABELLED where it is missing."""
        values = np.asarray(labels, object)
        if values.shape != (n,):
            raise ValueError(f"{name}: a label, or a missing value, is needed for each of the {n:,} texts")
        indices: ClassIndices = pd.Index(self._classes, dtype=object).get_indexer(pd.Index(values, dtype=object))
        unknown = np.flatnonzero((indices == UNLABELLED) & ~pd.isna(values))
        if len(unknown):
            first = unknown[0]
            raise ValueError(f"{name}[{first}] is {values[first]!r}, which is none of {self._classes.tolist()}")
        return indices

    def _classify(self, texts: Any, method: str) -> Predictions:
        check_is_fitted(self)
        return classify(self._trained, _iter_texts(texts, method), silent)


def load(
    path: str | PathLike[str], choice: ModelKind | None = None, results: str | PathLike[str] | None = None
) -> SentimentClassifier:
    """A trained model: the directory of a run, or a file that `sentiment export` wrote.

    Args:
        choice: `network`, `baseline` or `both` (their mean); None: the one that was chosen at the export, else the one
            that validation tweets recommend.
        results: the results folder with its encoder; None: that of the run, for an exported file `./results`.

    Raises:
        SentimentError: the run or choice does not exist, or its files are damaged.
    """
    stored = open_stored(Path(path), Path(results) if results else None)
    return SentimentClassifier(stored.config, choice=choice, results=results)._set_trained(stored, choice)


def train(
    run: str | PathLike[str] = "rnn",
    data: str | PathLike[str] | None = None,
    results: str | PathLike[str] = "results",
    verbose: int = 0,
    classes: str | Mapping[str, Sequence[str]] | None = None,
    **fields: Any,
) -> SentimentClassifier:
    """Train a run, or resume it where it stopped, and load its model; a completed run is loaded at once.

    Args:
        run: a YAML file, or its name in `configs/runs`.
        data: a table of tweets, or a data set's name; None: the run's.
        results: the folder for all results.
        verbose: 0 prints nothing, 1 the guessed columns of the table and a line for each epoch.
        classes: the labels of each class, from negative to positive, such as `{"negative": ["1", "2"], "positive":
            ["4", "5"]}`, or text as `--classes` takes it; None: those of the run, or known words.
        fields: as in `SentimentClassifier`.

    Raises:
        SentimentError: the run cannot be trained; the message says what to fix.
        KeyboardInterrupt: Ctrl+C or the run's time limit; calling it again resumes from the last checkpoint.
    """
    values, origin = _read_run(run)
    parameters = _changes(fields)
    if data is not None:
        parameters["data.source"] = str(data)
    if classes is not None:
        parameters["data.labels"] = classes if isinstance(classes, str) else dict(classes)
    config, guesses = resolve_with_guesses(values, dotted(values), parameters, origin)
    if guesses and verbose:
        for line in guesses.messages():
            print(line)
    stored = _train(config, Results(Path(results)), verbose)
    return SentimentClassifier(config, results=results, verbose=verbose)._set_trained(stored, None)


def _stored_labels(stored: StoredModels) -> LabelArray:
    """The labels of stored models, from negative to positive: of a run, integers if all of their names are."""
    if isinstance(stored.result, FitResult):
        return np.array(stored.result.labels)
    names = stored.config.data.label_names
    are_integers = all(re.fullmatch("-?[0-9]{1,18}", name) and str(int(name)) == name for name in names)
    return np.array([*map(int, names)] if are_integers else names)


def _train(config: RunConfig, results: Results, verbose: int) -> TrainedRun:
    """Train a run in a results folder, or resume it."""
    from sentiment.training.experiment import run_single

    run_dir = results.run_dir(config.run_id)
    with _run_context(config, results, verbose) as run:
        reason = run_single(run)
    if reason:
        raise KeyboardInterrupt(f"stopped ({reason.detail}); call it again to continue from {run_dir.path}")
    return open_run(run_dir.path, results.root)


def _fit(
    config: RunConfig, results: Results, choice: ModelKind | None, classes: LabelArray, verbose: int
) -> StoredModels:
    """Fit models in a temporary results folder, from which nothing is read afterwards."""
    from sentiment.training.experiment import fit_models
    from sentiment.training.stop import Stop

    try:
        with _run_context(config, results, verbose) as run:
            models = fit_models(run, with_baseline=choice != "network")
    except Stop as stop:
        kept = "nothing of this fit is kept; with results='results' it would resume"
        raise KeyboardInterrupt(f"stopped ({stop.detail}); {kept}") from None
    files = {NETWORK_FILE: weights_as_bytes(models.weights), VOCABULARY_FILE: models.vocabulary.to_bytes()}
    if models.baseline is not None:
        files[BASELINE_FILE] = models.baseline.to_bytes()
    result = models.result.model_copy(update={"labels": classes.tolist()})
    return StoredModels(path=_FITTED, config=config, result=result, results=results, files=files, choice=choice)


@contextmanager
def _run_context(config: RunConfig, results: Results, verbose: int) -> Iterator["RunContext"]:
    """The context of a run that this program trains: Ctrl+C and the time limit stop it; torch's modes are restored."""
    from sentiment.training.device import unchanged_modes
    from sentiment.training.stop import RunContext, StopRequest, process_deadline

    console = Console(say=print if verbose else lambda _line: None, progress=silent)
    with _ONE_FIT_AT_A_TIME, unchanged_modes(), StopRequest() as stop:
        stop.end = process_deadline(config.runtime.time_limit_seconds)  # not while another thread fits
        yield RunContext(config, results, results.run_dir(config.run_id), stop, console)


def _read_run(run: Any) -> tuple[dict[str, Any], str]:
    """The values of a run's configuration, and their origin, for messages."""
    if isinstance(run, RunConfig):
        return run.model_dump(), "the configuration"
    file = config_path(Path(run), "runs")
    return read_yaml(file), str(file)


def _changes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by dotted name, with plain values: paths as strings, NumPy numbers as Python numbers."""
    changes: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, PathLike):
            value = str(value)
        elif isinstance(value, np.generic):
            value = value.item()
        changes[name.replace("__", ".")] = value
    return changes


def _write_table(results: Results, texts: list[str], labels: list[str]) -> Path:
    """Write a table named by its content hash, so that the same fit is the same run."""
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    path = results.tables / f"texts-{fingerprint(rows)[:8]}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    write_once(path, lambda file: file.write(content))
    return path


def _check_labels(y: Any, order: Sequence[Any] | None) -> tuple[LabelArray, list[str]]:
    """The classes, from negative to positive, and each text's label as a string.

    Args:
        order: the classes in their order; None: that of known words, or ascending.
    """
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None: it is the labels of the texts")
    labels = column_or_1d(y, warn=True)
    given = np.array(y, object).ravel() if isinstance(y, list | tuple) else labels  # of one type in `labels`
    missing = np.flatnonzero(pd.isna(given))
    if len(missing):
        first = missing[0]
        raise ValueError(
            f"y[{first}] is {given[first]}: leave texts without a label out ({len(missing):,} of {len(labels):,})"
        )
    are_text = {isinstance(label, str) for label in given.tolist()}
    if len(are_text) > 1 or labels.dtype.kind not in "biufUSTO":
        kinds = ", ".join(sorted({type(label).__name__ for label in given}))
        raise ValueError(
            f"Unknown label type: y has labels of type {kinds}; valid are texts, numbers or booleans, not mixed"
        )
    check_classification_targets(labels)
    classes = np.unique(labels)
    names = [str(value) for value in classes.tolist()]
    if not MIN_CLASSES <= len(classes) <= MAX_CLASSES:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        number = "only 1 class" if len(classes) == 1 else f"{len(classes):,} classes"  # in scikit-learn's words
        raise ValueError(f"{MIN_CLASSES} to {MAX_CLASSES} classes are needed; y has {number} ({shown})")
    spelled: dict[str, str] = {}
    for name in names:
        other = spelled.setdefault(word_of(name), name)
        if other != name:
            differing = "which differ only in case, blanks or zeros; write one"
            raise ValueError(f"y has the labels {other!r} and {name!r}, {differing}")
    if IGNORED in names:
        raise ValueError(f"y has the label {IGNORED!r}, which a configuration uses for labels to leave out; rename it")
    if order is not None:
        ordered = np.array(list(order))
        if not np.array_equal(np.sort(ordered), classes):
            raise ValueError(f"classes={order!r}: must be the labels of y in their order: {', '.join(names)}")
        classes = ordered
    elif (known := Classes.understand(names)) and len(known.names) == len(names):
        words = [*known.meanings]  # in the order of their classes
        classes = classes[np.argsort([words.index(word_of(name)) for name in names])]
    return classes, [str(label) for label in labels.tolist()]


def _iter_texts(texts: Any, method: str) -> Iterator[str]:
    if isinstance(texts, str):
        raise TypeError(f"{method} takes several texts, not one: put it into a list, {method}([text])")
    shape: tuple[int, ...] = getattr(texts, "shape", ())
    if len(shape) == 2 and shape[1] == 1:  # a table with one column, which scikit-learn's cross-validation passes
        texts = np.asarray(texts)[:, 0]
    elif hasattr(texts, "columns"):
        raise TypeError(f"{method} takes one column of texts, not {shape[1]}: name it, as in table['text']")
    if isinstance(texts, set | frozenset):
        raise TypeError(f"{method} takes texts in an order, not a set: their labels belong to them by position")
    if isinstance(texts, bytes | Mapping) or not isinstance(texts, Iterable):
        raise TypeError(f"{method} takes a list, a Series or a generator of texts, not {_described(texts)}")
    if hasattr(texts, "to_pylist"):  # a pyarrow array
        texts = texts.to_pylist()
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            is_missing = pd.isna(text) is True  # of a list it gives an array
            hint = "; leave missing texts out, or put '' in their place" if is_missing else ""
            raise TypeError(f"{method}: texts[{index}] is {_described(text)}, not a text{hint}")
        yield str(text)


def _described(value: Any) -> str:
    """The type of a value, and its repr if that is short."""
    text = repr(value)
    quoted = f" ({text})" if len(text) <= 60 and "\n" not in text else ""
    return f"{type(value).__name__}{quoted}"
