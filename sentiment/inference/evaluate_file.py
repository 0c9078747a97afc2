"""How a trained model does on any labelled file, whole, without a split."""

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
    """Measure on all rows of a labelled table; duplicates count.

    Args:
        config: names the file, its columns and labels; the text is cleaned as the run did.

    Raises:
        DataError: the file can't be read, or has no labelled row.
        ConfigError: it lacks a column of the run's configuration.
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
