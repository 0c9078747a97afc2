"""Answers of added predictors to a table without labels: what is stored of the table, and where they differ.

Does not import torch.
"""

import shlex
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.config import DataConfig
from sentiment.config_file import resolve
from sentiment.console import ERR, say
from sentiment.data.guess_columns import text_column
from sentiment.data.tables import Row, RowCounter, as_text
from sentiment.data.text import TweetForms, key_as_text, key_of
from sentiment.errors import DataError, RunDirError, UsageError
from sentiment.files import fingerprint, sha256_of, user_path, write_atomically
from sentiment.inference.added import ID_NAMES, Tweets
from sentiment.inference.predict import text_rows
from sentiment.labelling.choice import PredictedTweets
from sentiment.labelling.unlabelled import PredictedTable
from sentiment.metrics import UNLABELLED
from sentiment.runs.predictions import added_predictor
from sentiment.runs.records import Unlabelled
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
    table, text_index, lines = text_column(path, None, data.columns)
    ids = [index for index, name in enumerate(table.names) if name.strip().lower() in ID_NAMES]
    left_out = RowCounter()
    forms = TweetForms()
    rows: dict[int, Row] = {}
    for row in text_rows(table, text_index):
        line = row.record.line
        if row.refused:
            left_out.add(row.refused, line)
            continue
        tweet_id = as_text(row.record.fields[ids[0]]).strip() if ids else ""
        key = key_of(tweet_id or forms.of(row.text))
        if key in rows:
            left_out.add("duplicate tweet", line)
        else:
            rows[key] = Row(tweet_id or key_as_text(key), None, None, row.text, line)
    if not rows:
        raise DataError(f"{path}: has no tweets: {left_out.summary()}")
    keys = sorted(rows)
    source = PurePath(data.source).name
    texts = [rows[key].text for key in keys]
    directory = results.unlabelled_dir(source, fingerprint([data.label_names, keys, texts]))
    tweets = Tweets(
        noun=f"tweet of {source}",
        directory=directory.path,
        data=data,
        folder=directory.added,
        part_names=("unlabelled",),
        parts=np.zeros(len(keys), np.int8),
        keys=np.array(keys, np.int64),
        labels=np.full(len(keys), UNLABELLED, np.int8),
        ids=[rows[key].id for key in keys],
        texts=texts,
        text_keys=np.array([key_of(forms.of(text)) for text in texts], np.int64),
    )
    _write(tweets, directory, source)
    lines.append(f"{source}: {len(keys):,} tweets without labels; the classes are {', '.join(data.label_names)}")
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
        command=shlex.join(["sentiment", "evaluate", str(path)]),
        uses={predictor.name: [] for predictor in predictors},
    )
