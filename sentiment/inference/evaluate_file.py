"""The scores of a trained model on all rows of a labelled file."""

from dataclasses import dataclass

import numpy as np

from sentiment.config import DataConfig
from sentiment.console import Progress
from sentiment.data.registry import open_source
from sentiment.data.tables.refusals import RowCounter
from sentiment.data.tables.rows import Refusal
from sentiment.errors import DataError
from sentiment.inference.predictor import Predictor
from sentiment.records import Metrics
from sentiment.run_dir import Results
from sentiment.training.metrics import measure

_CHUNK = 4096


@dataclass(frozen=True)
class EvaluatedFile:
    """The scores on a file, and which of its rows they leave out."""

    metrics: Metrics
    left_out: RowCounter

    def render_lines(self) -> list[str]:
        """What is to be told about the rows that are left out."""
        return [f"{rows.count:,} left out: {reason} ({rows})" for reason, rows in self.left_out.counted().items()]


def evaluate_file(predictor: Predictor, config: DataConfig, results: Results, progress: Progress) -> EvaluatedFile:
    """Score a model on all labelled rows of a file, duplicates included; rows without label or text are counted.

    Args:
        predictor: cleans the text as its run did.
        config: names the file, its columns and its labels.
        results: where hashes of files are remembered, and named data sets are found.
        progress: told how many rows are read.

    Raises:
        DataError: the file cannot be read, or has no labelled row.
        ConfigError: the file lacks a column of the configuration.
    """
    source = open_source(config.model_copy(update={"second_test": None, "extra_train": ()}), results).main
    labels: list[int] = []
    scores: list[np.ndarray] = []
    texts: list[str] = []
    left_out = RowCounter()
    for row in source.read():
        if isinstance(row, Refusal):
            left_out.add(row.reason, row.line)
            continue
        if row.label is None:
            left_out.add("neutral or ignored label", row.line)
            continue
        labels.append(row.label)
        texts.append(row.text)
        if len(texts) == _CHUNK:
            scores.append(predictor.probabilities(texts))
            texts.clear()
            progress(f"reading {source.name}", len(labels), source.total)
    if not labels:
        reasons = f"; left out were {left_out.most_common()}" if left_out.total() else ""
        raise DataError(f"{source.name}: has no row with a positive or negative label{reasons}")
    scores.append(predictor.probabilities(texts))
    return EvaluatedFile(measure(np.array(labels), np.concatenate(scores)), left_out)
