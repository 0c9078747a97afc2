"""Scores of a run on its own test sets, and of added predictors on a gold table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from rich.markup import escape
from rich.table import Table

from sentiment.console import ERR, OUT, number_table, plural, say, visible
from sentiment.inference.stored import TrainedRun
from sentiment.metrics import ClassIndices, other_answers_remark
from sentiment.models.text_model import total_score
from sentiment.paired import recall_sentence
from sentiment.runs.predictions import (
    Comparison,
    PartPredictions,
    Predictor,
    added_predictor,
    compare_predictors,
    read_gold,
    read_predictions,
)
from sentiment.runs.recommendation import MIN_TWEETS_TO_CHOOSE
from sentiment.runs.records import (
    MODEL_KINDS,
    PREDICTORS,
    Added,
    CheckScore,
    Metrics,
    ModelKind,
    Part,
    PredictorKind,
    Result,
)
from sentiment.runs.run_dir import read_added

EXAMPLE = "what a lovely day"  # example sentence in messages; the models of `make run` classify it correctly
# The scores of other predictors are not calibrated probabilities: they have no log loss.
_WITH_PROBABILITIES = [PREDICTORS[model] for model in MODEL_KINDS]
# The baseline is recommended for plain sentences if it classifies more sentences of the check list correctly, and the
# difference is more than this share of the list.
_WELL_BELOW = 0.05
# Metrics by the name of a predictor, then by part or file.
_Scores = dict[str, dict[Part, Metrics]]


def comparison_lines(labels: ClassIndices, predictors: Sequence[Predictor], chosen: str) -> list[str]:
    """A heading, and a sentence for the chosen predictor and every other one that reads texts.

    The comparisons with models of the run are one family, as are those by which a model is recommended. The comparisons
    with the lexicon and added predictors are another one.
    """
    (first,) = (predictor for predictor in predictors if predictor.name == chosen)
    others = [predictor for predictor in predictors if predictor.name != chosen and predictor.kind != "majority"]
    models = [(first, other) for other in others if other.kind in MODEL_KINDS]
    further = [(first, other) for other in others if other.kind not in MODEL_KINDS]
    families = {
        "models of the run": compare_predictors(models, labels),
        "other predictors": compare_predictors(further, labels),
    }
    numbers = [f"for {plural(len(family), 'comparison')} with {kind}" for kind, family in families.items() if family]
    heading = (
        f"{chosen} compared with every other one (for these trained weights; other seeds may differ; intervals and "
        f"p-values are corrected {', and '.join(numbers)}):"
    )
    comparisons = [comparison for family in families.values() for comparison in family]
    return [heading, *_sentences(comparisons)]


def _sentences(comparisons: Sequence[Comparison]) -> list[str]:
    """A sentence on the accuracies of each pair, and with more than two classes another one on their macro recall."""
    lines = [f"  {comparison.sentence}" for comparison in comparisons]
    for comparison in comparisons:
        first = comparison.first
        if first.probabilities.shape[1] > 2:
            lines.append(f"  {recall_sentence(first.name, comparison.second.name, comparison.macro_recall)}")
    return lines


def _constant_warnings(predictors: Sequence[Predictor], label_names: Sequence[str]) -> list[str]:
    """Warnings of predictors that predict the same label for all tweets, except the most frequent class."""
    lines = []
    for predictor in predictors:
        if predictor.kind == "majority":
            continue
        only_class = predictor.only_class
        n = len(predictor.probabilities)
        if only_class is not None and n > 1:
            lines.append(f"warning: the {predictor.name} predicts {label_names[only_class]!r} for all {n:,} tweets")
    return lines


def _caveats(run: TrainedRun) -> str:
    """Caveats to print below the score table of a run, and which model predicts."""
    config = run.config
    result = run.result
    lines = [""]
    if result.encoder and result.encoder.random:
        lines.append(
            f"ELMo model {result.encoder.model!r}: random weights, so that these scores say nothing about ELMo"
        )
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
    name = PREDICTORS[result.recommended]
    lines.append(f"used by predict: {name}, the simplest not shown to be worse than the best on validation tweets")
    return "\n".join(lines)


def show_result(run: TrainedRun) -> None:
    """Print the result of a completed run, and how to use its model."""
    result = run.result
    chosen = PREDICTORS[result.recommended]
    OUT.print()
    OUT.print(_score_table(_scores_by_name(result), chosen))
    say(_caveats(run))
    lines = [""]
    lines.append(
        f"best epoch {result.best_epoch} of {result.epochs} ({result.stopped_by}), {result.parameters:,} parameters, "
        f"{result.seconds_trained:.1f} s"
    )
    lines.append(result.overfit.verdict)
    lines.append("")
    test = result.scores[result.recommended]["test"]
    lines.append(f"recommended  {chosen}: {test.accuracy:.1%} of {test.n:,} test tweets right")
    lines += _uncertainty_lines(test)
    path = quote(run.path)
    if "lexicon" in result.scores:
        accuracy = result.scores["lexicon"]["test"].accuracy
        advice = f"to choose, label 200 tweets: sentiment evaluate {path} --data mine.csv"
        lines += below_lexicon(test.accuracy, accuracy, advice)
    if result.check_list:
        lines += _check_list_lines(result.check_list[result.recommended], result.check_list["baseline"])
    lines.append("")
    lines.append(f'use it       sentiment predict {path} "{EXAMPLE}"')
    lines.append(f"look closer  sentiment evaluate {path}")
    lines.append(f"hand it on   sentiment export {path} model.zip")
    say("\n".join(lines))


def below_lexicon(accuracy: float, accuracy_of_lexicon: float, advice: str) -> list[str]:
    """A line with advice if the lexicon has more of the same tweets right than a model."""
    if accuracy_of_lexicon <= accuracy:
        return []
    return [f"below        {PREDICTORS['lexicon']}, which has {accuracy_of_lexicon:.1%} right: {advice}"]


def _uncertainty_lines(test: Metrics) -> list[str]:
    low = 100 * test.accuracy_low
    high = 100 * test.accuracy_high
    interval = f"how sure     95 % interval {low:.1f} to {high:.1f} %"
    if test.n >= 1_000:  # uncertain by at most 3.1 points; by less than 2 if it is 89 % or more
        return [interval]
    half_width = (high - low) / 2
    return [
        f"{interval}: on so few test tweets the accuracy is uncertain by \u00b1 {half_width:.1f} points",
        "             to test on all tweets, train with data.folds=5 and data.fold from 1 to 5, as in grid vader",
    ]


def _check_list_lines(scores: Mapping[str, CheckScore], baseline_scores: Mapping[str, CheckScore]) -> list[str]:
    """The number of correct sentences, the capability with the smallest share, and whether the baseline is better."""
    right = total_score(scores).right
    worst = min(scores, key=lambda capability: scores[capability].right / scores[capability].n)
    weakest = f"weakest at {worst!r} ({scores[worst].right} of {scores[worst].n})"
    baseline = total_score(baseline_scores)
    lines = [f"check list   {right} of {baseline.n} short sentences right, {weakest}"]
    if baseline.right - right > _WELL_BELOW * baseline.n:
        advice = "for plain sentences use --with baseline"
        lines.append(f"             the linear baseline has {baseline.right} right: {advice}")
    return lines


def evaluate_on_own(run: TrainedRun, choice: ModelKind | None) -> dict[str, Any]:
    """Show the scores of a completed run, and by how much its chosen model differs from the others on test tweets.

    Args:
        choice: the chosen model; None: the recommended one.

    Returns:
        The chosen model's metrics by part; `models`: those of all predictors by name and part; `chosen`: its name;
        `check_list`: correct sentences by predictor and capability; `other_answers`: by part and added predictor the
        number of answers that are none of the classes.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    classes = run.config.data.label_names
    scores = _scores_by_name(run.result)
    chosen = PREDICTORS[choice or run.result.recommended]
    added, problems = read_added(run.run_dir.results.added_dir(run.record.data_fingerprint))
    for problem in problems:
        say(f"left out: {problem}", ERR)
    lines = []
    other_answers: dict[Part, dict[str, int]] = {}
    for part in ("validation", "test"):  # `predictions` are then those of the test tweets
        predictions = _part_with_added(run, part, added)
        added_predictors = [predictor for predictor in predictions.predictors if predictor.kind == "added"]
        other_answers[part] = {predictor.name: predictor.other_answers for predictor in added_predictors}
        for predictor in added_predictors:
            metrics = predictor.metrics(predictions.labels)
            scores.setdefault(predictor.name, {})[part] = metrics
            if predictor.other_answers:
                remark = other_answers_remark(metrics, predictor.other_answers)
                lines.append(f"{predictor.name}, {part}: {remark}")
    lines += comparison_lines(predictions.labels, predictions.predictors, chosen)
    _show_scores(scores, chosen, "test", lines, predictions.predictors, classes)
    if run.result.check_list:
        OUT.print(_check_table(run.result.check_list, chosen))
    say(_caveats(run))
    models = {name: {part: metrics.named(classes) for part, metrics in parts.items()} for name, parts in scores.items()}
    return models[chosen] | {
        "chosen": chosen,
        "models": models,
        "check_list": {PREDICTORS[kind]: tally for kind, tally in run.result.check_list.items()},
        "other_answers": other_answers,
    }


def _part_with_added(run: TrainedRun, part: Part, added: Mapping[str, Added]) -> PartPredictions:
    """Predictions of a completed run and of added predictors for the tweets of a part."""
    classes = run.config.data.label_names
    predictions = read_predictions(run.run_dir, run.result, part, classes)
    for name, record in added.items():
        predictor = added_predictor(f"{name} (added)", record, predictions.tweets, len(classes))
        if predictor:
            predictions.predictors.append(predictor)
    return predictions


def evaluate_on_gold(path: Path) -> dict[str, Any]:
    """Show the scores of the predictors that were added for a gold table, and how each pair of them differs.

    Returns:
        `models`: the metrics of all predictors; `chosen`: the most accurate added one; `other_answers`: by added
        predictor the number of answers that are none of the classes; `missing`: likewise of tweets without an answer.

    Raises:
        RunDirError: a file of the gold table is missing or damaged.
    """
    gold = read_gold(path)
    for problem in gold.problems:
        say(f"left out: {problem}", ERR)
    source = gold.record.source
    predictors = gold.predictions.predictors
    labels = gold.predictions.labels
    chosen = predictors[0].name
    lines = [f"{count:,} rows of {source} left out: {why}" for why, count in gold.record.left_out.items()]
    added = gold.added_predictors
    for predictor in added:
        if predictor.other_answers:
            remark = other_answers_remark(predictor.metrics(labels), predictor.other_answers)
            lines.append(f"{predictor.name}: {remark}")
        if predictor.missing:
            lines.append(f"{predictor.name}: {predictor.missing:,} tweets without an answer are left out")
    comparisons = gold.compare()
    lines.append(
        "each pair on the tweets that both answer (intervals and p-values are corrected for "
        f"{len(comparisons)} comparisons):"
    )
    lines += _sentences(comparisons)
    return {
        "chosen": chosen,
        "models": show_scores_on_file(source, predictors, labels, gold.record.classes, chosen, lines),
        "other_answers": {predictor.name: predictor.other_answers for predictor in added},
        "missing": {predictor.name: predictor.missing for predictor in added},
    }


def show_scores_on_file(
    file: str,
    predictors: Sequence[Predictor],
    labels: ClassIndices,
    classes: Sequence[str],
    chosen: str,
    lines: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Print the scores of predictors on the tweets of one file, as `_show_scores`; returns all scores by name."""
    scores = {predictor.name: {file: predictor.metrics(labels)} for predictor in predictors}
    _show_scores(scores, chosen, file, lines, predictors, classes)
    return {name: metrics[file].named(classes) for name, metrics in scores.items()}


def _show_scores(
    scores: _Scores,
    chosen: str,
    part: Part,
    lines: Sequence[str],
    predictors: Sequence[Predictor],
    classes: Sequence[str],
) -> None:
    """Print the scores, then lines on them with warnings, then the scores of the chosen predictor by class."""
    OUT.print(_score_table(scores, chosen))
    say("\n".join([*lines, *_constant_warnings(predictors, classes)]))
    OUT.print(_class_table(scores[chosen][part], classes, chosen))


def _scores_by_name(result: Result) -> _Scores:
    """The metrics of a run's predictors, its external test sets sorted by name."""
    return {PREDICTORS[kind]: {part: metrics[part] for part in result.parts} for kind, metrics in result.scores.items()}


def _score_table(scores: _Scores, chosen: str) -> Table:
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
            table.add_row(f"  {name}{size}", loss, accuracy, *macro, style="bold" if name == chosen else "")
    return table


def _class_table(metrics: Metrics, names: Sequence[str], chosen: str) -> Table:
    """The scores of the chosen predictor by class."""
    table = number_table(chosen, ["tweets", "precision", "recall", "F1"])
    rows = zip(names, metrics.sizes, metrics.precision, metrics.recall, metrics.f1, strict=True)
    for name, size, *scores in rows:
        table.add_row(f"  {escape(visible(name))}", f"{size:,}", *map("{:.3f}".format, scores))
    return table


def _check_table(check_list: Mapping[PredictorKind, Mapping[str, CheckScore]], chosen: str) -> Table:
    """The check list by capability: number of correct sentences per model; the chosen model is printed bold."""
    table = number_table("check list", [PREDICTORS[kind] for kind in check_list])
    for column in table.columns:
        column.style = "bold" if column.header == chosen else ""
    tallies = [*check_list.values()]
    rows = {capability: [tally[capability] for tally in tallies] for capability in tallies[0]}
    rows["all"] = [total_score(tally) for tally in tallies]
    for capability, scores in rows.items():
        cells = [f"{score.right} of {score.n}" for score in scores]
        table.add_row(f"  {capability}", *cells, style="italic" if capability == "all" else "")
    return table
