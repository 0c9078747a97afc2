"""Answers of added predictors to a table without labels: what is stored of the table, and where they differ.

Does not import torch.
"""

from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.config import ColumnConfig, DataConfig
from sentiment.config_file import resolve
from sentiment.console import ERR, say
from sentiment.data.guess_columns import text_column
from sentiment.data.tables import ID_NAMES, Row, as_text
from sentiment.data.text import TweetForms
from sentiment.errors import DataError, RunDirError, UsageError
from sentiment.files import fingerprint, sha256_of, user_path, write_atomically
from sentiment.inference.added import Tweets, rows_by_key
from sentiment.inference.predict import readable_rows
from sentiment.labelling.choice import PredictedTweets
from sentiment.labelling.unlabelled import PredictedTable
from sentiment.runs.predictions import added_predictor
from sentiment.runs.recommendation import Unlabelled
from sentiment.runs.run_dir import Results, UnlabelledDir, check_sha256, read_added, read_record, sealed


def open_unlabelled(data: DataConfig, results: Results) -> tuple[Tweets, list[str]]:
    """Read a table without labels, and write its directory.

    Rows with the same id are one tweet; without ids, rows with the same text.

    Args:
        data: its source and columns, and the classes that predictors may answer.

    Returns:
        The tweets, ordered by key, and lines that say what was read.

    Raises:
        SentimentError: the table cannot be used.
    """
    path = user_path(data.source)
    column = None if data.columns.text == ColumnConfig().text else data.columns.text
    table, text_index, lines = text_column(path, column, ColumnConfig(), "--set data.columns.text")
    ids = table.usual_indices(ID_NAMES)
    readable, left_out, remarks = readable_rows(table, text_index)
    lines += remarks
    unlabelled = []
    for row in readable:
        tweet_id = as_text(row.record.fields[ids[0]]).strip() if ids else ""
        unlabelled.append(Row(tweet_id, None, None, row.text, row.record.line))
    forms = TweetForms()
    rows = rows_by_key(unlabelled, forms, left_out)
    if not rows:
        raise DataError(f"{path}: has no tweets: {left_out.summary()}")
    source = PurePath(data.source).name
    digest = fingerprint([data.label_names, [*rows], [row.text for row in rows.values()]])
    directory = results.unlabelled_dir(source, digest)
    tweets = Tweets.of_table(data, rows, directory, "unlabelled", forms)
    _write(tweets, directory, source)
    lines.append(f"{source}: {len(rows):,} tweets without labels; the classes are {', '.join(data.label_names)}")
    if left_out.total():
        lines.append(f"  rows left out: {left_out.summary()}")
    return tweets, lines


def _write(tweets: Tweets, directory: UnlabelledDir, source: str) -> None:
    directory.path.mkdir(parents=True, exist_ok=True)
    table = pa.table({"tweet": tweets.keys, "text": tweets.texts})
    write_atomically(directory.tweets_file, lambda file: pq.write_table(table, file))
    labels = [(name, list(values)) for name, values in tweets.data.labels.items()]
    record = Unlabelled(source=source, labels=labels, tweets_sha256=sha256_of(directory.tweets_file))
    write_atomically(directory.record_file, sealed(record))


def answered_table(path: Path) -> PredictedTable:
    """The tweets in a directory that all added predictors have answered, with their answers.

    Raises:
        RunDirError: a file of the directory is missing or damaged.
        UsageError: fewer than two predictors were added, or they have no tweet in common.
    """
    directory = UnlabelledDir(path)
    record = read_record(directory.record_file, Unlabelled)
    if record is None:
        raise RunDirError(f"{directory.record_file}: is missing; `sentiment add --unlabelled` writes it")
    check_sha256(directory.tweets_file, record.tweets_sha256, "add a predictor again, which rewrites it")
    stored = pq.read_table(directory.tweets_file)
    keys = stored["tweet"].to_numpy()
    data = resolve({}, {"data.source": record.source, "data.labels": record.labels}, str(directory.record_file)).data
    added, problems = read_added(directory.added)
    for problem in problems:
        say(f"left out: {problem}", ERR)
    answering = [added_predictor(name, of_name, keys, len(data.label_names)) for name, of_name in added.items()]
    predictors = [predictor for predictor in answering if predictor]
    names = ", ".join(predictor.name for predictor in predictors)
    if len(predictors) < 2:
        raise UsageError(f"{path}: a comparison needs two added predictors; it has {names or 'none'}")
    common = np.all([predictor.answered for predictor in predictors], axis=0)
    if not common.any():
        raise UsageError(f"{path}: there is no tweet that {names} have all answered")
    return PredictedTable(
        source=record.source,
        tweets=PredictedTweets(
            stored["text"].filter(pa.array(common)).to_pylist(),
            {predictor.name: predictor.predicted[common] for predictor in predictors},
        ),
        data=data,
        metric="accuracy",
        uses={predictor.name: [] for predictor in predictors},
    )
