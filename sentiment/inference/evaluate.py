"""Scores of a run, and of its model on labelled files that it knows nothing of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import DataConfig, RunConfig
from sentiment.config_file import resolve
from sentiment.console import Progress
from sentiment.data.corpus.corpus import open_corpus
from sentiment.data.corpus.split import TRAIN, UNKNOWN, VALIDATION, TweetForms, author_form, author_key, key_of
from sentiment.data.registry import open_source
from sentiment.data.tables.rows import Refusal, Row, RowCounter
from sentiment.errors import DataError, UsageError
from sentiment.inference.models import Choice, mean_of_seeds, models_beside, recommended, seeds_of
from sentiment.inference.predict import NO_WORDS
from sentiment.inference.terminal import (
    NamedScores,
    check_table,
    difference_lines,
    own_scores_of_seeds,
    reference_lines,
    result_table,
    scores_table,
)
from sentiment.models.text_model import Reading, TextModel
from sentiment.progress_bar import OUT, say
from sentiment.runs.records import BASELINE, BOTH, LEXICON, MODEL_NAMES, NETWORK, THRESHOLD, Metrics, Part
from sentiment.runs.run_dir import Results, RunDir, read_whole

Keys = npt.NDArray[np.int64]


class _Known(NamedTuple):
    keys: Keys
    authors: Keys


@dataclass(frozen=True)
class KnownTweets:
    """Keys of tweets and authors, see `sentiment.data.corpus.split`; those of test parts are not among them."""

    trained: _Known
    validation: _Known

    @classmethod
    def of(cls, run_dirs: Sequence[RunDir]) -> "KnownTweets":
        """Those of all these runs, from their corpora.

        Raises:
            DataError: a corpus is no longer there.
            RunDirError: the record of a run is missing or damaged.
        """
        records = [(run_dir.results, read_whole(run_dir).record) for run_dir in run_dirs]
        folders = {results.corpus_dir(record.data_fingerprint) for results, record in records if record}
        corpora = [open_corpus(folder) for folder in sorted(folders)]
        found = []
        for part in (TRAIN, VALIDATION):
            keys = np.concatenate([corpus.keys[corpus.parts == part] for corpus in corpora])
            authors = np.concatenate([corpus.authors[corpus.parts == part] for corpus in corpora])
            found.append(_Known(np.unique(keys), np.setdiff1d(authors, [UNKNOWN])))
        return cls(*found)

    def reasons(self, keys: Keys, authors: Keys) -> list[str | None]:
        """Why a tweet is no test of the models; None if they know neither it nor its author.

        Args:
            keys: (n,) of the tweets.
            authors: (n,) of their authors.
        """
        found: list[str | None] = [None] * len(keys)
        for tells, column, known in (
            (
                "the author's other tweets were validation tweets, by which the model was chosen",
                authors,
                self.validation.authors,
            ),
            ("the model was trained on other tweets of the author", authors, self.trained.authors),
            ("was a validation tweet, by which the model was chosen", keys, self.validation.keys),
            ("the model was trained on it", keys, self.trained.keys),
        ):
            for number in np.flatnonzero(np.isin(column, known)).tolist():
                found[number] = tells
        return found


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


def evaluate_on_own(run_dir: RunDir, choice: Choice | None) -> dict[str, Any]:
    """Show the scores of a completed run, and how much its chosen model differs from the others on test tweets.

    Args:
        choice: None takes the model that the result recommends.

    Returns:
        The metrics of the chosen model by part; those of all models in `models`, what was chosen in `chosen`, and how
        many sentences of the check list each model has right by capability in `check_list`.

    Raises:
        UsageError: the run is not completed, or has no such model.
        RunDirError: its files are missing or damaged.
    """
    run = read_whole(run_dir)
    result = run.result
    if result is None:
        raise UsageError(
            f"{run_dir.path}: is not completed yet; with --data FILE its best weights so far are evaluated"
        )
    seeds = seeds_of(run_dir) if choice == "seeds" else [run_dir]
    name = mean_of_seeds(seeds) if choice == "seeds" else MODEL_NAMES[choice or recommended(run_dir)]
    found: dict[str, dict[Part, Metrics]] = {
        NETWORK: result.metrics,
        BASELINE: result.baseline,
        BOTH: result.combination,
        LEXICON: result.lexicon,
    }
    found.setdefault(name, {})
    others = [one for one in seeds if one.path.name != run_dir.path.name]
    own = {part: own_scores_of_seeds([run_dir, *others], part, name) for part in result.parts[1:]}
    remarks = reference_lines(run_dir, result)  # all is read before anything is shown
    OUT.print(result_table(result, name))
    for part, scores in own.items():
        if scores is not None and choice == "seeds":
            found[name][part] = scores.metrics()[name]
            OUT.print(scores_table(part, scores, name))
    if test := own["test"]:
        _say_differences(test, name, run.config)
    OUT.print(check_table(result.check_list, name))
    for line in remarks:
        say(line)
    models = {one: {part: of_part.model_dump() for part, of_part in parts.items()} for one, parts in found.items()}
    return models[name] | {"chosen": name, "models": models, "check_list": result.check_list}


def evaluate_on_file(
    run_dir: RunDir,
    choice: Choice | None,
    parameters: dict[str, Any],
    results: Results,
    progress: Progress,
    threshold: float = THRESHOLD,
) -> dict[str, Any]:
    """Show the scores of a run's models on a labelled file, and how much the chosen one differs from the others.

    Tweets that a model was trained on or chosen by, and others of their authors, are not scored, but counted.

    Args:
        choice: None takes the model that the result recommends.
        parameters: values of the section `data`, by dotted name: the file, and where it differs from the run's table.
        results: where named data sets are found.
        progress: told how many rows are read.
        threshold: from which probability on the models say positive.

    Returns:
        The metrics of the chosen model; those of all models in `models`, what was chosen in `chosen`, the numbers of
        rows that are not scored, by reason, in `left_out`, and in `knows_training` whether it could be told what the
        models were trained on; and the threshold.

    Raises:
        SentimentError: the run has no such model, or the file cannot be used.
    """
    choice = choice or recommended(run_dir)
    models = models_beside(run_dir, choice)
    name = models[-2].name if choice == "seeds" else MODEL_NAMES[choice]
    config = models[0].config
    named = resolve(config.model_dump(), parameters, str(run_dir.config_file))
    known, untold = _known(seeds_of(run_dir) if choice == "seeds" else [run_dir])
    outcome = FileEvaluation(models, name, known).run(named.data, results, progress)
    scores = replace(outcome.scores, threshold=threshold)
    OUT.print(scores_table(PurePath(named.data.source).name, scores, name))
    if threshold != THRESHOLD:
        say(f"  positive from {threshold:g} on; {LEXICON} from {THRESHOLD:g} on")
    for line in [*outcome.render_lines(), *untold]:
        say(f"  {line}")
    _say_differences(scores, name, config)
    metrics = {one: of_model.model_dump() for one, of_model in scores.metrics().items()}
    left_out = {reason: rows.count for reason, rows in outcome.left_out.counted().items()}
    told = {"left_out": left_out, "knows_training": known is not None, "threshold": threshold}
    return metrics[name] | {"chosen": name, "models": metrics} | told


def _known(run_dirs: Sequence[RunDir]) -> tuple[KnownTweets | None, list[str]]:
    """What the models of runs know, and what is to be told if that is not known."""
    try:
        return KnownTweets.of(run_dirs), []
    except DataError as error:
        return None, [f"warning: which of these tweets the model was trained on cannot be told: {error}"]


def _say_differences(scores: NamedScores, name: str, config: RunConfig) -> None:
    for line in [*difference_lines(scores, name), *scores.warnings(config.data.label_names)]:
        say(line)
