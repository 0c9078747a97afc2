"""External predictions: export a run's tweets as an annotation sheet, and import predicted labels or probabilities.

They are compared with the run's models. Does not import torch.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.config import PARTS, LabelConfig
from sentiment.config_file import shortened
from sentiment.data.corpus import TEST, TRAIN, Corpus, open_corpus
from sentiment.data.guess_columns import LABEL_NAMES
from sentiment.data.sources import cached_sha256
from sentiment.data.tables import TEXT_NAMES, RowCounter, as_text, column_places, label_meanings, open_table
from sentiment.data.text import TweetForms, key_of
from sentiment.data.text_files import Refusal
from sentiment.errors import DataError, UsageError
from sentiment.files import write_json
from sentiment.inference.predict import write_sheet
from sentiment.inference.stored import TrainedRun
from sentiment.runs.records import THRESHOLD, Added
from sentiment.runs.run_dir import TWEETS_FILE

# Recognised column names. If there is a column such as `prediction`, a column `label` is taken as the gold label.
_IDS = ("id", "tweet_id", "tweetid", "id_str", "status_id")
_PREDICTED = ("predicted_label", "prediction", "predicted", "pred", "answer")
_PROBABILITIES = ("predicted_probability", "probability", "prob", "score")
_SUSPICIOUS_ROWS = 20  # perfect accuracy on so many tweets triggers a warning
Column = str | int | None


@dataclass(frozen=True)
class Tweets:
    """The tweets for which external predictions are stored: validation and test; with folds, all tweets.

    Attributes:
        rows: (n,) corpus row indices, ascending; the other fields are parallel to it.
        ids: ids used in the sheet: a hash of source id and text, which detects changes. Source ids are often row
            numbers, which would also match rows of an unrelated table.
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
        tweets = pq.read_table(corpus.path / TWEETS_FILE, columns=["id", "text"]).take(rows).to_pylist()
        ids = [sha256(f"{tweet['id']}\0{tweet['text']}".encode()).hexdigest()[:16] for tweet in tweets]
        return cls(run, corpus, rows, ids, [tweet["text"] for tweet in tweets])

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
    run: TrainedRun,
    name: str,
    file: Path,
    columns: tuple[Column, Column],
    labels: dict[str, int],
    metadata: dict[str, Any],
) -> list[str]:
    """Import a table of predictions, to be compared with the models of all runs on the same corpus.

    Args:
        columns: of texts, and of labels or probabilities of positive; None finds them by their names.
        labels: additional meanings of label values, on top of the run's.
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
    meanings = label_meanings(LabelConfig()) | label_meanings(tweets.run.config.data.labels)
    meanings |= {label.strip().lower(): meaning for label, meaning in labels.items()}
    probabilities, answered, left_out = _read(file, columns, tweets, meanings)
    if not probabilities:
        raise DataError(f"{file}: has no answer to a tweet of {run.path}: {left_out.most_common()}")
    record = {"file": file.name, "file_sha256": cached_sha256(file), "tweets": answered, "said": probabilities}
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, Added.model_validate(record | metadata).model_dump(mode="json"))
    lines = [f"{name}: {tweets.coverage(probabilities)}"]
    lines += [f"  {rows.count:,} left out: {reason} ({rows})" for reason, rows in left_out.counted().items()]
    wrong = [row for row, value in probabilities.items() if (value >= THRESHOLD) != tweets.corpus.labels[row]]
    if len(probabilities) >= _SUSPICIOUS_ROWS and not wrong:
        lines.append("warning: all are right. Are these the tweets' own labels? --label-column names another column")
    return [*lines, f"in {target}; delete this file to remove the predictor"]


def _read(
    file: Path, columns: tuple[Column, Column], tweets: Tweets, meanings: dict[str, int | None]
) -> tuple[dict[int, float], int, RowCounter]:
    """The probability of positive by row of the corpus, the number of rows with an answer, and the rows left out."""
    table = open_table(file, lambda _: True)
    id_columns, text_columns, answer_columns = _columns(file, table.names, columns)
    probabilities: dict[int, float] = {}
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
        text = _first_cell(record.fields, text_columns)
        answer = _first_cell(record.fields, answer_columns)
        try:
            probability = _probability(answer, meanings) if answer else None
            row = None if probability is None else tweets.find(_first_cell(record.fields, id_columns), text, forms)
        except ValueError as error:
            raise DataError(f"{file}:{record.line}: {error}") from None
        if probability is None:
            left_out.add("neither positive nor negative" if answer else "no answer", record.line)
            continue
        answered += 1
        if row is None:
            left_out.add("no test or validation tweet of the run", record.line)
        elif row in probabilities:
            left_out.add("duplicate tweet", record.line)
        else:
            probabilities[row] = probability
    return probabilities, answered, left_out


def _columns(file: Path, names: list[str], columns: tuple[Column, Column]) -> tuple[list[int], list[int], list[int]]:
    """Column indices of ids, texts and answers; with several answer columns the first non-empty cell is used."""
    lower = [name.strip().lower() for name in names]
    shown = ", ".join(map(repr, names))

    def indices(column: Column, *defaults: str) -> list[int]:
        if column is None:
            return [lower.index(name) for name in defaults if name in lower]
        named = column_places(column, names)
        if not named:
            raise UsageError(f"{file}: has no column {column!r}; it has {shown}")
        return named[:1]

    predicted = _PREDICTED if {*_PREDICTED} & {*lower} else LABEL_NAMES
    ids = indices(None, *_IDS)
    texts = indices(columns[0], *TEXT_NAMES)
    answers = indices(columns[1], *predicted, *_PROBABILITIES)
    if not ids and not texts:
        raise UsageError(f"{file}: no column name looks like an id or a text; name it with --text-column: {shown}")
    if not answers:
        raise UsageError(
            f"{file}: no column name looks like a label or a probability; name it with --label-column: {shown}"
        )
    return ids[:1], texts[:1], answers


def _first_cell(fields: Sequence[Any], columns: list[int]) -> str:
    """The first cell of these columns that is not empty."""
    for column in columns:
        value = fields[column]
        text = "nan" if value != value else as_text(value).strip()  # only NaN differs from itself
        if text:
            return text
    return ""


def _probability(answer: str, meanings: dict[str, int | None]) -> float | None:
    """Probability of positive for an answer that is a label or a number; None for a neutral label."""
    if answer.lower() in meanings:
        label = meanings[answer.lower()]
        return None if label is None else float(label)
    try:
        probability = float(answer)
    except ValueError:
        probability = float("nan")
    if 0 <= probability <= 1:
        return probability
    known = ", ".join(map(repr, meanings))
    raise ValueError(
        f"{shortened(answer)!r} is neither a label ({known}; --positive and --negative name others) nor a probability "
        "of positive, from 0 to 1"
    )
