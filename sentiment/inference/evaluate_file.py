"""The scores of a trained model on all rows of a labelled file."""

import numpy as np

from sentiment.config import DataConfig
from sentiment.console import Progress
from sentiment.data.registry import open_source
from sentiment.data.tables.rows import Row
from sentiment.errors import DataError
from sentiment.inference.predictor import Predictor
from sentiment.records import Metrics
from sentiment.run_dir import Results
from sentiment.training.metrics import measure

_CHUNK = 4096


def evaluate_file(predictor: Predictor, config: DataConfig, results: Results, progress: Progress) -> Metrics:
    """Score a model on all labelled rows of a file, duplicates included.

    Args:
        predictor: cleans the text as its run did.
        config: names the file, its columns and its labels.
        results: where hashes of files are remembered, and named data sets are found.
        progress: told how many rows are read.

    Raises:
        DataError: the file cannot be read, or has no labelled row.
        ConfigError: the file lacks a column of the configuration.
    """
    source = open_source(config.model_copy(update={"second_test": None}), results).main
    labels: list[int] = []
    scores: list[np.ndarray] = []
    texts: list[str] = []
    for row in source.read():
        if not isinstance(row, Row) or row.label is None:
            continue
        labels.append(row.label)
        texts.append(row.text)
        if len(texts) == _CHUNK:
            scores.append(predictor.probabilities(texts))
            texts.clear()
            progress(f"reading {source.name}", len(labels), source.total)
    if not labels:
        raise DataError(f"{source.name}: has no row with a positive or negative label")
    scores.append(predictor.probabilities(texts))
    return measure(np.array(labels), np.concatenate(scores))
