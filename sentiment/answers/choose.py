"""Which predictor is best for a table without labels: the tweets to label, and the choice by their labels.

Does not import torch before a model is loaded.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from sentiment.answers.annotators import Dealing, LabelledSheets, Options, SheetRecord, draw_sheets
from sentiment.answers.recommendation import SIMPLEST_FIRST, Choice
from sentiment.answers.sheet import SKIPPED, Drawing
from sentiment.answers.table import AnswerTable, read_answers
from sentiment.blocks.predictors import choice_blocks
from sentiment.blocks.terminal import show
from sentiment.config import DataConfig
from sentiment.console import ERR, Progress, plural, say
from sentiment.data.guess_columns import Reading
from sentiment.errors import DataError, UsageError
from sentiment.predicting.new_tweets import predict_new, read_texts
from sentiment.predicting.stored import TrainedRun, uses_of
from sentiment.runs.run_dir import Results, lasting_name, name_of
from sentiment.statistics import ALPHA, LEVEL, MIN_LABELS, check_enough
from sentiment.statistics.families import Evidence, corrected
from sentiment.statistics.metrics import Flags
from sentiment.statistics.power import POWER
from sentiment.statistics.stratified import StratifiedSample

_DIGITS = 12  # of scores that are compared


@dataclass(frozen=True)
class Rivals:
    """The predictors of which the best one for a table without labels is to be chosen.

    Attributes:
        source: the name of the table's file.
        table: of equally good predictors the first one is the best, so simple ones come first.
        data: names the classes, and the labels that mean them.
        metric: by which predictors are compared, as `choose` takes it.
        uses: by the name of a predictor that the program has, lines on how to use it.
        origin: the arguments of `evaluate` that name this table.
        reading: how the table is read.
    """

    source: str
    table: AnswerTable
    data: DataConfig
    metric: str
    uses: Mapping[str, Sequence[str]]
    origin: Options
    reading: Reading

    def draw(self, sheet: Path, dealing: Dealing, results: Results) -> None:
        """Write the sheets of tweets that tell the predictors apart, and say how to go on.

        Args:
            results: the folder that remembers the sheets.

        Raises:
            DataError: the predictors label all tweets alike.
            UsageError: as `draw_sheets`.
        """
        differ = self.table.differ
        names = [predictor.name for predictor in self.table.predictors]
        summary = _differ_on(names, int(differ.sum()), len(differ))
        if not differ.any():
            raise DataError(f"{summary}: any of them will do, and no label can tell them apart")
        drawn = SheetRecord(command="evaluate", options=self.origin, reading=self.reading, dealing=dealing)
        drawing = choice_drawing(self.table)
        first = drawing.order[: dealing.size]
        say(f"{summary}, and on {int(differ[first].sum()):,} of the {len(first):,} that are to be labelled")
        draw_sheets(sheet, drawing, drawn, self.data.label_names, MIN_LABELS, results)

    def choose(self, sheets: LabelledSheets) -> Choice | None:
        """Choose the best predictor by sheets with labels, and print how sure the choice is.

        Returns:
            None if labels are to be settled first.

        Raises:
            DataError, UsageError: as `LabelledSheets.read` and `choose`.
        """
        labels = sheets.read(choice_drawing(self.table), self.data.labels.sheet_meanings(), self.data.label_names)
        if labels is None:
            return None
        choice = choose(self.source, replace(self.table, labels=labels), self.metric)
        _show_choice(choice)
        say("\n".join(self.uses.get(choice.best, ())))
        return choice


def rivals_of_run(run: TrainedRun, source: Path, reading: Reading, progress: Progress) -> tuple[Rivals, list[str]]:
    """The models of a run with their predictions for a table, and lines on what was read.

    Tweets are left out as by `predict_new`, and test tweets of the run, since the labels choose a model.

    Raises:
        DataError: the table cannot be read, or no row is left.
        UsageError: the column is missing or ambiguous.
    """
    texts = read_texts(source, run.config.data.columns, reading, progress)
    new = predict_new(run, texts.rows, texts.left_out, progress, has_own_test=False)
    models = [new.table.of(kind) for kind in SIMPLEST_FIRST]
    name = shlex.quote(name_of(run.run_dir))
    uses = {model.name: uses_of(name, f"--with {model.kind}") for model in models}
    origin: Options = {"run": lasting_name(run.run_dir, run.results), "data": str(source.resolve())}
    table = replace(new.table, predictors=models)
    lines = [*texts.findings, *new.warnings(), *texts.left_out.lines_left_out()]
    return Rivals(source.name, table, run.config.data, run.metric, uses, origin, reading), lines


def rivals_from_elsewhere(path: Path) -> Rivals:
    """The predictors that were added for the tweets in a directory, on those that all of them have answered.

    Raises:
        RunDirError: a file of the directory is missing or damaged.
        UsageError: fewer than two predictors were added, or they have no tweet in common.
    """
    stored = read_answers(path)
    for problem in stored.problems:
        say(f"left out: {problem}", ERR)
    predictors = stored.added_predictors
    names = ", ".join(predictor.name for predictor in predictors)
    if len(predictors) < 2:
        source = shlex.quote(stored.record.source)
        raise UsageError(
            f"{path}: a comparison needs two added predictors; it has {names or 'none'}. To add a model: "
            f"`sentiment predict last {source} --out mine.csv` and `sentiment add mine mine.csv --of {source}`"
        )
    common: Flags = np.all([predictor.answered for predictor in predictors], axis=0)
    if not common.any():
        raise UsageError(f"{path}: there is no tweet that {names} have all answered")
    if not common.all():
        say(f"left out: {plural(int((~common).sum()), 'tweet')} that not all of {names} have answered")
    data = DataConfig(source=stored.record.source, labels=stored.record.labels)
    table = stored.table.of_rows(common)
    return Rivals(stored.record.source, table, data, "accuracy", {}, {"run": path.name}, Reading())


def _differ_on(names: Sequence[str], differing: int, tweets: int) -> str:
    """On how many tweets predictors differ, as a clause."""
    share = f"{differing:,} of {tweets:,} tweets ({differing / tweets:.1%})"
    return f"{', '.join(names[:-1])} and {names[-1]} differ on {share}"


def choice_drawing(table: AnswerTable) -> Drawing:
    """The order of labelling: three of four tweets are such that the predictors differ on them."""
    return Drawing("choice", table.texts, _strata(table), table.ids)


def _strata(table: AnswerTable) -> npt.NDArray[np.int64]:
    """0 for tweets on which the predictors differ, 1 for those that all label alike, (n,)."""
    return np.where(table.differ, 0, 1)


def choose(source: str, table: AnswerTable, metric: str) -> Choice:
    """Compare predictors for tweets like those of a table by the labels of all of these, or of a drawing's first ones.

    The table counts as a random sample of the tweets that the chosen predictor is for, so that nothing is certain where
    all of it is labelled, and less is surer with fewer labels.

    Args:
        source: the name of the table's file.
        table: with the labels that `read_labels` gives. The scores are those on tweets that are of a class.
        metric: `macro_recall`; otherwise accuracy is compared.

    Raises:
        UsageError: there are too few labels, for macro recall too few of a class.
    """
    labels = table.labels
    labelled = labels >= 0
    differ = table.differ
    sample = _sample(table)
    right = {predictor.name: predictor.right(labels)[labelled] for predictor in table.predictors}
    accuracy = {name: sample.accuracy(flags) for name, flags in right.items()}
    compared: Literal["accuracy", "macro_recall"] = "accuracy"
    compare: Callable[[Flags, Flags], Evidence] = sample.accuracy_difference
    estimates = {name: score.value for name, score in accuracy.items()}
    macro_recall = None
    if metric == "macro_recall" or not sample.classes_with_few_labels():
        macro_recall = {name: sample.macro_recall(flags) for name, flags in right.items()}
        if metric == "macro_recall":
            compared = "macro_recall"
            compare = sample.recall_difference
            estimates = macro_recall
    # The first of equal ones, whose sums over different tweets differ in their last digits.
    best = max(estimates, key=lambda name: round(estimates[name], _DIGITS))
    others = [name for name in right if name != best]
    pairs = comb(len(right), 2)
    evidence = {other: compare(right[best], right[other]) for other in others}
    differences = dict(zip(evidence, corrected([*evidence.values()], pairs), strict=True))
    level = 1 - ALPHA / pairs
    labels_to_show = {other: _labels_to_show(known, sample, level) for other, known in evidence.items()}
    return Choice(
        source=source,
        tweets=len(labels),
        differing=int(differ.sum()),
        labels=len(sample.labels),
        labels_where_different=int(differ[labelled].sum()),
        skipped=int((labels == SKIPPED).sum()),
        metric=compared,
        accuracy=dict(accuracy),
        macro_recall=macro_recall,
        best=best,
        differences=differences,
        labels_to_show=labels_to_show,
    )


def _sample(table: AnswerTable) -> StratifiedSample:
    """The labelled tweets; the size of a stratum is estimated without its tweets of no class, by the skipped ones."""
    labels = table.labels
    labelled = labels >= 0
    check_enough(int(labelled.sum()))
    strata = _strata(table)
    sizes = []
    for stratum, where in enumerate(("on which the predictors differ", "that all label alike")):
        of_stratum = labels[strata == stratum]
        of_class = int((of_stratum >= 0).sum())
        judged = of_class + int((of_stratum == SKIPPED).sum())
        if len(of_stratum) and not judged:
            raise UsageError(f"no tweet {where} has a label, but there are {len(of_stratum):,}; label from the top")
        sizes.append(round(len(of_stratum) * of_class / max(judged, 1)))
    return StratifiedSample(labels[labelled], strata[labelled], (sizes[0], sizes[1]))


def _labels_to_show(evidence: Evidence, sample: StratifiedSample, level: float) -> int | None:
    """How many labels show a difference of this size with the power `POWER`, if as many are spent on differing tweets.

    The variance of an estimate is inversely proportional to the number of labels where the predictors differ.
    """
    from scipy.special import ndtri

    if evidence.value == 0:
        return None
    low, high = evidence.interval(LEVEL) or (-1.0, 1.0)
    error = (high - low) / 2 / ndtri((1 + LEVEL) / 2)
    needed_error = abs(evidence.value) / (ndtri((1 + level) / 2) + ndtri(POWER))
    return int(np.ceil(len(sample.labels) * (error / needed_error) ** 2))


def _show_choice(choice: Choice) -> None:
    """Print how good the predictors are on the table, which one is best, and how sure that is."""
    labels = f"{choice.labels:,} labels, {choice.labels_where_different:,} of them where the predictors differ"
    if choice.skipped:
        labels += f"; {choice.skipped:,} tweets are of no class, and do not count"
    say(f"{_differ_on([*choice.accuracy], choice.differing, choice.tweets)}\n{labels}")
    show(choice_blocks("choice", f"tweets like these {choice.tweets:,}", choice))
