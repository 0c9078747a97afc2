"""The scores of several models on those rows of a labelled file that they don't know, with paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sentiment.config import DataConfig
from sentiment.console import Progress
from sentiment.data.corpus.split import TweetForms, author_form, author_key, key_of
from sentiment.data.registry import open_source
from sentiment.data.tables.refusals import RowCounter
from sentiment.data.tables.rows import Refusal, Row
from sentiment.errors import DataError
from sentiment.inference.known_tweets import KnownTweets
from sentiment.inference.scores import NamedScores
from sentiment.inference.written_rows import NO_WORDS
from sentiment.models.text_model import Reading, TextModel
from sentiment.run_dir import Results

_CHUNK = 4096


@dataclass(frozen=True)
class EvaluatedFile:
    """The scores on a file, and which of its rows they leave out."""

    scores: NamedScores
    left_out: RowCounter
    guessed: dict[str, int]
    """Of how many rows that are scored each model knows no word."""

    def render_lines(self) -> list[str]:
        """What is to be told about the rows."""
        lines = [f"{rows.count:,} left out: {reason} ({rows})" for reason, rows in self.left_out.counted().items()]
        return lines + [f"of {n:,} the {name} knows no word, and guesses" for name, n in self.guessed.items() if n]


class FileEvaluation:
    """Scores models on a labelled file.

    Args:
        models: each cleans the text as its run did.
        chosen: the name of the one whose answers count: what it does not answer is not scored.
        known: what the models know; None if that cannot be told.
    """

    def __init__(self, models: Sequence[TextModel], chosen: str, known: KnownTweets | None) -> None:
        self._models, self._chosen, self._known = models, chosen, known
        self._forms = TweetForms()
        self._left_out = RowCounter()
        self._labels: list[int] = []
        self._readings: dict[str, list[Reading]] = {model.name: [] for model in models}

    def run(self, config: DataConfig, results: Results, progress: Progress) -> EvaluatedFile:
        """Score the models on the rows of a file that the chosen one answers and none was trained on or chosen by.

        All other rows are counted; of rows with the same tweet each is scored.

        Args:
            config: names the file, its columns and its labels.
            results: where named data sets are found.
            progress: told how many rows are read.

        Raises:
            DataError: the file cannot be read, or has no row to score.
            ConfigError: the file lacks a column of the configuration.
        """
        source = open_source(config.model_copy(update={"tests": {}, "extra_train": ()}), results).main
        rows: list[Row] = []
        for number, row in enumerate(source.read(), start=1):
            if isinstance(row, Refusal):
                self._left_out.add(row.reason, row.line)
            elif row.label is None:
                self._left_out.add("neutral or ignored label", row.line)
            else:
                rows.append(row)
            if len(rows) == _CHUNK:
                self._take(rows)
                rows = []
                progress(f"reading {source.name}", number, source.total)
        if rows:
            self._take(rows)
        if not self._labels:
            reasons = f"; left out were {self._left_out.most_common()}" if self._left_out.total() else ""
            raise DataError(f"{source.name}: has no row with a positive or negative label to score{reasons}")
        named = {name: np.concatenate([one.probabilities for one in said]) for name, said in self._readings.items()}
        guessed = {name: sum(int((~one.usable).sum()) for one in said) for name, said in self._readings.items()}
        return EvaluatedFile(NamedScores(np.array(self._labels), named), self._left_out, guessed)

    def _take(self, rows: Sequence[Row]) -> None:
        """Keep the labels of the rows that are scored, and the models' answers for them; count the others."""
        texts = [row.text for row in rows]
        said = {model.name: model.read(texts) for model in self._models}
        reasons = self._known_because(rows)
        for number in np.flatnonzero(~said[self._chosen].usable).tolist():
            reasons[number] = reasons[number] or NO_WORDS
        for row, reason in zip(rows, reasons, strict=True):
            if reason:
                self._left_out.add(reason, row.line)
            else:
                self._labels.append(row.label or 0)
        scored = np.array([reason is None for reason in reasons], bool)
        for name, reading in said.items():
            self._readings[name].append(Reading(reading.probabilities[scored], reading.usable[scored]))

    def _known_because(self, rows: Sequence[Row]) -> list[str | None]:
        if self._known is None:
            return [None] * len(rows)
        keys = np.array([key_of(self._forms.of(row.text)) for row in rows], np.int64)
        authors = np.array([author_key(author_form(row.user)) for row in rows], np.int64)
        return self._known.reasons(keys, authors)
