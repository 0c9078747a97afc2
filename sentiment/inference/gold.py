"""Tables of tweets on which added predictors are compared: gold tables with labels, and tables without any.

A table needs no run. Rows with the same id are one tweet; without ids, rows with the same whole text. Does not import
torch.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.config import ColumnConfig, DataConfig
from sentiment.config_file import shortened
from sentiment.console import Progress, plural, silent
from sentiment.data.classes import IGNORED, Classes
from sentiment.data.guess_columns import can_hold, find_texts
from sentiment.data.rows import Row, RowCounter
from sentiment.data.sources import TweetFile, cached_sha256, open_file, open_to_test, usable_rows
from sentiment.data.table import ID_NAMES, TEXT_NAMES, Table
from sentiment.data.table_files import opened_parquet
from sentiment.data.text import key_as_text, key_of
from sentiment.errors import DataError, UsageError
from sentiment.files import fingerprint, sha256_of, write_atomically
from sentiment.inference.added import Tweets
from sentiment.labelling.sheet import whole_text
from sentiment.models.lexicon import compound_scores, lexicon_probabilities
from sentiment.runs.predictions import GOLD, columns_of
from sentiment.runs.recommendation import Unlabelled
from sentiment.runs.records import Gold, PredictorKind
from sentiment.runs.run_dir import GoldDir, Results, UnlabelledDir, read_added, read_record, sealed
from sentiment.statistics.metrics import Probabilities

_SEVERAL_LABELS = "tweet with several labels"
# In the metadata of a table's Parquet file: the SHA-256 of the file that the table was read from.
_READ_FROM = b"read_from"


def column_parameters(table: Table) -> dict[str, Any]:
    """The column of a gold table that holds ids, as `data.columns.id`; empty if there is none.

    It is `data.columns.text` too if no column can hold texts.
    """
    ids = [table.keys[index] for index in table.usual_indices(ID_NAMES)]
    if not ids:
        return {}
    parameters = {"data.columns.id": ids[0]}
    if not table.usual_indices(TEXT_NAMES) and not any(can_hold("text", values) for values in table.columns):
        parameters["data.columns.text"] = ids[0]
    return parameters


def open_gold(
    data: DataConfig, table: Table | None, results: Results, progress: Progress = silent
) -> tuple[Tweets, list[str]]:
    """Read a gold table, and write its directory with the predictions of the lexicon and of the most frequent class.

    Of a built-in source the published test set is read, if there is one.

    Args:
        table: the opened source of `data`; None if it is built in.

    Returns:
        The tweets, ordered by key, and lines that say what was read.

    Raises:
        SentimentError: the table cannot be used.
    """
    left_out = RowCounter()
    file = open_to_test(data, table, results)
    rows = _rows_by_key(file, left_out, data.leave_out, progress)
    source = PurePath(data.source).name
    digest = fingerprint([data.label_names, [*rows], [row.label for row in rows.values()]])
    directory = results.gold_dir(source, digest)
    tweets = Tweets.of_table(data, rows, directory, GOLD)
    _write_gold(tweets, directory, digest, left_out, file)
    lines = [
        f"{source}: {plural(len(rows), 'tweet')} of the classes {', '.join(data.label_names)}",
        *left_out.lines_left_out(),
    ]
    return tweets, lines


def open_unlabelled(
    data: DataConfig,
    table: Table,
    classes_of: Callable[[Classes | None], Classes],
    results: Results,
    progress: Progress = silent,
) -> tuple[Tweets, list[str]]:
    """Read a table without labels, and write its directory.

    Args:
        data: its source and its columns of texts and ids.
        table: the opened source.
        classes_of: gives the classes that predictors may answer, with their labels, from those of earlier answers,
            which are None if there are none.

    Returns, Raises: as `open_gold`, or as `classes_of`.
    """
    trained = ColumnConfig()
    column = None if data.columns.text in (trained.text, data.columns.id) else data.columns.text
    index, lines = find_texts(table, column, trained, "--set data.columns.text")
    file = open_file(table, ColumnConfig(text=index, id=data.columns.id), None)
    left_out = RowCounter()
    rows = _rows_by_key(file, left_out, data.leave_out, progress)
    source = PurePath(data.source).name
    digest = fingerprint([[*rows], [row.text for row in rows.values()]])
    directory = results.unlabelled_dir(source, digest)
    earlier = read_record(directory.record_file, Unlabelled)
    classes = classes_of(Classes.parse(earlier.labels) if earlier else None)
    named = data.model_copy(update={"labels": classes})
    tweets = Tweets.of_table(named, rows, directory, "unlabelled")
    columns_stored = {"tweet": tweets.keys, "text": tweets.texts}
    sha256 = _write_table(directory.path, directory.tweets_file, columns_stored, file)
    if earlier:
        add_classes(directory.added, [name for name, _ in earlier.labels], named.label_names)
    labels = [(name, list(values)) for name, values in classes.stored().items()]
    record = Unlabelled(source=source, labels=labels, tweets_sha256=sha256)
    write_atomically(directory.record_file, sealed(record))
    lines.append(
        f"{source}: {plural(len(rows), 'tweet')} without labels; the classes are {', '.join(named.label_names)}"
    )
    return tweets, [*lines, *left_out.lines_left_out()]


def add_classes(folder: Path, former: Sequence[str], names: Sequence[str]) -> None:
    """Rewrite earlier answers, by classes in their order, if there are more classes now; raises UsageError if fewer."""
    gone = [name for name in former if name not in names and name != IGNORED]
    if gone:
        raise UsageError(f"{folder.parent}: has answers of the class {gone[0]!r}; name it in --classes as well")
    places = [names.index(name) for name in former if name != IGNORED]
    if places == [*range(len(names))]:
        return
    for name, added in read_added(folder)[0].items():
        if any(answer and len(answer) != len(places) for answer in added.predictions.values()):
            continue  # by a command that was killed before it recorded the classes
        predictions: dict[int, list[float] | None] = {}
        for key, answer in added.predictions.items():
            by_place = dict(zip(places, answer or (), strict=bool(answer)))
            predictions[key] = [by_place.get(place, 0.0) for place in range(len(names))] if answer else None
        write_atomically(folder / f"{name}.json", sealed(added.model_copy(update={"predictions": predictions})))


def was_read_from(directory: Path, path: Path) -> bool:
    """Whether `open_gold` or `open_unlabelled` wrote a directory when the file at `path` was as it is now."""
    file = UnlabelledDir(directory).tweets_file
    if GoldDir(directory).record_file.exists():
        file = GoldDir(directory).predictions_file
    with opened_parquet(file) as table:
        return (table.schema_arrow.metadata or {}).get(_READ_FROM) == cached_sha256(path).encode()


def _rows_by_key(
    file: TweetFile, left_out: RowCounter, leave_out: Collection[str], progress: Progress
) -> dict[int, Row]:
    """One row for each tweet, ordered by the key of its id, or of its whole text if it has none.

    The key is the id of a tweet without one.
    """
    by_key: dict[int, Row] = {}
    contradicted: dict[int, Row] = {}
    for row in usable_rows(file, left_out, progress, leave_out):
        own_id = row.id if file.has_ids else ""  # else it is the number of the row
        key = key_of(own_id or whole_text(row.text))
        if key not in by_key:
            by_key[key] = row._replace(id=own_id or key_as_text(key))
        elif whole_text(row.text) != whole_text(by_key[key].text):
            raise DataError(
                f"{file.name}:{row.line}: has the id {shortened(own_id)!r} of another tweet, that of line "
                f"{by_key[key].line}; a spreadsheet may have rounded it. Name another column, or null for none: "
                "--set data.columns.id=null"
            )
        elif row.label == by_key[key].label:
            left_out.add("duplicate tweet", row.line)
        else:
            left_out.add(_SEVERAL_LABELS, row.line)
            contradicted[key] = by_key[key]
    for key, row in contradicted.items():  # it is unknown which label is right
        left_out.add(_SEVERAL_LABELS, row.line)
        del by_key[key]
    if not by_key:
        wanted = "row with a label of one of the classes" if file.has_labels else "row with a text"
        raise DataError(f"{file.name}: has no {wanted}; left out: {left_out.summary() or 'none'}")
    return dict(sorted(by_key.items()))


def _write_gold(tweets: Tweets, directory: GoldDir, digest: str, left_out: RowCounter, file: TweetFile) -> None:
    classes = tweets.data.label_names
    references = _references(tweets)
    columns = {"part": [GOLD] * len(tweets.ids), "tweet": tweets.keys, "label": tweets.labels}
    columns |= {"id": tweets.ids, "text": tweets.texts}
    for kind, probabilities in references.items():
        columns |= dict(zip(columns_of(kind, classes), probabilities.T[1:], strict=True))
    record = Gold(
        source=PurePath(tweets.data.source).name,
        fingerprint=digest,
        classes=list(classes),
        kinds=list(references),
        left_out={reason: rows.count for reason, rows in left_out.counted().items()},
        predictions_sha256=_write_table(directory.path, directory.predictions_file, columns, file),
    )
    write_atomically(directory.record_file, sealed(record))


def _write_table(folder: Path, target: Path, columns: dict[str, Any], file: TweetFile) -> str:
    """Write a Parquet file of the tweets of a file into a folder that may not exist yet; returns its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns).replace_schema_metadata({_READ_FROM: file.sha256})
    write_atomically(target, lambda opened: pq.write_table(table, opened))
    return sha256_of(target)


def _references(tweets: Tweets) -> dict[PredictorKind, Probabilities]:
    """The probabilities of predictors that need no training, (n, classes) each."""
    references: dict[PredictorKind, Probabilities] = {}
    if tweets.data.is_english and tweets.has_texts:
        references["lexicon"] = lexicon_probabilities(compound_scores(tweets.texts), tweets.class_count)
    shares = np.bincount(tweets.labels, minlength=tweets.class_count) / len(tweets.labels)
    references["majority"] = np.tile(shares, (len(tweets.labels), 1))
    return references
