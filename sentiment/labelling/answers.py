"""Answers of added predictors to a table without labels: where they differ.

Does not import torch.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.config_file import resolve
from sentiment.console import ERR, say
from sentiment.errors import RunDirError, UsageError
from sentiment.labelling.choice import PredictedTweets
from sentiment.labelling.unlabelled import PredictedTable
from sentiment.runs.predictions import added_predictor
from sentiment.runs.recommendation import Unlabelled
from sentiment.runs.run_dir import UnlabelledDir, check_sha256, read_added, read_record


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
