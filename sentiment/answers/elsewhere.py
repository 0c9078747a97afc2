"""Answers from elsewhere to the tweets of a run or of a table, with labels or without: a sheet of the tweets, and
predictors that are added, to be compared with each other and with the models of runs.

Rows of a table with the same id are one tweet; without ids, rows with the same whole text. Of copies with different
labels, by the rule of `sentiment.data.copies`, none is used. Does not import torch.
"""

import glob
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from sentiment.answers.label_page import Labelling
from sentiment.answers.match import (
    AnswersFile,
    classes_of_answers,
    match,
    values_of_answers,
)
from sentiment.answers.sheet import whole_text, write_sheet
from sentiment.answers.table import (
    ENOUGH_ANSWERS,
    Added,
    AnswersDir,
    AnswersRecord,
    AnswerTable,
    Predictor,
)
from sentiment.config import PARTS, ColumnConfig, DataConfig
from sentiment.config_file import resolve
from sentiment.console import Progress, plural, visible
from sentiment.data.classes import Classes, word_of
from sentiment.data.copies import SEVERAL_LABELS, have_several_labels
from sentiment.data.corpus import open_corpus
from sentiment.data.guess_columns import can_hold, find_texts, resolve_with_guesses
from sentiment.data.preparation import TEST, TRAIN
from sentiment.data.rows import Row, RowCounter
from sentiment.data.sources import TweetFile, cached_sha256, open_file, open_to_test, usable_rows
from sentiment.data.table import ID_NAMES, LABEL_NAMES, TEXT_NAMES, Table, abbreviated
from sentiment.data.table_files import open_table
from sentiment.data.text import TweetForms, key_as_text, key_of
from sentiment.errors import DataError, UsageError, shortened
from sentiment.files import fingerprint, user_path, write_atomically
from sentiment.models.lexicon import compound_scores, lexicon_probabilities
from sentiment.predicting.stored import TrainedRun
from sentiment.runs.records import PREDICTORS
from sentiment.runs.run_dir import Results, read_record, sealed
from sentiment.statistics.metrics import UNLABELLED
from sentiment.tokens import Flags

_OPTIONS = {"data.labels": "--classes"}  # on the table of tweets; --text-column is about that of answers
_SUSPICIOUS_ROWS = 20  # perfect accuracy on so many tweets triggers a warning


@dataclass(frozen=True)
class Asked:
    """The tweets to which answers are added: those of a run, or of a table.

    Attributes:
        noun: what messages call these tweets.
        directory: that of the run, or of the table.
        added: the folder of the predictors that were added for them.
        data: the configuration that names their classes.
        table: the tweets. Of a run, the ids are the tweets' keys: source ids are often row numbers, which would also
            match rows of an unrelated table.
        parts: what messages call the part of each tweet, (n,).
        record: that of a table, which is written with the first answers to it; None for a run.
    """

    noun: str
    directory: Path
    added: Path
    data: DataConfig
    table: AnswerTable
    parts: Sequence[str]
    record: AnswersRecord | None = None

    def coverage(self, indices: Iterable[int]) -> str:
        """`331 of 333 test tweets, 0 of 333 validation tweets`."""
        answered = Counter(self.parts[index] for index in indices)
        total = Counter(self.parts)
        return ", ".join(f"{answered[part]:,} of {number:,} {part} tweets" for part, number in total.items())


def tweets_of_run(run: TrainedRun) -> Asked:
    """The test and the validation tweets of a run, with folds also the others; those of a part in random (hash) order.

    Raises:
        DataError: its corpus is missing.
    """
    fingerprint_of_corpus = run.record.data_fingerprint
    corpus = open_corpus(run.results.corpus_dir(fingerprint_of_corpus))
    first = TRAIN if run.config.data.folds else TRAIN + 1
    rows = np.flatnonzero((corpus.parts >= first) & (corpus.parts <= TEST))
    rows = rows[np.lexsort((corpus.keys[rows], -corpus.parts[rows]))]
    keys = corpus.keys[rows]
    texts = corpus.texts().take(rows).to_pylist()
    table = AnswerTable(keys, corpus.labels[rows], [], [*map(key_as_text, keys.tolist())], texts)
    return Asked(
        noun="test and validation tweets of the run",
        directory=run.run_dir.path,
        added=run.results.added_dir(fingerprint_of_corpus),
        data=run.config.data,
        table=table,
        parts=[PARTS[part] for part in corpus.parts[rows]],
    )


# --- tables -----------------------------------------------------------------------------------------------------------


def tweets_of_table(
    source: str, parameters: dict[str, Any], answers: AnswersFile | None, results: Results, progress: Progress
) -> tuple[Asked, list[str]]:
    """The tweets of a table or a built-in source, and lines on what was read.

    A table has labels if a column is named so, or is given. Then the predictions of the lexicon and of the most
    frequent class stand beside them. Of a built-in source the published test set is read, if there is one.

    Args:
        parameters: how the table is read, by dotted name; `data.labels` is a text, as `--classes` takes it.
        answers: those that name the classes of tweets without labels.

    Raises:
        SentimentError: the table cannot be used, or it is unclear what its classes are.
    """
    path = user_path(source)
    table = _opened(path, parameters) if path.is_file() else None
    parameters = (_id_columns(table) if table else {}) | parameters
    classes = parameters.pop("data.labels", None)
    if table is None or _has_labels(table, parameters):
        parameters |= _classes_of_labels(classes, table, parameters, results)
        run, guesses = resolve_with_guesses({}, (), parameters, "--of", table, _OPTIONS)
        data = run.data
        lines = guesses.messages() if guesses else []
        file = open_to_test(data, guesses.table if guesses else None, results)
    else:
        parameters.pop("data.columns.label", None)  # null: none of the columns holds labels
        data = resolve({}, parameters, "--of").data
        file, lines = _open_without_labels(data, table)
    left_out = RowCounter()
    rows = _rows_by_key(file, left_out, data.leave_out, progress)
    whole = _table_of(rows, file.has_ids, data)
    name = PurePath(data.source).name
    digest = _digest(whole, data)
    directory = AnswersDir.of(results, name, digest)
    if not file.has_labels:
        earlier = read_record(directory.record_file, AnswersRecord)
        data = data.model_copy(update={"labels": _classes_asked(source, classes, answers, earlier)})
        lines.append(f"{name}: no column is known to hold true labels; --set data.columns.label=NAME names it")
    record = AnswersRecord(
        source=name,
        fingerprint=digest,
        read_from=file.sha256,
        labels=data.labels,
        kinds=[kind for kind in PREDICTORS if kind in {predictor.kind for predictor in whole.predictors}],
        left_out={reason: of_reason.count for reason, of_reason in left_out.counted().items()},
        table_sha256="",
    )
    without = "" if file.has_labels else " without labels"
    lines.append(f"{name}: {plural(len(rows), 'tweet')}{without}; the classes are {', '.join(data.label_names)}")
    noun = f"{'labelled ' if file.has_labels else ''}tweets of {name}"
    parts = ["labelled" if file.has_labels else "given"] * len(rows)
    asked = Asked(noun, directory.path, directory.added, data, whole, parts, record)
    return asked, [*lines, *left_out.lines_left_out()]


def _opened(path: Path, parameters: dict[str, Any]) -> Table:
    """A table that is read with these parameters, by dotted name."""
    columns = [value for name, value in parameters.items() if name.startswith("data.columns.")]
    expected = [*ID_NAMES, *dict(ColumnConfig()).values(), *columns]
    return open_table(path, expected, quotes=parameters.get("data.quotes"))


def _id_columns(table: Table) -> dict[str, Any]:
    """The column of a table that holds ids, as `data.columns.id`; empty if there is none.

    It is `data.columns.text` too if no column can hold texts.
    """
    index = table.usual_index(ID_NAMES)
    if index is None:
        return {}
    parameters: dict[str, Any] = {"data.columns.id": table.keys[index]}
    if not table.usual_indices(TEXT_NAMES) and not any(can_hold("text", values) for values in table.columns):
        parameters["data.columns.text"] = table.keys[index]
    return parameters


def _has_labels(table: Table, parameters: dict[str, Any]) -> bool:
    """Whether a column is given as that of the labels, or is named so: other columns may hold anything."""
    if "data.columns.label" in parameters:
        return parameters["data.columns.label"] is not None
    return bool(table.usual_indices(LABEL_NAMES))


def _classes_of_labels(
    given: str | None, table: Table | None, parameters: dict[str, Any], results: Results
) -> dict[str, Any]:
    """The classes of a labelled table, as `data.labels`: those that are given, or with which answers to the same file
    were added before, if they name all labels in its first rows; empty if neither is there."""
    if given:
        return {"data.labels": Classes.of_option(given).with_names()}
    if table is None:
        return {}
    names = [table.keys[index] for index in table.usual_indices(LABEL_NAMES)[:1]]
    labels = table.values(parameters.get("data.columns.label", *names)) or []
    _, same = answers_to(table.path, results.answers)
    records = [read_record(AnswersDir(directory).record_file, AnswersRecord) for directory in same]
    known = {record.labels for record in records if record and record.kinds}  # without labels there are no kinds
    words = {*map(word_of, filter(None, labels))}
    fitting = [classes for classes in known if words <= classes.meanings.keys()]
    return {"data.labels": fitting[0]} if len(known) == len(fitting) == 1 else {}


def _open_without_labels(data: DataConfig, table: Table) -> tuple[TweetFile, list[str]]:
    usual = ColumnConfig()
    column = None if data.columns.text in (usual.text, data.columns.id) else data.columns.text
    index, lines = find_texts(table, column, usual, _OPTIONS)
    return open_file(table, ColumnConfig(text=index, id=data.columns.id), None), lines


def _rows_by_key(
    file: TweetFile, left_out: RowCounter, leave_out: Collection[str], progress: Progress
) -> dict[int, Row]:
    """One row for each tweet, ordered by the key of its id, or of its whole text if it has none.

    Left out are all copies of a tweet with different labels.
    """
    by_key: dict[int, Row] = {}
    rows = [*usable_rows(file, left_out, progress, leave_out)]
    contradicted = _contradicted(rows) if file.has_labels else np.zeros(len(rows), np.bool_)
    for row, is_contradicted in zip(rows, contradicted, strict=True):
        if is_contradicted:
            left_out.add(SEVERAL_LABELS, row.line)
            continue
        own_id = row.id if file.has_ids else ""  # else it is the number of the row
        key = key_of(own_id or whole_text(row.text))
        if key not in by_key:
            by_key[key] = row
        elif whole_text(row.text) != whole_text(by_key[key].text):
            raise DataError(
                f"{file.name}:{row.line}: has the id {shortened(own_id)!r} of another tweet, that of line "
                f"{by_key[key].line}; a spreadsheet may have rounded it. Name another column, or null for none: "
                "--set data.columns.id=null"
            )
        else:
            left_out.add("duplicate tweet", row.line)
    if not by_key:
        wanted = "row with a label of one of the classes" if file.has_labels else "row with a text"
        raise DataError(f"{file.name}: has no {wanted}; left out: {left_out.summary() or 'none'}")
    return dict(sorted(by_key.items()))


def _contradicted(rows: Sequence[Row]) -> Flags:
    """Whether a copy of each row has another label; an id as text copies only itself."""
    forms = TweetForms()
    keys = [key_of(row.id if row.id == row.text.strip() else forms.of(row.text)) for row in rows]
    labels = [UNLABELLED if row.label is None else row.label for row in rows]
    return have_several_labels(np.array(keys, np.int64), np.array(labels, np.int64))


def _table_of(rows: dict[int, Row], has_ids: bool, data: DataConfig) -> AnswerTable:
    """The tweets, of which the key is the id of one without; beside labels, the predictors that need no training."""
    keys = np.array([*rows], np.int64)
    labels = np.array([UNLABELLED if row.label is None else row.label for row in rows.values()], np.int8)
    ids = [row.id if has_ids and row.id else key_as_text(key) for key, row in rows.items()]
    table = AnswerTable(keys, labels, [], ids, [row.text for row in rows.values()])
    if not table.has_labels:
        return table
    classes = len(data.label_names)
    if data.is_english and table.has_texts:
        by_words = lexicon_probabilities(compound_scores(table.texts), classes)
        table.predictors.append(Predictor(PREDICTORS["lexicon"], "lexicon", by_words))
    shares = np.bincount(labels, minlength=classes) / len(labels)
    table.predictors.append(Predictor(PREDICTORS["majority"], "majority", np.tile(shares, (len(labels), 1))))
    return table


def _classes_asked(
    source: str, classes: str | None, answers: AnswersFile | None, earlier: AnswersRecord | None
) -> Classes:
    """The classes of tweets without labels: those that are given, or that the answers name; else the earlier ones."""
    known = earlier.labels if earlier else None
    if classes:
        labels = Classes.of_option(classes).with_names()
    elif answers:
        labels = classes_of_answers(values_of_answers(answers), known, str(answers.path))
    elif known:
        labels = known
    else:
        raise UsageError(f"{source}: has no labels or answers yet that name its classes; --classes names them")
    gone = [name for name in known.names if name not in labels.names] if known else []
    if gone:
        raise UsageError(f"{source}: has answers of the class {gone[0]!r}; name it in --classes as well")
    return labels


def _digest(table: AnswerTable, data: DataConfig) -> str:
    """The fingerprint of labelled tweets with their classes, or of the texts of others: answers may add classes."""
    keys = table.tweets.tolist()
    if table.has_labels:
        return fingerprint([data.label_names, keys, table.labels.tolist()])
    return fingerprint([keys, [*map(whole_text, table.texts)]])


def answers_to(file: Path, answers: Path) -> tuple[list[Path], list[Path]]:
    """The directories in `answers` of tables with a file's name, and those of them that were read from it as it is now.

    Of a file that does not exist, these are all.
    """
    named = sorted(answers.glob(f"{glob.escape(file.name.partition('.')[0])}-????????"))
    if not file.is_file():
        return named, named
    records = {path: read_record(AnswersDir(path).record_file, AnswersRecord) for path in named}
    return named, [path for path, record in records.items() if record and record.read_from == cached_sha256(file)]


# --- sheets and answers -----------------------------------------------------------------------------------------------


def write_tweets(asked: Asked, sheet: Path) -> None:
    """Write a sheet of all tweets for a person to label.

    Those of a part are in random order, so that the first hundred are a random sample.

    Raises:
        UsageError: as `write_sheet`.
    """
    rows = [*zip(asked.table.ids, asked.table.texts, strict=True)]
    write_sheet(sheet, Labelling(rows, asked.data.label_names, ENOUGH_ANSWERS, may_skip=True))


def add_predictor(
    asked: Asked, name: str, file: AnswersFile, classes: str | None, metadata: dict[str, Any]
) -> list[str]:
    """Store the answers of a table, to be compared with all other predictors for the same tweets.

    Args:
        classes: further labels of the tweets' classes, as `--classes` takes them.
        metadata: `note`, `annotator`, `cost` and `seconds` of the record.

    Returns:
        Lines to print: what was read, and where it is stored.

    Raises:
        SentimentError: the table is unusable, an answer is invalid, or a tweet's text differs from the sheet.
    """
    _check_name(name)
    target = asked.added / f"{name}.json"
    names = asked.data.label_names
    further = Classes.of_option(classes) if classes else None
    matched = match(file, asked.table, asked.noun, asked.data.labels.answer_meanings(further))
    with_class = [index for index, answer in matched.classes.items() if answer is not None]
    if not with_class:
        reasons = "; ".join(filter(None, (matched.left_out.summary(), matched.others.summary())))
        raise DataError(
            f"{file.path}: has no prediction for any of the {asked.noun}: {reasons}. The classes are "
            f"{', '.join(names)}; --classes maps further labels to them"
        )
    keys = asked.table.tweets.tolist()
    record = {
        "file": file.path.name,
        "file_sha256": cached_sha256(file.path),
        "tweets": matched.answered,
        "predictions": {
            keys[index]: None if answer is None else names[answer] for index, answer in matched.classes.items()
        },
    }
    if asked.record:
        AnswersDir(asked.directory).write(asked.table, asked.record)
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{name}: {asked.coverage(with_class)}"]
    if target.is_file():
        lines.append("  replaces the earlier predictions of this name")
    write_atomically(target, sealed(Added.model_validate(record | metadata)))
    lines += matched.left_out.lines_left_out()
    if matched.others.total():
        lines.append(abbreviated([f"  {line}" for line in matched.others.lines()], "\n"))
    has_all_right = [matched.classes[index] for index in with_class] == asked.table.labels[with_class].tolist()
    if has_all_right and not matched.others.total() and len(with_class) >= _SUSPICIOUS_ROWS:
        lines.append(
            "warning: all predictions are right. Are these the tweets' own labels? --label-column names another column"
        )
    return [*lines, f"in {target}; delete this file to remove the predictor"]


def _check_name(name: str) -> None:
    """Raises UsageError if a predictor cannot be called so."""
    if "/" in name or name.startswith(".") or not name or name != visible(name):
        raise UsageError(f"{name!r}: must be a file name of printable characters, without '/' and a leading '.'")
    if name in PREDICTORS.values():
        raise UsageError(f"{name!r}: a predictor of this name is compared anyway; give this one another name")
