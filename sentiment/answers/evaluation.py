"""Scores of predictors on some tweets, and how they compare, as `evaluate` and `train` print and write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import Any, NamedTuple

from rich.markup import escape
from rich.table import Table

from sentiment.answers.recommendation import MIN_TWEETS_TO_CHOOSE, WHY_RECOMMENDED
from sentiment.answers.table import AnswerTable, Comparison, Predictor, compare_predictors
from sentiment.console import OUT, number_table, plural, say, visible
from sentiment.models.text_model import total_score
from sentiment.predicting.stored import TrainedRun, uses_of
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, CheckScore, Metrics, Part, Result
from sentiment.runs.run_dir import name_of
from sentiment.statistics.metrics import ClassIndices
from sentiment.statistics.words import recall_sentence

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
        remarks: lines on the rows and on the predictors.
        compared: the pairs of predictors that are compared.
        closing: lines on what follows from the scores.
        details: values that are written besides the scores; `check_list` is shown as well.
    """

    part: Part
    classes: Sequence[str]
    chosen: str
    scores: Scores
    remarks: Sequence[str]
    compared: Compared
    closing: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What `--out` writes: the scores of the chosen model and of all, by part if there are several, and details."""
        has_parts = len(self.scores[self.chosen]) > 1
        models: dict[str, dict[str, Any]] = {}
        for name, by_part in self.scores.items():
            named = {part: metrics.named(self.classes) for part, metrics in by_part.items()}
            models[name] = named if has_parts else named[self.part]
        return models[self.chosen] | {"chosen": self.chosen, "models": models} | dict(self.details)


def show(evaluation: Evaluation, everything: bool) -> None:
    """Print an evaluation.

    Args:
        everything: also the other parts, the most frequent class, macro recall of each pair with several classes, and
            the check list.
    """
    chosen = evaluation.chosen
    part = evaluation.part
    scores = evaluation.scores
    if not everything:
        scores = {}
        for name, by_part in evaluation.scores.items():
            if part in by_part and (name != PREDICTORS["majority"] or name == chosen):
                scores[name] = {part: by_part[part]}
    OUT.print(score_table(scores, chosen))
    compared = evaluation.compared
    lines = [*evaluation.remarks, compared.heading, *accuracy_sentences(compared.pairs)]
    if everything:
        lines += recall_sentences(compared.pairs)
    say("\n".join(filter(None, lines)))
    OUT.print(_class_table(evaluation.scores[chosen][part], evaluation.classes, chosen))
    check_list = evaluation.details.get("check_list")
    if everything and check_list:
        OUT.print(_check_table(check_list, chosen))
    say("\n".join(evaluation.closing))


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
    compared = [other for other in others if other.name != chosen.name and other.kind not in ("majority", "annotator")]
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


# --- after training ---------------------------------------------------------------------------------------------------


def show_result(run: TrainedRun) -> None:
    """Print the result of a completed run, and how to use its model."""
    result = run.result
    chosen = PREDICTORS[result.recommended]
    OUT.print()
    OUT.print(score_table(_held_out_scores(result), chosen))
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


def _held_out_scores(result: Result) -> Scores:
    """The scores on the parts that are not trained on; the most frequent class stands beside those on test tweets."""
    scores: Scores = {}
    for name, by_part in run_scores(result).items():
        left_out = ("train", "validation") if name == PREDICTORS["majority"] else ("train",)
        scores[name] = {part: metrics for part, metrics in by_part.items() if part not in left_out}
    return scores


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
