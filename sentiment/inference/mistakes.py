"""All labelled tweets that a model has wrong, with their lines in the user's table, so that labels can be mended.

Does not import torch.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from sentiment.config import PARTS
from sentiment.data.corpus import open_corpus
from sentiment.data.rows import Row
from sentiment.inference.stored import TrainedRun
from sentiment.runs.predictions import PartPredictions, Predictor, read_predictions
from sentiment.runs.records import ModelKind, Part
from sentiment.runs.run_dir import TWEETS_FILE

_PLACE = ["part", "line", "id", "text"]


def mistakes_of(
    tweets: PartPredictions, predictor: Predictor, places: pd.DataFrame, classes: Sequence[str]
) -> pd.DataFrame:
    """The tweets that a predictor has wrong.

    Args:
        places: the part, the line in its table, the id and the text of each tweet, parallel to `tweets`.
    """
    names = np.array([*classes], object)
    table = places[_PLACE].reset_index(drop=True)
    table["label"] = names[tweets.labels]
    table["predicted"] = names[predictor.predicted]
    table["probability_of_label"] = predictor.probabilities[np.arange(len(table)), tweets.labels].round(6)
    return table[~predictor.right(tweets.labels)]


def own_mistakes(run: TrainedRun, kind: ModelKind) -> pd.DataFrame:
    """The validation and test tweets that a model of a run has wrong; lines are those of the table of each test set.

    Raises:
        DataError, RunDirError: the run's corpus or its predictions are missing or damaged.
    """
    corpus = open_corpus(run.results.corpus_dir(run.record.data_fingerprint))
    stored = pq.read_table(corpus.path / TWEETS_FILE, columns=_PLACE).to_pandas()
    classes = run.config.data.label_names
    parts: list[Part] = [part for part in run.result.parts if part != PARTS[0]]
    tables = []
    for part in parts:
        tweets = read_predictions(run.run_dir, run.result, part, classes)
        rows = corpus.rows(part)
        places = stored.iloc[rows].set_index(corpus.keys[rows]).loc[tweets.tweets]
        tables.append(mistakes_of(tweets, tweets.of(kind), places, classes))
    return pd.concat(tables)


def places_of(rows: Sequence[Row]) -> pd.DataFrame:
    """The places of the rows of one table, which has no parts."""
    places = pd.DataFrame(rows, columns=Row._fields)
    return places.assign(part="")
