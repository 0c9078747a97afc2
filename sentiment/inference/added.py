"""Predictions from elsewhere: a sheet of a run's tweets for others to label, and what they say of them as a predictor
beside the run's own models. Loads no torch."""

from collections import Counter
from collections.abc import Iterable
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

# What columns are called. Beside one that holds predictions by its name, `label` is what was to be predicted.
_IDS = ("id", "tweet_id", "tweetid", "id_str", "status_id")
_PREDICTED = ("predicted_label", "prediction", "predicted", "pred", "answer")
_PROBABILITIES = ("predicted_probability", "probability", "prob", "score")
_ENOUGH = 20  # of so many tweets nobody has all right
Column = str | int | None


@dataclass(frozen=True)
class Tweets:
    """The tweets of a run that predictions are kept of: validation and test, and with folds all, as each is tested.

    Attributes:
        rows: of the corpus, ascending, of shape (n,), as all others.
        ids: what a sheet calls them: a checksum of text and source's id, so that neither can be changed unnoticed. The
            source's own are often the numbers of its rows, and would be found among those of any other table.
    """

    run: TrainedRun
    corpus: Corpus
    rows: npt.NDArray[np.int64]
    ids: list[str]
    texts: list[str]

    @classmethod
    def of(cls, run: TrainedRun) -> "Tweets":
        """Those of a run; a DataError says that its corpus is not here."""
        import pyarrow.parquet as pq

        corpus = open_corpus(run.results.corpus_dir(run.record.data_fingerprint))
        first = TRAIN if run.config.data.folds else TRAIN + 1
        rows = np.flatnonzero((corpus.parts >= first) & (corpus.parts <= TEST))
        tweets = pq.read_table(corpus.path / TWEETS_FILE, columns=["id", "text"]).take(rows).to_pylist()
        ids = [sha256(f"{one['id']}\0{one['text']}".encode()).hexdigest()[:16] for one in tweets]
        return cls(run, corpus, rows, ids, [one["text"] for one in tweets])

    @cached_property
    def _places(self) -> tuple[dict[str, int], dict[int, int]]:
        """By id, and by the key of the tweet."""
        keys = self.corpus.keys[self.rows].tolist()
        return {one: at for at, one in enumerate(self.ids)}, {key: at for at, key in enumerate(keys)}

    def find(self, identifier: str, text: str, forms: TweetForms) -> int | None:
        """The row of a tweet, by its id, else by its text; a ValueError says that the id stands beside another text."""
        of_ids, of_keys = self._places
        if (place := of_ids.get(identifier)) is None:
            place = of_keys.get(key_of(forms.of(text))) if text else None
        elif text and text.split() != self.texts[place].split():
            raise ValueError(f"tweet {identifier} has another text than in the sheet: {shortened(text)!r}")
        return None if place is None else int(self.rows[place])

    def counted(self, rows: Iterable[int]) -> str:
        """`331 of 333 test tweets, 0 of 333 validation tweets`."""
        said, every = (Counter(self.corpus.parts[[*of]].tolist()) for of in (rows, self.rows))
        return ", ".join(f"{said[code]:,} of {every[code]:,} {PARTS[code]} tweets" for code in sorted(every)[::-1])


def write_tweets(run: TrainedRun, path: Path) -> int:
    """Write the tweets that others are to label: ids and texts, with room for answers; how many there are.

    Test tweets come first, then those of validation, each in an order by chance: the first hundred are a sample.

    Raises:
        SentimentError: the tweets are not here, or the name says no form to write.
    """
    tweets = Tweets.of(run)
    parts = tweets.corpus.parts[tweets.rows].tolist()
    order = sorted(range(len(parts)), key=lambda place: (-parts[place], tweets.ids[place]))
    write_sheet(path, ("id", "text"), ([tweets.ids[place], tweets.texts[place]] for place in order))
    return len(order)


def add_predictions(
    run: TrainedRun, name: str, file: Path, columns: tuple[Column, Column], labels: dict[str, int], told: dict[str, Any]
) -> list[str]:
    """Put what a table says of a run's tweets beside the models of all runs on the same tweets.

    Args:
        columns: of texts, and of labels or probabilities of positive; None finds them by their names.
        labels: what its labels mean, besides those of the run.
        told: `note`, `annotator`, `cost` and `seconds` of the record.

    Returns:
        Lines that say what was read, and where it is.

    Raises:
        SentimentError: the table cannot be used, an answer is none, or a tweet is not the sheet's.
    """
    if "/" in name or name.startswith("."):
        raise UsageError(f"{name}: is to be the name of a file, so that it has no '/' in it and no '.' before it")
    tweets = Tweets.of(run)
    target = run.results.added_file(tweets.corpus.fingerprint, name)
    meanings = label_meanings(LabelConfig()) | label_meanings(tweets.run.config.data.labels)
    meanings |= {label.strip().lower(): meaning for label, meaning in labels.items()}
    said, answered, left_out = _read(file, columns, tweets, meanings)
    if not said:
        raise DataError(f"{file}: has no answer to a tweet of {run.place}: {left_out.most_common()}")
    record = {"file": file.name, "file_sha256": cached_sha256(file), "tweets": answered, "said": said} | told
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, Added.model_validate(record).model_dump(mode="json"))
    lines = [f"{name}: {tweets.counted(said)}"]
    lines += [f"  {rows.count:,} left out: {why} ({rows})" for why, rows in left_out.counted().items()]
    if len(said) >= _ENOUGH and all((of >= THRESHOLD) == tweets.corpus.labels[row] for row, of in said.items()):
        lines.append("warning: all are right. Are these the tweets' own labels? --label-column names another column")
    return [*lines, f"in {target}; delete that, and it is forgotten"]


def _read(
    file: Path, columns: tuple[Column, Column], tweets: Tweets, meanings: dict[str, int | None]
) -> tuple[dict[int, float], int, RowCounter]:
    """The probability of positive by row of the corpus, how many rows have an answer, and which are left out."""
    table = open_table(file, lambda _: True)
    ids, texts, answers = _columns(file, table.names, columns)
    said: dict[int, float] = {}
    answered, left_out, forms = 0, RowCounter(), TweetForms()
    for record in table.read(range(len(table.names))):
        if isinstance(record, Refusal) or len(record.fields) != len(table.names):
            left_out.add(record.reason if isinstance(record, Refusal) else "wrong number of fields", record.line)
            continue
        identifier, text, answer = (
            next((word for at in places if (word := _word(record.fields[at]))), "") for places in (ids, texts, answers)
        )
        try:
            probability = _probability(answer, meanings) if answer else None
            row = None if probability is None else tweets.find(identifier, text, forms)
        except ValueError as error:
            raise DataError(f"{file}:{record.line}: {error}") from None
        answered += probability is not None
        if probability is None:
            left_out.add("neither positive nor negative" if answer else "no answer", record.line)
        elif row is None:
            left_out.add("no test or validation tweet of the run", record.line)
        elif row in said:
            left_out.add("a tweet for the second time", record.line)
        else:
            said[row] = probability
    return said, answered, left_out


def _columns(file: Path, names: list[str], columns: tuple[Column, Column]) -> list[list[int]]:
    """The places of ids, texts and answers; of answers several, of which the first that is not empty counts."""
    lower = [name.strip().lower() for name in names]

    def places(named: Column, *usual: str) -> list[int]:
        if named is None:
            return [lower.index(name) for name in usual if name in lower]
        if at := column_places(named, names):
            return at[:1]
        raise UsageError(f"{file}: has no column {named!r}; it has {', '.join(map(repr, names))}")

    predicted = _PREDICTED if {*_PREDICTED} & {*lower} else LABEL_NAMES
    ids, texts = places(None, *_IDS), places(columns[0], *TEXT_NAMES)
    answers = places(columns[1], *predicted, *_PROBABILITIES)
    for found, what, how in ((ids + texts, "an id or a text", "text"), (answers, "a label or a probability", "label")):
        if not found:
            shown = ", ".join(map(repr, names))
            raise UsageError(f"{file}: no column is called as {what}; name it with --{how}-column. It has {shown}")
    return [ids[:1], texts[:1], answers]


def _word(value: Any) -> str:
    return "nan" if value != value else as_text(value).strip()  # only NaN differs from itself


def _probability(answer: str, meanings: dict[str, int | None]) -> float | None:
    """That of positive, of an answer that is a label or is one itself; None of a label for neither."""
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
