"""The scores of several models on all rows of a labelled file, with their paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sentiment.config import DataConfig
from sentiment.console import Progress
from sentiment.data.registry import open_source
from sentiment.data.tables.refusals import RowCounter
from sentiment.data.tables.rows import Refusal
from sentiment.errors import DataError
from sentiment.inference.scores import NamedScores
from sentiment.inference.text_model import TextModel
from sentiment.run_dir import Results

_CHUNK = 4096


@dataclass(frozen=True)
class EvaluatedFile:
    """The scores on a file, and which of its rows they leave out."""

    scores: NamedScores
    left_out: RowCounter

    def render_lines(self) -> list[str]:
        """What is to be told about the rows that are left out."""
        return [f"{rows.count:,} left out: {reason} ({rows})" for reason, rows in self.left_out.counted().items()]


def evaluate_file(
    models: Sequence[TextModel], config: DataConfig, results: Results, progress: Progress
) -> EvaluatedFile:
    """Score models on all labelled rows of a file, duplicates included; rows without label or text are counted.

    Args:
        models: each cleans the text as its run did.
        config: names the file, its columns and its labels.
        results: where named data sets are found.
        progress: told how many rows are read.

    Raises:
        DataError: the file cannot be read, or has no labelled row.
        ConfigError: the file lacks a column of the configuration.
    """
    source = open_source(config.model_copy(update={"second_test": None, "extra_train": ()}), results).main
    labels: list[int] = []
    chunks: list[list[np.ndarray]] = [[] for _ in models]
    texts: list[str] = []
    left_out = RowCounter()

    def read_texts() -> None:
        for model, scores in zip(models, chunks, strict=True):
            scores.append(model.read(texts).probabilities)
        texts.clear()

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
            read_texts()
            progress(f"reading {source.name}", len(labels), source.total)
    if not labels:
        reasons = f"; left out were {left_out.most_common()}" if left_out.total() else ""
        raise DataError(f"{source.name}: has no row with a positive or negative label{reasons}")
    if texts:
        read_texts()
    named = {model.name: np.concatenate(scores) for model, scores in zip(models, chunks, strict=True)}
    return EvaluatedFile(NamedScores(np.array(labels), named), left_out)
