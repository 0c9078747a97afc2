"""Scores of predictors on some tweets, and how they compare, as `evaluate` and `train` print and write them."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from rich.markup import escape
from rich.table import Table

from sentiment.answers.recommendation import MIN_TWEETS_TO_CHOOSE, WHY_RECOMMENDED
from sentiment.answers.table import AnswerTable, Comparison, Predictor, compare_predictors, read_predictions
from sentiment.config import PARTS
from sentiment.console import OUT, number_table, plural, say, visible
from sentiment.data.corpus import open_corpus
from sentiment.data.rows import Row
from sentiment.errors import UsageError
from sentiment.files import write_user_file
from sentiment.models.text_model import total_score
from sentiment.predicting.files import write_workbook
from sentiment.predicting.stored import TrainedRun, uses_of
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, CheckScore, Metrics, ModelKind, Part, Result
from sentiment.runs.run_dir import TWEETS_FILE, name_of
from sentiment.statistics.metrics import ClassIndices, calibration_error
from sentiment.statistics.words import recall_sentence

_PLACE = ["part", "line", "id", "text"]
# The scores of other predictors are not calibrated probabilities: they have no log loss.
_WITH_PROBABILITIES = [PREDICTORS[model] for model in MODEL_KINDS]
# Metrics by the name of a predictor, then by part or file.
Scores = dict[str, dict[Part, Metrics]]
# The number of correct sentences by the name of a model, then by capability.
CheckList = Mapping[str, Mapping[str, CheckScore]]


class Compared(NamedTuple):
    """Pairs of predictors, and a line on how they are compared; it is empty if there are none."""

    heading: str
    pairs: Sequence[Comparison]


@dataclass(frozen=True)
class Evaluation:
    """Scores of predictors on a run's own parts, on a labelled file, or on a table with answers.

    Attributes:
        part: the part or the file whose tweets are compared.
        chosen: the name of the predictor whose scores are shown by class.
        tweets: those of `part`, with the predictors' answers.
        remarks: lines on the rows and on the predictors.
        compared: the pairs of predictors that are compared.
        closing: lines on what follows from the scores.
        details: values that are written besides the scores; `check_list` is shown as well.
        has_shares: whether shares of classes are told.
        mistakes: all tweets that the chosen model of a run has wrong, as `mistakes_of` gives them, in any order.
    """

    part: Part
    classes: Sequence[str]
    chosen: str
    scores: Scores
    tweets: AnswerTable
    remarks: Sequence[str]
    compared: Compared
    closing: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    has_shares: bool = False
    mistakes: Callable[[], pd.DataFrame] | None = None

    @property
    def has_parts(self) -> bool:
        """Whether the scores are of several parts, and are written by part."""
        return len(self.scores[self.chosen]) > 1

    @cached_property
    def shares(self) -> dict[str, dict[str, float]]:
        """The share of each class by the labels, and as each predictor predicts it, by the predictor's name."""
        shares = {}
        answers = {predictor.name: predictor.predicted for predictor in self.tweets.predictors}
        for name, classes in ({"labels": self.tweets.labels} | answers).items():
            of_class = np.bincount(classes, minlength=len(self.classes)) / len(classes)
            shares[name] = dict(zip(self.classes, of_class.tolist(), strict=True))
        return shares

    @cached_property
    def calibration_errors(self) -> dict[str, float]:
        """The calibration error of each model of the run, by its name."""
        labels = self.tweets.labels
        models = [predictor for predictor in self.tweets.predictors if predictor.kind in MODEL_KINDS]
        return {model.name: calibration_error(model.calibration(labels)) for model in models}

    def as_dict(self) -> dict[str, Any]:
        """What `--out` writes: the scores of all models and of the chosen one, and the details."""
        models: dict[str, dict[str, Any]] = {}
        for name, by_part in self.scores.items():
            named = {part: metrics.named(self.classes) for part, metrics in by_part.items()}
            models[name] = named if self.has_parts else named[self.part]
            if self.has_shares:
                models[name]["shares"] = self.shares[name]
                models[name]["calibration_error"] = self.calibration_errors.get(name)
        labels = {"labels": self.shares["labels"]} if self.has_shares else {}
        return models[self.chosen] | {"chosen": self.chosen, "models": models} | labels | dict(self.details)


def show(evaluation: Evaluation, everything: bool) -> None:
    """Print an evaluation.

    Args:
        everything: also the other parts, the most frequent class, macro recall of each pair with several classes, the
            shares of classes and the check list.
    """
    chosen = evaluation.chosen
    part = evaluation.part
    scores = evaluation.scores
    if not everything:
        scores = {}
        for name, by_part in evaluation.scores.items():
            if part in by_part and name != PREDICTORS["majority"]:
                scores[name] = {part: by_part[part]}
    OUT.print(score_table(scores, chosen))
    compared = evaluation.compared
    lines = [*evaluation.remarks, compared.heading, *accuracy_sentences(compared.pairs)]
    if everything:
        lines += recall_sentences(compared.pairs)
    say("\n".join(filter(None, lines)))
    OUT.print(_class_table(evaluation.scores[chosen][part], evaluation.classes, chosen))
    if everything and evaluation.has_shares:
        OUT.print(_share_table(evaluation))
    check_list = evaluation.details.get("check_list")
    if everything and check_list:
        OUT.print(_check_table(check_list, chosen))
    say("\n".join(evaluation.closing))


def list_mistakes(evaluation: Evaluation, target: Path) -> None:
    """Write all tweets that the chosen model has wrong, as CSV with their texts as they are, or as .xlsx.

    Those whose label is the least probable, and perhaps wrong itself, come first.

    Raises:
        UsageError: no model of a run is evaluated.
    """
    if evaluation.mistakes is None:
        raise UsageError(f"{evaluation.part}: is a table with answers; --mistakes requires a run, which has models")
    mistakes = evaluation.mistakes().sort_values("probability_of_label", kind="stable")
    if target.suffix.lower() == ".xlsx":
        book = importlib.import_module("openpyxl").Workbook()
        rows = mistakes.to_numpy(object).tolist()
        write_user_file(target, lambda file: write_workbook(target, book, file, [*mistakes.columns], rows))
    else:
        content = mistakes.to_csv(index=False).encode("utf-8", "replace")
        write_user_file(target, lambda file: file.write(content))
    say(f"{target}: the {len(mistakes):,} tweets that {evaluation.chosen} has wrong, the least probable labels first")
    if target.suffix.lower() != ".xlsx":
        say("texts are as in the table, also those that a spreadsheet would take for formulas: for one, name it .xlsx")


def mistakes_of(
    tweets: AnswerTable, predictor: Predictor, places: pd.DataFrame, classes: Sequence[str]
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


def caveats_of(run: TrainedRun) -> str:
    """Caveats to print below the score table of a run, after a blank line; empty if there are none."""
    config = run.config
    result = run.result
    lines = [""]
    if result.only_label is not None:
        label = config.data.label_names[result.only_label]
        lines.append(f"warning: the network predicts {label} for every validation tweet: it has learned nothing")
    if config.data.source in ("vader", "sample"):
        lines.append(
            "The authors of VADER's lexicon collected and rated these tweets, so its score on them is optimistic."
        )
    n = result.metrics["validation"].n
    if n < MIN_TWEETS_TO_CHOOSE:
        lines.append(f"warning: {n} validation tweets are too few to choose a model or an epoch by")
    return "\n".join(lines) if lines[1:] else ""


def run_scores(result: Result) -> Scores:
    """The metrics of a run's predictors, its external test sets sorted by name."""
    return {PREDICTORS[kind]: {part: metrics[part] for part in result.parts} for kind, metrics in result.scores.items()}


def scores_on_file(file: str, tweets: AnswerTable) -> Scores:
    """The scores of all predictors on the tweets of one file."""
    return {predictor.name: {file: predictor.metrics(tweets.labels)} for predictor in tweets.predictors}


def compare_with_chosen(labels: ClassIndices, chosen: Predictor, others: Sequence[Predictor]) -> Compared:
    """The chosen predictor and every other one that reads texts, and a line on how they are compared.

    The comparisons with models of the run are one family, as are those by which a model is recommended. The comparisons
    with the lexicon and added predictors are another one.
    """
    compared = [other for other in others if other.name != chosen.name and other.kind != "majority"]
    if not compared:
        return Compared("", [])
    models = [(chosen, other) for other in compared if other.kind in MODEL_KINDS]
    further = [(chosen, other) for other in compared if other.kind not in MODEL_KINDS]
    families = {
        "models of the run": compare_predictors(models, labels),
        "other predictors": compare_predictors(further, labels),
    }
    numbers = [f"for {plural(len(family), 'comparison')} with {kind}" for kind, family in families.items() if family]
    heading = (
        f"{chosen.name} compared with others (for these trained weights; other seeds may differ; intervals and "
        f"p-values are corrected {', and '.join(numbers)}):"
    )
    return Compared(heading, [comparison for family in families.values() for comparison in family])


def accuracy_sentences(comparisons: Sequence[Comparison]) -> list[str]:
    """A line on the accuracies of each pair."""
    return [f"  {comparison.sentence}" for comparison in comparisons]


def recall_sentences(comparisons: Sequence[Comparison]) -> list[str]:
    """A line on the macro recall of each pair with more than two classes."""
    lines = []
    for comparison in comparisons:
        first = comparison.first
        if first.probabilities.shape[1] > 2:
            lines.append(f"  {recall_sentence(first.name, comparison.second.name, comparison.macro_recall)}")
    return lines


def score_table(scores: Scores, chosen: str) -> Table:
    """The scores of predictors by part or file; the row of the chosen one, which has all parts, is bold."""
    table = number_table("tweets", ["loss", "accuracy (95 %)", "macro\nrecall", "macro\nF1"], no_wrap=True)
    for part in scores[chosen]:
        metrics_by_name = {name: by_part[part] for name, by_part in scores.items() if part in by_part}
        n = max(metrics.n for metrics in metrics_by_name.values())
        table.add_row(f"{escape(visible(part))}, {n:,}", style="italic")
        for name, metrics in metrics_by_name.items():
            size = "" if metrics.n == n else f", n = {metrics.n:,}"
            loss = f"{metrics.loss:.3f}" if name in _WITH_PROBABILITIES else "-"
            accuracy = f"{metrics.accuracy:.3f} {metrics.accuracy_low:.3f}-{metrics.accuracy_high:.3f}"
            macro = (f"{metrics.macro_recall:.3f}", f"{metrics.macro_f1:.3f}")
            style = "bold" if name == chosen else ""
            table.add_row(f"  {escape(name)}{size}", loss, accuracy, *macro, style=style)
    return table


def _class_table(metrics: Metrics, names: Sequence[str], chosen: str) -> Table:
    """The scores of the chosen predictor by class."""
    table = number_table(chosen, ["tweets", "precision", "recall", "F1"])
    rows = zip(names, metrics.sizes, metrics.precision, metrics.recall, metrics.f1, strict=True)
    for name, size, *scores in rows:
        table.add_row(f"  {escape(visible(name))}", f"{size:,}", *map("{:.3f}".format, scores))
    return table


def _check_table(check_list: CheckList, chosen: str) -> Table:
    """The check list by capability: number of correct sentences per model; the chosen model is printed bold."""
    table = number_table("check list", check_list)
    for column in table.columns:
        column.style = "bold" if column.header == chosen else ""
    tallies = [*check_list.values()]
    rows = {capability: [tally[capability] for tally in tallies] for capability in tallies[0]}
    rows["all"] = [total_score(tally) for tally in tallies]
    for capability, scores in rows.items():
        cells = [f"{score.right} of {score.n}" for score in scores]
        table.add_row(f"  {capability}", *cells, style="italic" if capability == "all" else "")
    return table


def _share_table(evaluation: Evaluation) -> Table:
    """The share of each class by the labels, and as predicted by each predictor that reads texts."""
    table = number_table("share", [*evaluation.classes, "calibration error"])
    for name, shares in evaluation.shares.items():
        if name != PREDICTORS["majority"]:
            error = evaluation.calibration_errors.get(name)
            table.add_row(f"  {name}", *map("{:.1%}".format, shares.values()), "-" if error is None else f"{error:.1%}")
    return table


# --- after training ---------------------------------------------------------------------------------------------------


def show_result(run: TrainedRun) -> None:
    """Print the result of a completed run, and how to use its model."""
    result = run.result
    chosen = PREDICTORS[result.recommended]
    OUT.print()
    OUT.print(score_table(run_scores(result), chosen))
    if caveats := caveats_of(run):
        say(caveats)
    lines = [""]
    lines.append(
        f"best epoch {result.best_epoch} of {result.epochs} ({result.stopped_by}), {result.parameters:,} parameters, "
        f"{result.seconds_trained:.1f} s"
    )
    if result.only_label is None:
        lines.append(result.overfit.verdict)
    lines.append("")
    test = result.scores[result.recommended]["test"]
    lines.append(f"recommended  {chosen}: {test.accuracy:.1%} of {test.n:,} test tweets right; {WHY_RECOMMENDED}")
    lines.append(_worst_class_line(test, run.config.data.label_names))
    lines += _uncertainty_lines(test, run.config.data.has_own_parts)
    name = quote(name_of(run.run_dir))
    if "lexicon" in result.scores:
        accuracy = result.scores["lexicon"]["test"].accuracy
        if accuracy > test.accuracy:
            advice = f"to choose, label 200 tweets: sentiment evaluate {name} --data mine.csv"
            lines.append(f"below        {PREDICTORS['lexicon']}, which has {accuracy:.1%} right: {advice}")
    if result.check_list:
        lines.append(_check_list_line(result.check_list[result.recommended]))
    lines.append("")
    lines += uses_of(name, "")
    lines.append(f"look closer  sentiment evaluate {name}")
    say("\n".join(lines))


def _uncertainty_lines(test: Metrics, has_own_parts: bool) -> list[str]:
    low = 100 * test.accuracy_low
    high = 100 * test.accuracy_high
    interval = f"how sure     95 % interval {low:.1f} to {high:.1f} %"
    if test.n >= 1_000:  # uncertain by at most 3.1 points; by less than 2 if it is 89 % or more
        return [interval]
    half_width = (high - low) / 2
    lines = [f"{interval}: on so few test tweets the accuracy is uncertain by \u00b1 {half_width:.1f} points"]
    if not has_own_parts:  # folds would ignore them
        lines.append(
            "             to test on all tweets, train with data.folds=5 and data.fold from 1 to 5, as in grid vader"
        )
    return lines


def _worst_class_line(test: Metrics, classes: Sequence[str]) -> str:
    """The class of whose tweets the smallest share is found."""
    worst = min(range(len(classes)), key=lambda index: test.recall[index])
    return f"worst class  {visible(classes[worst])}: {test.recall[worst]:.1%} of its {test.sizes[worst]:,} tweets found"


def _check_list_line(scores: Mapping[str, CheckScore]) -> str:
    """The number of correct sentences, and the capability with the smallest share."""
    total = total_score(scores)
    worst = min(scores, key=lambda capability: scores[capability].right / scores[capability].n)
    weakest = f"weakest at {worst!r} ({scores[worst].right} of {scores[worst].n})"
    return f"check list   {total.right} of {total.n} short sentences right, {weakest}"
