"""Added predictors: export a run's tweets as an annotation sheet, and import predicted labels or probabilities.

They are compared with the run's models. Does not import torch.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import PARTS, DataConfig
from sentiment.config_file import resolve, shortened
from sentiment.data.corpus import Corpus, open_corpus
from sentiment.data.guess_columns import LABEL_NAMES
from sentiment.data.labels import DEFAULT_LABELS, class_names, label_meanings, with_names
from sentiment.data.preparation import TEST, TRAIN, VALIDATION
from sentiment.data.sources import cached_sha256
from sentiment.data.tables import TEXT_NAMES, RowCounter, as_text, column_places, open_table
from sentiment.data.text import TweetForms, key_of, sheet_id
from sentiment.data.text_files import Refusal
from sentiment.errors import DataError, UsageError
from sentiment.files import write_atomically
from sentiment.inference.predict import write_sheet
from sentiment.inference.stored import TrainedRun
from sentiment.metrics import measure, other_answers_remark
from sentiment.runs.records import Added
from sentiment.runs.run_dir import TWEETS_FILE, sealed

# Recognised column names. By its name, a column holds labels or probabilities. If there is a column such as
# `prediction`, a column `label` is taken as the gold label.
_IDS = ("id", "tweet_id", "tweetid", "id_str", "status_id")
_PREDICTED = ("predicted_label", "prediction", "predicted", "pred", "answer")
_PROBABILITIES = ("predicted_probability", "probability", "prob", "score")
_NO_ANSWER = "no answer"
_SUSPICIOUS_ROWS = 20  # perfect accuracy on so many tweets triggers a warning
Column = str | int | None
# The probabilities of the classes, 0 and 1 for a label; None for an answer that is none of the classes.
Answer = list[float] | None
Answers = dict[int, Answer]  # by corpus row


class NamedColumns(NamedTuple):
    """The columns that a user names, by name or index; None finds them by their names."""

    text: Column = None
    label: Column = None
    probability: Column = None


@dataclass(frozen=True)
class Tweets:
    """The tweets for which added predictions are stored: validation and test; with folds, all tweets.

    Attributes:
        rows: (n,) corpus row indices, ascending; the other fields are parallel to it.
        ids: ids used in the sheet: the tweets' keys. Source ids are often row numbers, which would also match rows of
            an unrelated table.
    """

    run: TrainedRun
    corpus: Corpus
    rows: npt.NDArray[np.int64]
    ids: list[str]
    texts: list[str]

    @classmethod
    def of(cls, run: TrainedRun) -> "Tweets":
        """Load the tweets of a run.

        Raises:
            DataError: its corpus is missing.
        """
        import pyarrow.parquet as pq

        corpus = open_corpus(run.results.corpus_dir(run.record.data_fingerprint))
        first = TRAIN if run.config.data.folds else TRAIN + 1
        rows = np.flatnonzero((corpus.parts >= first) & (corpus.parts <= TEST))
        texts = pq.read_table(corpus.path / TWEETS_FILE, columns=["text"])["text"].take(rows).to_pylist()
        return cls(run, corpus, rows, [sheet_id(key) for key in corpus.keys[rows].tolist()], texts)

    @cached_property
    def _index_by_id(self) -> dict[str, int]:
        return {tweet_id: index for index, tweet_id in enumerate(self.ids)}

    @cached_property
    def _index_by_key(self) -> dict[int, int]:
        return {key: index for index, key in enumerate(self.corpus.keys[self.rows].tolist())}

    def find(self, tweet_id: str, text: str, forms: TweetForms) -> int | None:
        """The corpus row of a tweet, by its id, else by its text; None if it is no tweet of the run.

        Raises:
            ValueError: the text of this id has been changed.
        """
        index = self._index_by_id.get(tweet_id)
        if index is None and text:
            index = self._index_by_key.get(key_of(forms.of(text)))
        elif index is not None and text and text.split() != self.texts[index].split():
            raise ValueError(f"tweet {tweet_id} has another text than in the sheet: {shortened(text)!r}")
        return None if index is None else int(self.rows[index])

    def coverage(self, rows: Iterable[int]) -> str:
        """`331 of 333 test tweets, 0 of 333 validation tweets`."""
        answered = Counter(self.corpus.parts[list(rows)].tolist())
        total = Counter(self.corpus.parts[self.rows].tolist())
        parts = sorted(total, reverse=True)
        return ", ".join(f"{answered[part]:,} of {total[part]:,} {PARTS[part]} tweets" for part in parts)


def write_tweets(run: TrainedRun, path: Path) -> int:
    """Write the annotation sheet (ids, texts, empty answer columns); returns the number of tweets.

    Test tweets come first, then validation tweets, each in random (hash) order, so that the first hundred are a random
    sample.

    Raises:
        SentimentError: the corpus is missing, or the extension is of no format that can be written.
    """
    tweets = Tweets.of(run)
    parts = tweets.corpus.parts[tweets.rows].tolist()
    order = sorted(range(len(parts)), key=lambda index: (-parts[index], tweets.ids[index]))
    write_sheet(path, ("id", "text"), ([tweets.ids[index], tweets.texts[index]] for index in order))
    return len(order)


def add_predictions(
    run: TrainedRun, name: str, file: Path, named: NamedColumns, classes: str | None, metadata: dict[str, Any]
) -> list[str]:
    """Import a table of predictions, to be compared with the models of all runs on the same corpus.

    Args:
        classes: further labels of the run's classes, as `--classes` takes them.
        metadata: `note`, `annotator`, `cost` and `seconds` of the record.

    Returns:
        Lines to print: what was read, and where it is stored.

    Raises:
        SentimentError: the table is unusable, an answer is invalid, or a tweet's text differs from the sheet.
    """
    if "/" in name or name.startswith("."):
        raise UsageError(f"{name}: must be a valid file name: no '/' and no leading '.'")
    tweets = Tweets.of(run)
    target = run.results.added_file(tweets.corpus.fingerprint, name)
    meanings = _meanings(tweets.run.config.data, classes)
    answers, answered, left_out = _read(file, named, tweets, meanings)
    judged = [row for row, answer in answers.items() if answer is not None]
    if not judged:
        names = ", ".join(run.config.data.label_names)
        raise DataError(
            f"{file}: has no prediction for a tweet of {run.path}: {left_out.most_common()}. Its classes are {names}; "
            "--classes names labels of them"
        )
    rows_left_out = left_out.counted()
    unanswered = rows_left_out[_NO_ANSWER].count if _NO_ANSWER in rows_left_out else 0
    record = {
        "file": file.name,
        "file_sha256": cached_sha256(file),
        "tweets": answered,
        "unanswered": unanswered,
        "predictions": {int(tweets.corpus.keys[row]): answer for row, answer in answers.items()},
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, sealed(Added.model_validate(record | metadata)))
    lines = [f"{name}: {tweets.coverage(judged)}"]
    lines += [f"  {rows.count:,} left out: {reason} ({rows})" for reason, rows in rows_left_out.items()]
    lines += _score_lines(tweets, answers)
    return [*lines, f"in {target}; delete this file to remove the predictor"]


def _meanings(data: DataConfig, classes: str | None) -> dict[str, int | None]:
    """The classes of labels: their own names, of two classes also the usual words, then what the run and the user say.

    Raises:
        ConfigError, UsageError: `classes` is malformed, or names none of the run's classes.
    """
    names = data.label_names
    meanings: dict[str, int | None] = {name.lower(): index for index, name in enumerate(names)}
    if len(names) == len(class_names(DEFAULT_LABELS)):
        meanings |= label_meanings(DEFAULT_LABELS)
    meanings |= label_meanings(data.labels)
    if classes is not None:
        parameters = {"data.source": "answers.csv", "data.labels": classes}
        labels = resolve({}, parameters, "--classes").data.labels
        meanings |= label_meanings(with_names(labels, names))
    return meanings


def _score_lines(tweets: Tweets, answers: Answers) -> list[str]:
    """A warning if all answers are right, and the effect of answers that are none of the classes, by part."""
    lines = []
    right = 0
    n = 0
    for part in (TEST, VALIDATION, TRAIN):
        rows = [row for row in answers if tweets.corpus.parts[row] == part]
        judged = [row for row in rows if answers[row] is not None]
        if not judged:
            continue
        probabilities = np.array([answers[row] for row in judged], np.float64)
        metrics = measure(tweets.corpus.labels[judged], probabilities)
        right += metrics.right
        n += metrics.n
        if len(rows) > len(judged):
            lines.append(f"  {PARTS[part]}: {other_answers_remark(metrics, len(rows) - len(judged))}")
    if n >= _SUSPICIOUS_ROWS and right == n:
        lines.append("warning: all are right. Are these the tweets' own labels? --label-column names another column")
    return lines


def _read(
    file: Path, named: NamedColumns, tweets: Tweets, meanings: dict[str, int | None]
) -> tuple[Answers, int, RowCounter]:
    """The answers by corpus row, the number of rows with an answer, and the rows left out."""
    table = open_table(file, lambda _: True)
    columns = _Columns.of(file, table.names, named)
    class_count = tweets.corpus.class_count
    if columns.probabilities and not columns.labels and class_count > 2:
        raise UsageError(f"{file}: has probabilities of one class, and the run has {class_count}; give labels instead")
    answers: Answers = {}
    answered = 0
    left_out = RowCounter()
    forms = TweetForms()
    for record in table.read(range(len(table.names))):
        if isinstance(record, Refusal):
            left_out.add(record.reason, record.line)
            continue
        if len(record.fields) != len(table.names):
            left_out.add("wrong number of fields", record.line)
            continue
        try:
            has_answer, answer = columns.answer(record.fields, meanings, class_count)
            if not has_answer:
                left_out.add(_NO_ANSWER, record.line)
                continue
            row = tweets.find(*columns.id_and_text(record.fields), forms)
        except ValueError as error:
            raise DataError(f"{file}:{record.line}: {error}") from None
        answered += 1
        if row is None:
            left_out.add("no test or validation tweet of the run", record.line)
        elif row in answers:
            left_out.add("duplicate tweet", record.line)
        else:
            answers[row] = answer
            if answer is None:
                label = shortened(_first_cell(record.fields, columns.labels))
                left_out.add(f"the answer {label!r} is none of the classes", record.line)
    return answers, answered, left_out


@dataclass(frozen=True)
class _Columns:
    """Column indices of a table; of several, the first non-empty cell is used, and labels come first."""

    ids: list[int]
    texts: list[int]
    labels: list[int]
    probabilities: list[int]

    @classmethod
    def of(cls, file: Path, names: list[str], named: NamedColumns) -> "_Columns":
        """Find the columns of a table.

        Raises:
            UsageError: a named column is missing, or no column looks like tweets or like answers.
        """
        lower = [name.strip().lower() for name in names]
        shown = ", ".join(map(repr, names))

        def indices(column: Column, *defaults: str) -> list[int]:
            if column is None:
                return [lower.index(name) for name in defaults if name in lower]
            matching = column_places(column, names)
            if not matching:
                raise UsageError(f"{file}: has no column {column!r}; it has {shown}")
            return matching[:1]

        ids = indices(None, *_IDS)
        texts = indices(named.text, *TEXT_NAMES)
        if not ids and not texts:
            raise UsageError(f"{file}: no column name looks like an id or a text; name it with --text-column: {shown}")
        label_names: Sequence[str] = _PREDICTED if {*_PREDICTED} & {*lower} else LABEL_NAMES
        probability_names: Sequence[str] = _PROBABILITIES
        if named.label is not None or named.probability is not None:  # only what is named counts
            label_names = probability_names = ()
        labels = indices(named.label, *label_names)
        probabilities = indices(named.probability, *probability_names)
        if not labels and not probabilities:
            raise UsageError(
                f"{file}: no column name looks like a label or a probability; name it with --label-column or "
                f"--probability-column: {shown}"
            )
        return cls(ids[:1], texts[:1], labels, probabilities)

    def id_and_text(self, fields: Sequence[Any]) -> tuple[str, str]:
        return _first_cell(fields, self.ids), _first_cell(fields, self.texts)

    def answer(self, fields: Sequence[Any], meanings: dict[str, int | None], class_count: int) -> tuple[bool, Answer]:
        """Whether a row has an answer, and the answer.

        Raises:
            ValueError: the answer is neither a label nor, in a column of probabilities, a probability.
        """
        label = _first_cell(fields, self.labels)
        if label:
            return True, _parse_label(label, meanings, class_count)
        probability = _first_cell(fields, self.probabilities)
        if probability:
            return True, _parse_probability(probability)
        return False, None


def _first_cell(fields: Sequence[Any], columns: list[int]) -> str:
    """The first cell of these columns that is not empty."""
    for column in columns:
        value = fields[column]
        text = "nan" if value != value else as_text(value).strip()  # only NaN differs from itself
        if text:
            return text
    return ""


def _parse_label(text: str, meanings: dict[str, int | None], class_count: int) -> Answer:
    """The answer that a label gives; a word that is unknown is none of the classes, a number may be a probability."""
    if text.lower() not in meanings and _is_number(text):
        known = ", ".join(map(repr, meanings))
        raise ValueError(
            f"{shortened(text)!r} is no label ({known}; --classes names others); a column of "
            "probabilities is named with --probability-column"
        )
    index = meanings.get(text.lower())
    if index is None:
        return None
    probabilities = [0.0] * class_count
    probabilities[index] = 1.0
    return probabilities


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse_probability(text: str) -> Answer:
    probability = float(text) if _is_number(text) else float("nan")
    if 0 <= probability <= 1:  # false for NaN as well
        return [1 - probability, probability]
    raise ValueError(
        f"{shortened(text)!r} is no probability of the second class, from 0 to 1; a column of labels is named with "
        "--label-column"
    )
