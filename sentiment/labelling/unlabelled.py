"""A table without labels and the predictions for it: the tweets to label, and the best predictor by their labels.

Imports torch only when a model is loaded.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from sentiment.config import ColumnConfig, DataConfig
from sentiment.config_file import resolve
from sentiment.console import ERR, Progress, plural, say
from sentiment.data.guess_columns import Reading, open_texts
from sentiment.data.rows import RowCounter
from sentiment.data.sources import open_file, usable_rows
from sentiment.errors import DataError, RunDirError, UsageError
from sentiment.inference.added import sheet_meanings
from sentiment.inference.evaluate import uses_of
from sentiment.inference.overlap import SCORED
from sentiment.inference.own_sample import predict_new
from sentiment.inference.stored import TrainedRun
from sentiment.labelling.annotators import LabelledSheets
from sentiment.labelling.choice import PredictedTweets, choose, show_choice
from sentiment.labelling.drawn import Options, SheetRecord, draw_sheets, name_in
from sentiment.runs.predictions import added_predictor
from sentiment.runs.recommendation import SIMPLEST_FIRST, Choice, Unlabelled
from sentiment.runs.records import PREDICTORS
from sentiment.runs.run_dir import Results, UnlabelledDir, check_sha256, name_of, read_added, read_record
from sentiment.statistics import MIN_LABELS
from sentiment.statistics.metrics import predicted_classes


@dataclass(frozen=True)
class PredictedTable:
    """A table without labels, with the predictions for it.

    Attributes:
        source: the name of its file.
        data: names the classes, and the labels that mean them.
        metric: by which predictors are compared, as `choose` takes it.
        uses: by the name of a predictor that the program has, lines on how to use it.
        results: the results folder that remembers the sheets.
        origin: the arguments of `evaluate` that read this table.
    """

    source: str
    tweets: PredictedTweets
    data: DataConfig
    metric: str
    uses: Mapping[str, Sequence[str]]
    results: Results
    origin: Options

    def draw(self, sheet: Path, dealt: Mapping[str, Any]) -> None:
        """Write the sheets of tweets that tell the predictors apart, and say how to go on.

        Args:
            dealt: the fields of `SheetRecord` on its sheets.

        Raises:
            DataError: the predictors label all tweets alike.
            UsageError: as `draw_sheets`.
        """
        differ = self.tweets.differ
        if not differ.any():
            raise DataError(f"{self.tweets.summary}: any of them will do, and no label can tell them apart")
        drawn = SheetRecord(command="evaluate", options=self.origin, **dealt)
        first = self.tweets.drawing.order[: drawn.size]
        say(f"{self.tweets.summary}, and on {int(differ[first].sum()):,} of the {len(first):,} that are to be labelled")
        draw_sheets(sheet, self.tweets.drawing, drawn, self.data.label_names, MIN_LABELS, self.results)

    def choose(self, sheets: LabelledSheets) -> Choice | None:
        """Choose the best predictor by sheets with labels, and print how sure the choice is.

        Returns:
            None if labels are to be settled first.

        Raises:
            DataError, UsageError: as `LabelledSheets.read` and `choose`.
        """
        labels = sheets.read(self.tweets.drawing, sheet_meanings(self.data), self.data.label_names)
        if labels is None:
            return None
        choice = choose(self.source, self.tweets, labels, self.metric)
        show_choice(choice)
        say("\n".join(self.uses.get(choice.best, ())))
        return choice


def predict_table(
    run: TrainedRun, source: Path, reading: Reading, progress: Progress
) -> tuple[PredictedTable, list[str]]:
    """The predictions of a run's models for a table, and lines on what was read.

    Tweets are left out as by `predict_new`.

    Raises:
        DataError: the table cannot be read, or no row is left.
        UsageError: the column is missing or ambiguous.
    """
    table, index, lines = open_texts(source, run.config.data.columns, reading)
    file = open_file(table, ColumnConfig(text=index), None)
    counter = RowCounter()
    answered = predict_new(run, [*usable_rows(file, counter, progress, reading.leave_out)], counter, progress)
    predicted = {}
    uses = {}
    for kind in SIMPLEST_FIRST:
        predicted[PREDICTORS[kind]] = predicted_classes(answered.probabilities[kind])
        uses[PREDICTORS[kind]] = uses_of(shlex.quote(name_of(run.run_dir)), f"--with {kind}")
    metric = run.config.training.early_stopping.metric
    tweets = PredictedTweets([row.text for row in answered.rows], predicted)
    lines += [*answered.warnings(), *counter.lines_left_out(SCORED)]
    origin: Options = {"run": name_in(run.results, run.run_dir), "data": str(source.resolve())}
    origin |= reading.as_options()
    return PredictedTable(source.name, tweets, run.config.data, metric, uses, run.results, origin), lines


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
    stored = pq.read_table(directory.tweets_file).to_pandas()
    data = resolve({}, {"data.source": record.source, "data.labels": record.labels}, str(directory.record_file)).data
    added, problems = read_added(directory.added)
    for problem in problems:
        say(f"left out: {problem}", ERR)
    keys = stored["tweet"].to_numpy()
    answering = [added_predictor(name, of_name, keys, len(data.label_names)) for name, of_name in added.items()]
    predictors = [predictor for predictor in answering if predictor]
    names = ", ".join(predictor.name for predictor in predictors)
    if len(predictors) < 2:
        raise UsageError(f"{path}: a comparison needs two added predictors; it has {names or 'none'}")
    common = np.all([predictor.answered for predictor in predictors], axis=0)
    if not common.any():
        raise UsageError(f"{path}: there is no tweet that {names} have all answered")
    if not common.all():
        say(f"left out: {plural(int((~common).sum()), 'tweet')} that not all of {names} have answered")
    predicted = {predictor.name: predictor.predicted[common] for predictor in predictors}
    tweets = PredictedTweets(stored["text"][common].to_list(), predicted)
    results = Results(path.parent.parent)
    return PredictedTable(record.source, tweets, data, "accuracy", {}, results, {"run": str(path.resolve())})
