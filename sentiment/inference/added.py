"""Added predictors: export tweets as an annotation sheet, and import predicted labels.

They are compared with each other, and with the models of runs on the same tweets. Does not import torch.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import PARTS, DataConfig
from sentiment.config_file import resolve, shortened
from sentiment.console import visible
from sentiment.data.classes import DEFAULT_CLASSES, Classes, Meanings, is_number
from sentiment.data.corpus import open_corpus
from sentiment.data.guess_columns import LABEL_NAMES
from sentiment.data.preparation import TEST, TRAIN
from sentiment.data.rows import Row, RowCounter
from sentiment.data.sources import cached_sha256
from sentiment.data.table import ID_NAMES, TEXT_NAMES, Column, RawRow, Refusal, Table, abbreviated, as_text
from sentiment.data.table_files import open_table
from sentiment.data.text import key_as_text
from sentiment.errors import DataError, UsageError
from sentiment.files import write_atomically
from sentiment.inference.stored import TrainedRun
from sentiment.labelling.sheet import SKIPPED_WORD, whole_text, write_sheet
from sentiment.runs.predictions import ENOUGH_ANSWERS
from sentiment.runs.records import PREDICTORS, Added, Part
from sentiment.runs.run_dir import GoldDir, UnlabelledDir, sealed
from sentiment.statistics.metrics import UNLABELLED

# Names of columns with answers, the clearest first. Beside one of them, a column `label` is taken as the gold label.
# lm-evaluation-harness logs the answer to each sample as `filtered_resps`, and the tweet's columns as `doc.NAME`.
_PREDICTED = ("predicted_label", "prediction", "predicted", "pred", "answer", "filtered_resps")
_NO_ANSWER = "no answer"
_SEVERAL_ANSWERS = "tweet with several answers"
# Columns that lm-evaluation-harness writes; in its logs only `filtered_resps` is an answer.
_LOGGED = ("doc", "doc_id", "resps", "filtered_resps")
_SUSPICIOUS_ROWS = 20  # perfect accuracy on so many tweets triggers a warning
# The index of a class, or None for an answer that is none of the classes, by the index of the tweet.
AnswersByTweet = dict[int, int | None]


class NamedColumns(NamedTuple):
    """The columns of a table of answers, by name or index, and how its rows are read.

    Attributes:
        text, label: None: the column is recognised by its name.
        quotes: as in `open_table`.
        leave_out: as in `usable_rows`.
    """

    text: Column | None = None
    label: Column | None = None
    quotes: bool | None = None
    leave_out: Collection[str] = ()


@dataclass(frozen=True)
class Tweets:
    """The tweets that a predictor can be added for: those of a run, of a gold table, or of a table without labels.

    Attributes:
        noun: what messages call such a tweet.
        directory: the directory of the run, or of the table.
        data: the configuration that names their classes.
        folder: the folder of the predictors that were added for them.
        part_names: the names of the parts; PARTS for a run.
        parts: (n,) indices into `part_names`; the other fields are parallel to it.
        keys: the keys of the tweets, by which predictions are stored.
        labels: indices of classes; UNLABELLED if the table has no labels.
        ids: those of the sheet. For a run they are the tweets' keys: source ids are often row numbers, which would also
            match rows of an unrelated table.
    """

    noun: str
    directory: Path
    data: DataConfig
    folder: Path
    part_names: Sequence[str]
    parts: npt.NDArray[np.int8]
    keys: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int8]
    ids: list[str]
    texts: list[str]

    @classmethod
    def of_run(cls, run: TrainedRun) -> "Tweets":
        """The validation and test tweets of a run; with folds, all tweets.

        Raises:
            DataError: its corpus is missing.
        """
        results = run.results
        fingerprint = run.record.data_fingerprint
        corpus = open_corpus(results.corpus_dir(fingerprint))
        first = TRAIN if run.config.data.folds else TRAIN + 1
        rows = np.flatnonzero((corpus.parts >= first) & (corpus.parts <= TEST))
        keys = corpus.keys[rows]
        return cls(
            noun="test or validation tweet of the run",
            directory=run.run_dir.path,
            data=run.config.data,
            folder=results.added_dir(fingerprint),
            part_names=PARTS,
            parts=corpus.parts[rows],
            keys=keys,
            labels=corpus.labels[rows],
            ids=[key_as_text(key) for key in keys.tolist()],
            texts=corpus.texts().take(rows).to_pylist(),
        )

    @classmethod
    def of_table(
        cls,
        data: DataConfig,
        rows: Mapping[int, Row],
        directory: GoldDir | UnlabelledDir,
        part: Part,
    ) -> "Tweets":
        """The tweets of a table.

        Args:
            rows: by key, in its order.
            part: what its only part is called.
        """
        kind = "tweet" if isinstance(directory, UnlabelledDir) else "labelled tweet"
        classes = [UNLABELLED if row.label is None else row.label for row in rows.values()]
        labels = np.array(classes, np.int8)
        ids = [row.id for row in rows.values()]
        texts = [row.text for row in rows.values()]
        return cls(
            noun=f"{kind} of {PurePath(data.source).name}",
            directory=directory.path,
            data=data,
            folder=directory.added,
            part_names=(part,),
            parts=np.zeros(len(rows), np.int8),
            keys=np.array([*rows], np.int64),
            labels=labels,
            ids=ids,
            texts=texts,
        )

    @property
    def class_count(self) -> int:
        return len(self.data.label_names)

    @property
    def has_texts(self) -> bool:
        """Whether `texts` are texts; otherwise they are ids."""
        return self.data.columns.text != self.data.columns.id

    @cached_property
    def _index_by_id(self) -> dict[str, int]:
        return {tweet_id: index for index, tweet_id in enumerate(self.ids)}

    @cached_property
    def _indices_by_text(self) -> dict[str, list[int]]:
        indices = defaultdict(list)
        for index, text in enumerate(self.texts):
            indices[whole_text(text)].append(index)
        return indices

    def find(self, tweet_id: str, text: str) -> list[int]:
        """The index of the tweet with an id, else the indices of those with the same whole text; none if it is unknown.

        Raises:
            ValueError: the text of this id has been changed.
        """
        index = self._index_by_id.get(tweet_id)
        if index is None:
            return self._indices_by_text.get(whole_text(text), []) if text and self.has_texts else []
        if text and self.has_texts and whole_text(text) != whole_text(self.texts[index]):
            raise ValueError(f"the text of tweet {tweet_id} has changed: {shortened(text)!r}")
        return [index]

    def coverage(self, indices: Iterable[int]) -> str:
        """`331 of 333 test tweets, 0 of 333 validation tweets`."""
        answered = Counter(self.parts[list(indices)].tolist())
        total = Counter(self.parts.tolist())
        parts = sorted(total, reverse=True)
        return ", ".join(f"{answered[part]:,} of {total[part]:,} {self.part_names[part]} tweets" for part in parts)


def write_tweets(tweets: Tweets, sheet: Path) -> int:
    """Write a sheet of all tweets for a person to label; returns their number.

    Test tweets come first, then validation tweets, and with folds training tweets, each in random (hash) order, so that
    the first hundred are a random sample.

    Raises:
        UsageError: as `write_sheet`.
    """
    keys = tweets.keys.tolist()
    order = sorted(range(len(keys)), key=lambda index: (-tweets.parts[index], key_as_text(keys[index])))
    rows = [(tweets.ids[index], tweets.texts[index]) for index in order]
    write_sheet(sheet, rows, tweets.data.label_names, ENOUGH_ANSWERS, may_skip=True)
    return len(rows)


def add_predictions(
    tweets: Tweets, name: str, file: Path, named: NamedColumns, classes: str | None, metadata: dict[str, Any]
) -> list[str]:
    """Import a table of predictions, to be compared with all other predictors for the same tweets.

    Args:
        classes: further labels of the tweets' classes, as `--classes` takes them.
        metadata: `note`, `annotator`, `cost` and `seconds` of the record.

    Returns:
        Lines to print: what was read, and where it is stored.

    Raises:
        SentimentError: the table is unusable, an answer is invalid, or a tweet's text differs from the sheet.
    """
    if "/" in name or name.startswith(".") or not name or name != visible(name):
        raise UsageError(f"{name!r}: must be a file name of printable characters, without '/' and a leading '.'")
    if name in PREDICTORS.values():
        raise UsageError(f"{name!r}: a predictor of this name is compared anyway; give this one another name")
    target = tweets.folder / f"{name}.json"
    meanings = label_meanings_of(tweets.data, classes)
    answers, answered, left_out, others = _read(file, named, tweets, meanings)
    with_class = [index for index, answer in answers.items() if answer is not None]
    if not with_class:
        names = ", ".join(tweets.data.label_names)
        reasons = "; ".join(filter(None, (left_out.summary(), others.summary())))
        raise DataError(
            f"{file}: has no prediction for a {tweets.noun}: {reasons}. The classes are {names}; "
            "--classes maps further labels to them"
        )
    one_hot = np.eye(tweets.class_count).tolist()
    predictions = {int(tweets.keys[at]): None if answer is None else one_hot[answer] for at, answer in answers.items()}
    record = {
        "file": file.name,
        "file_sha256": cached_sha256(file),
        "tweets": answered,
        "unanswered": left_out.count(_NO_ANSWER),
        "predictions": predictions,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{name}: {tweets.coverage(with_class)}"]
    if target.is_file():
        lines.append("  replaces the earlier predictions of this name")
    write_atomically(target, sealed(Added.model_validate(record | metadata)))
    lines += left_out.lines_left_out()
    if others.total():
        lines.append(abbreviated([f"  {line}" for line in others.lines()], "\n"))
    has_all_right = [answers[index] for index in with_class] == tweets.labels[with_class].tolist()
    if has_all_right and not others.total() and len(with_class) >= _SUSPICIOUS_ROWS:
        lines.append(
            "warning: all predictions are right. Are these the tweets' own labels? --label-column names another column"
        )
    return [*lines, f"in {target}; delete this file to remove the predictor"]


def label_meanings_of(data: DataConfig, classes: str | None = None) -> Meanings:
    """The index of the class that each lower-cased label means; None for labels that the data leaves out.

    Known labels are the names of the classes, usual words for two classes of which none is neutral, and the labels that
    the run or `classes` maps to a class.

    Raises:
        ConfigError, UsageError: `classes` is malformed, or names none of the run's classes.
    """
    names = data.label_names
    meanings: dict[str, int | None] = {name.lower(): index for index, name in enumerate(names)}
    if len(names) == 2 and "neutral" not in names:
        meanings |= DEFAULT_CLASSES.meanings
    meanings |= data.labels.meanings
    if classes is not None:
        meanings |= _parsed(classes).renamed(names).meanings
    return meanings


def sheet_meanings(data: DataConfig) -> Meanings:
    """What each lower-cased label on a sheet means, as `label_meanings_of`.

    Numbers mean nothing, unless a class is called so: they may be the keys of the page, or of another scale.
    """
    names = [name.lower() for name in data.label_names]
    meanings = label_meanings_of(data).items()
    return {word: meaning for word, meaning in meanings if word in names or not is_number(word)}


def with_own_names(classes: str) -> Classes:
    """The labels of each class in `--classes`, its own name among them.

    Raises:
        ConfigError: `classes` is malformed.
    """
    parsed = _parsed(classes)
    labels = [tuple(sorted({*own, name})) for name, own in zip(parsed.names, parsed.labels, strict=True)]
    return replace(parsed, labels=tuple(labels))


def _parsed(classes: str) -> Classes:
    parameters = {"data.source": "answers.csv", "data.labels": classes}
    return resolve({}, parameters, "--classes").data.labels


def _read(
    file: Path, named: NamedColumns, tweets: Tweets, meanings: Meanings
) -> tuple[AnswersByTweet, int, RowCounter, RowCounter]:
    """The answers by the index of their tweet, and the number of rows with an answer.

    Further the rows that are left out, and those whose answer is none of the classes.

    Raises:
        DataError: a row has no valid answer, or too many cannot be read.
    """
    answers: AnswersByTweet = {}
    contradicted: dict[int, int] = {}  # the line of the second answer, by the index of the tweet
    answered = 0
    left_out = RowCounter()
    others = RowCounter()
    refused = RowCounter()
    rows = 0
    for row in _answer_rows(file, named):
        rows += 1
        if isinstance(row, Refusal):
            left_out.add(row.reason, row.line)
            refused.add(row.reason, row.line)
            continue
        if not row.label:
            left_out.add(_NO_ANSWER, row.line)
            continue
        try:
            answer = _class_of(row.label, meanings)
            indices = tweets.find(row.id, row.text)
        except ValueError as error:
            raise DataError(f"{file}:{row.line}: {error}") from None
        answered += 1
        if not indices:
            left_out.add(f"not a {tweets.noun}", row.line)
            continue
        # A text may stand for several tweets, of which some may have been answered by an earlier row.
        is_first_answer = any(index not in answers for index in indices)
        differing = [index for index in indices if answers.setdefault(index, answer) != answer]
        contradicted |= dict.fromkeys(differing, row.line)
        if is_first_answer and answer is None:
            others.add(f"with the answer {shortened(row.label)!r}, which is none of the classes: wrong", row.line)
        elif not is_first_answer and not differing:
            left_out.add("duplicate tweet", row.line)
    refused.check(str(file), rows, named.leave_out)
    for index, line in contradicted.items():  # it is unknown which answer counts
        left_out.add(_SEVERAL_ANSWERS, line)
        del answers[index]
    return answers, answered, left_out, others


class _AnswerRow(NamedTuple):
    """A row of a table of answers; empty where it has no id, no text or no answer."""

    line: int
    id: str
    text: str
    label: str


def _answer_rows(file: Path, named: NamedColumns) -> Iterator[_AnswerRow | Refusal]:
    """The rows of a table of answers.

    Raises:
        SentimentError: the table or its columns cannot be found, or an answer cannot be read.
    """
    table = open_table(file, header=True, quotes=named.quotes)
    columns = _columns_of(table, named)
    for record in table.read_all():
        if isinstance(record, Refusal):
            yield record
            continue
        try:
            label = _label_of(record, columns.label)
        except ValueError as error:
            raise DataError(f"{file}:{record.line}: {error}") from None
        yield _AnswerRow(record.line, _cell(record, columns.id), _cell(record, columns.text), label)


def classes_of_answers(file: Path, named: NamedColumns, known: Classes | None) -> Classes:
    """The classes of tweets without labels, each with its labels: those that a table of answers names.

    Args:
        known: those of earlier answers, None if there are none. They are kept if all answers are of them.

    Raises:
        UsageError: it is not clear which classes the answers name.
    """
    answers = {row.label.lower() for row in _answer_rows(file, named) if not isinstance(row, Refusal)} - {""}
    return classes_of_values(answers, known, str(file))


def classes_of_values(answers: Set[str], known: Classes | None, origin: str) -> Classes:
    """The classes that all lower-cased answers name, as `classes_of_answers`; `origin` begins the message."""
    meanings = known.meanings if known else {}
    if known and answers <= meanings.keys():
        return known
    classes = Classes.understand([*answers, *meanings])
    if classes and (known is None or {*known.names} <= {*classes.names}):
        return classes
    shown = abbreviated([repr(shortened(answer)) for answer in sorted(answers)])
    earlier = f"; so far the classes are {', '.join(known.names)}" if known else ""
    raise UsageError(
        f"{origin}: it is not clear which classes the answers name: {shown}{earlier}. Name all classes from the most "
        "negative to the most positive one, and their answers: --classes 'negative=neg,bad neutral positive'"
    )


class _Columns(NamedTuple):
    """The indices of the columns of a table; None for one that it lacks."""

    id: int | None
    text: int | None
    label: int


def _columns_of(table: Table, named: NamedColumns) -> _Columns:
    """Find the columns of a table of answers; of several that may hold labels, the name that is the clearest counts.

    Raises:
        ConfigError, UsageError: a named column is missing, or no column looks like tweets or like answers.
    """

    def first(column: Column | None, usual: Sequence[str]) -> int | None:
        found = table.usual_indices(usual) if column is None else [table.index(column, str(table.path))]
        return next(iter(found), None)

    text = first(named.text, TEXT_NAMES)
    # doc_id is only the number of a row, so it is used only if there is no text.
    tweet_id = first(None, ID_NAMES if text is not None else (*ID_NAMES, "doc_id"))
    is_log = any(name in _LOGGED or name.startswith("doc.") for name in table.names)
    label = first(named.label, _PREDICTED if is_log else (*_PREDICTED, *LABEL_NAMES))
    shown = ", ".join(map(repr, table.names))
    if tweet_id is None and text is None:
        raise UsageError(
            f"{table.path}: no column name looks like an id or a text; name it with --text-column: {shown}"
        )
    if label is None:
        raise UsageError(f"{table.path}: no column name looks like a label; name it with --label-column: {shown}")
    return _Columns(tweet_id, text, label)


def _cell(record: RawRow, column: int | None) -> str:
    return "" if column is None else as_text(record.fields[column]).strip()


def _label_of(record: RawRow, column: int) -> str:
    """The label in a column; empty if there is none, or if the tweet was skipped.

    A list is what lm-evaluation-harness logs: a generated text, or the log-likelihood of each choice, of which the
    highest one counts.

    Raises:
        ValueError: the list is not of that form.
    """
    logged = answer = record.fields[column]
    try:
        if isinstance(answer, list) and len(answer) > 1:
            likelihoods = [float(choice[0]) for choice in answer]
            if any(map(math.isnan, likelihoods)):
                raise ValueError("a likelihood is not a number")
            best = likelihoods.index(max(likelihoods))
            answer = (record.json_object or {})["arguments"][f"gen_args_{best}"]["arg_1"]
        while isinstance(answer, list):
            answer = answer[0]
    except (TypeError, ValueError, LookupError):
        raise ValueError(f"{shortened(str(logged))} is not an answer as lm-evaluation-harness logs it") from None
    label = as_text(answer).strip()
    return "" if label.lower() == SKIPPED_WORD else label


def _class_of(label: str, meanings: Meanings) -> int | None:
    """The index of the class that a label means; None for a word that is none of the classes.

    Raises:
        ValueError: the label is an unknown number, such as a probability.
    """
    if label.lower() not in meanings and is_number(label):
        known = ", ".join(map(repr, meanings))
        raise ValueError(f"{shortened(label)!r} is not a label ({known}; --classes names others)")
    return meanings.get(label.lower())
