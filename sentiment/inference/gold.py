"""Gold tables: labelled tweets on which added predictors are compared; they need not be the tweets of a run.

Does not import torch.
"""

from collections.abc import Iterable
from glob import escape
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.config import ColumnConfig, DataConfig
from sentiment.console import Progress, silent
from sentiment.data.guess_columns import Sample
from sentiment.data.sources import labelled_rows, open_source
from sentiment.data.tables import TEXT_NAMES, Row, RowCounter
from sentiment.data.text import TweetForms, key_as_text, key_of
from sentiment.errors import DataError
from sentiment.files import fingerprint, sha256_of, write_atomically
from sentiment.inference.added import ID_NAMES, Tweets
from sentiment.metrics import Probabilities
from sentiment.models.lexicon import compound_scores, lexicon_probabilities
from sentiment.runs.predictions import GOLD, columns_of
from sentiment.runs.records import Gold, PredictorKind
from sentiment.runs.run_dir import GoldDir, Results, sealed

_CONTRADICTION = "tweet with several labels"


def column_parameters(path: Path) -> dict[str, Any]:
    """The column of a gold table that holds ids, as `data.columns.id`; empty if there is none.

    It is `data.columns.text` too if no column can hold texts.
    """
    columns = Sample.of(path, [*ID_NAMES, *dict(ColumnConfig()).values()]).columns
    ids = [column.key for column in columns if str(column.key).strip().lower() in ID_NAMES]
    if not ids:
        return {}
    parameters = {"data.columns.id": ids[0]}
    if not any(str(column.key).strip().lower() in TEXT_NAMES or column.can_hold("text") for column in columns):
        parameters["data.columns.text"] = ids[0]
    return parameters


def open_gold(data: DataConfig, results: Results, progress: Progress = silent) -> tuple[Tweets, list[str]]:
    """Read a gold table, and write its directory with the predictions of the lexicon and of the most frequent class.

    Rows with the same id are one tweet; without ids, rows with the same text. Of a built-in source the published test
    set is read.

    Returns:
        The tweets, ordered by key, and lines that say what was read.

    Raises:
        SentimentError: the table cannot be used.
    """
    opened = open_source(data, results)
    file = next(iter(opened.tests.values()), opened.main)
    left_out = RowCounter()
    has_ids = data.columns.id is not None
    forms = TweetForms()
    rows = _rows_by_key(labelled_rows(file, left_out, progress), forms if not has_ids else None, left_out)
    if not rows:
        raise DataError(f"{file.name}: has no row with a label of one of the classes: {left_out.summary()}")
    keys = np.array([*rows], np.int64)
    labels = np.array([row.label for row in rows.values()], np.int8)
    ids = [row.id if has_ids else key_as_text(key) for key, row in rows.items()]
    text_keys = [key_of(forms.of(row.text)) for row in rows.values()]
    source = PurePath(data.source).name
    digest = fingerprint([data.label_names, keys.tolist(), labels.tolist()])
    directory = results.gold_dir(source, digest)
    tweets = Tweets(
        noun=f"tweet of {source}",
        directory=directory.path,
        data=data,
        folder=directory.added,
        part_names=(GOLD,),
        parts=np.zeros(len(keys), np.int8),
        keys=keys,
        labels=labels,
        ids=ids,
        texts=[row.text for row in rows.values()],
        text_keys=np.array(text_keys, np.int64),
    )
    rows_left_out = left_out.counted()
    _write(tweets, directory, source, digest, {reason: counted.count for reason, counted in rows_left_out.items()})
    lines = [f"{source}: {len(keys):,} tweets of the classes {', '.join(data.label_names)}"]
    lines += [f"  {counted.count:,} rows left out: {reason} ({counted})" for reason, counted in rows_left_out.items()]
    return tweets, [*lines, *_earlier_tables(directory, results)]


def _earlier_tables(directory: GoldDir, results: Results) -> list[str]:
    """A line for each other table of the same source, as before an edit, with predictors that this one lacks."""
    lines = []
    here = {file.stem for file in directory.added.glob("*.json")}
    source = directory.path.name.rpartition("-")[0]
    for path in sorted(results.gold.glob(f"{escape(source)}-????????")):
        if path == directory.path:
            continue
        if names := sorted({file.stem for file in GoldDir(path).added.glob("*.json")} - here):
            lines.append(
                f"  {', '.join(names)}: added for {path}, whose tweets or labels differ from these, and compared there "
                "only; add them again to compare them here"
            )
    return lines


def _rows_by_key(labelled: Iterable[tuple[Row, int]], forms: TweetForms | None, left_out: RowCounter) -> dict[int, Row]:
    """One row for each tweet, ordered by the key of its id, or of its text if there are `forms`."""
    rows: dict[int, Row] = {}
    contradicted: dict[int, Row] = {}
    for row, _ in labelled:
        key = key_of(forms.of(row.text) if forms else row.id)
        if key not in rows:
            rows[key] = row
        elif row.label == rows[key].label:
            left_out.add("duplicate tweet", row.line)
        else:
            left_out.add(_CONTRADICTION, row.line)
            contradicted[key] = rows[key]
    for key, row in contradicted.items():  # it is unknown which label is right
        left_out.add(_CONTRADICTION, row.line)
        del rows[key]
    return dict(sorted(rows.items()))


def _write(tweets: Tweets, directory: GoldDir, source: str, digest: str, left_out: dict[str, int]) -> None:
    classes = tweets.data.label_names
    references = _references(tweets)
    columns = {"part": [GOLD] * len(tweets.ids), "tweet": tweets.keys, "label": tweets.labels}
    columns |= {"id": tweets.ids, "text": tweets.texts}
    for kind, probabilities in references.items():
        columns |= dict(zip(columns_of(kind, classes), probabilities.T[1:], strict=True))
    directory.path.mkdir(parents=True, exist_ok=True)
    write_atomically(directory.predictions_file, lambda file: pq.write_table(pa.table(columns), file))
    record = Gold(
        source=source,
        fingerprint=digest,
        classes=list(classes),
        kinds=list(references),
        left_out=left_out,
        predictions_sha256=sha256_of(directory.predictions_file),
    )
    write_atomically(directory.record_file, sealed(record))


def _references(tweets: Tweets) -> dict[PredictorKind, Probabilities]:
    """The probabilities of predictors that need no training, (n, classes) each."""
    references: dict[PredictorKind, Probabilities] = {}
    columns = tweets.data.columns
    if tweets.data.is_english and columns.text != columns.id:
        references["lexicon"] = lexicon_probabilities(compound_scores(tweets.texts), tweets.class_count)
    shares = np.bincount(tweets.labels, minlength=tweets.class_count) / len(tweets.labels)
    references["majority"] = np.tile(shares, (len(tweets.labels), 1))
    return references
