"""Gold tables: labelled tweets on which added predictors are compared; they need not be the tweets of a run.

Does not import torch.
"""

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
from sentiment.data.tables import ID_NAMES, TEXT_NAMES, RowCounter
from sentiment.data.text import TweetForms
from sentiment.errors import DataError
from sentiment.files import fingerprint, sha256_of, write_atomically
from sentiment.inference.added import Tweets, rows_by_key
from sentiment.metrics import Probabilities
from sentiment.models.lexicon import compound_scores, lexicon_probabilities
from sentiment.runs.predictions import GOLD, columns_of
from sentiment.runs.records import Gold, PredictorKind
from sentiment.runs.run_dir import GoldDir, Results, sealed


def column_parameters(path: Path) -> dict[str, Any]:
    """The column of a gold table that holds ids, as `data.columns.id`; empty if there is none.

    It is `data.columns.text` too if no column can hold texts.
    """
    sample = Sample.of(path, [*ID_NAMES, *dict(ColumnConfig()).values()])
    ids = [sample.columns[index].key for index in sample.table.usual_indices(ID_NAMES)]
    if not ids:
        return {}
    parameters = {"data.columns.id": ids[0]}
    has_text_name = any(name.strip().lower() in TEXT_NAMES for name in sample.table.names)
    if not has_text_name and not any(column.can_hold("text") for column in sample.columns):
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
    forms = TweetForms()
    labelled = (row for row, _ in labelled_rows(file, left_out, progress))
    if data.columns.id is None:  # then ids are numbers of rows
        labelled = (row._replace(id="") for row in labelled)
    rows = rows_by_key(labelled, forms, left_out)
    if not rows:
        raise DataError(f"{file.name}: has no row with a label of one of the classes: {left_out.summary()}")
    source = PurePath(data.source).name
    digest = fingerprint([data.label_names, [*rows], [row.label for row in rows.values()]])
    directory = results.gold_dir(source, digest)
    tweets = Tweets.of_table(data, rows, directory, GOLD, forms)
    rows_left_out = left_out.counted()
    _write(tweets, directory, source, digest, {reason: counted.count for reason, counted in rows_left_out.items()})
    lines = [f"{source}: {len(rows):,} tweets of the classes {', '.join(data.label_names)}"]
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
