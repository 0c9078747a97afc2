"""Scores of a run on its own tweets, and of added predictors on a gold table; the screen after training."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote

from sentiment.console import ERR, OUT, plural, say, visible
from sentiment.inference.evaluation import (
    Compared,
    Evaluation,
    Scores,
    compare_with_chosen,
    score_table,
    scores_on_file,
)
from sentiment.inference.mistakes import own_mistakes
from sentiment.inference.stored import TrainedRun
from sentiment.models.text_model import total_score
from sentiment.runs.predictions import (
    PartPredictions,
    Predictor,
    added_predictor,
    read_gold,
    read_predictions,
)
from sentiment.runs.recommendation import MIN_TWEETS_TO_CHOOSE
from sentiment.runs.records import (
    PREDICTORS,
    Added,
    CheckScore,
    Metrics,
    ModelKind,
    Part,
    Result,
)
from sentiment.runs.run_dir import name_of, read_added
from sentiment.statistics.metrics import ClassIndices, other_answers_remark

EXAMPLE = "what a lovely day"  # example sentence in messages; the models of `make run` classify it correctly
_WHY_CHOSEN = "it is the simplest that validation tweets do not show to be worse than another"


def _caveats(run: TrainedRun) -> str:
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


def show_result(run: TrainedRun) -> None:
    """Print the result of a completed run, and how to use its model."""
    result = run.result
    chosen = PREDICTORS[result.recommended]
    OUT.print()
    OUT.print(score_table(_scores_by_name(result), chosen))
    if caveats := _caveats(run):
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
    lines.append(f"recommended  {chosen}: {test.accuracy:.1%} of {test.n:,} test tweets right; {_WHY_CHOSEN}")
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


def uses_of(name: str, options: str) -> list[str]:
    """Lines with the commands that use and export a run's model; its name is quoted for a shell."""
    model = f"{name} {options}".rstrip()
    return [
        f'use it       sentiment predict {model} "{EXAMPLE}"',
        f"hand it on   sentiment export {name} model.zip {options}".rstrip(),
    ]


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


def evaluate_on_own(run: TrainedRun, choice: ModelKind | None) -> Evaluation:
    """The scores of a completed run, and by how much its chosen model differs from the others on test tweets.

    The details are `check_list`: correct sentences by predictor and capability; `other_answers`: by part and added
    predictor the number of answers that are none of the classes.

    Args:
        choice: the chosen model; None: the recommended one.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    scores = _scores_by_name(run.result)
    kind = choice or run.result.recommended
    added, problems = read_added(run.run_dir.results.added_dir(run.record.data_fingerprint))
    for problem in problems:
        say(f"left out: {problem}", ERR)
    validation = _part_with_added(run, "validation", added)
    test = _part_with_added(run, "test", added)
    remarks = []
    other_answers: dict[Part, dict[str, int]] = {}
    parts: dict[Part, PartPredictions] = {"validation": validation, "test": test}
    for part, tweets in parts.items():
        of_part = [predictor for predictor in tweets.predictors if predictor.kind == "added"]
        for predictor in of_part:
            scores.setdefault(predictor.name, {})[part] = predictor.metrics(tweets.labels)
        remarks += _remarks_on_answers(of_part, tweets.labels, f", {part}")
        other_answers[part] = {predictor.name: predictor.other_answers for predictor in of_part}
    check_list = {PREDICTORS[of_kind]: tally for of_kind, tally in run.result.check_list.items()}
    compared = compare_with_chosen(test.labels, test.of(kind), test.predictors)
    used = f"used by predict: {PREDICTORS[run.result.recommended]}; {_WHY_CHOSEN}"
    return Evaluation(
        part="test",
        classes=run.config.data.label_names,
        chosen=PREDICTORS[kind],
        scores=scores,
        tweets=test,
        remarks=remarks,
        compared=compared,
        closing=[_caveats(run), used],
        check_list=check_list,
        details={"check_list": check_list, "other_answers": other_answers},
        has_parts=True,
        mistakes=partial(own_mistakes, run, kind),
    )


def _remarks_on_answers(added: Sequence[Predictor], labels: ClassIndices, part: str = "") -> list[str]:
    """A line for each added predictor with answers that are none of the classes."""
    remarks = []
    for predictor in added:
        number = predictor.other_answers
        if number:
            remarks.append(f"{predictor.name}{part}: {other_answers_remark(predictor.metrics(labels), number)}")
    return remarks


def _part_with_added(run: TrainedRun, part: Part, added: Mapping[str, Added]) -> PartPredictions:
    """Predictions of a completed run and of added predictors for the tweets of a part."""
    classes = run.config.data.label_names
    predictions = read_predictions(run.run_dir, run.result, part, classes)
    for name, record in added.items():
        predictor = added_predictor(f"{name} (added)", record, predictions.tweets, len(classes))
        if predictor:
            predictions.predictors.append(predictor)
    return predictions


def evaluate_on_gold(path: Path) -> Evaluation:
    """The scores of the predictors that were added for a gold table, and how each pair of them differs.

    The most accurate added predictor is the chosen one, with few answers only if all have few. The details are
    `other_answers`: by added predictor the number of answers that are none of the classes; `missing`: likewise of
    tweets without an answer.

    Raises:
        RunDirError: a file of the gold table is missing or damaged.
    """
    gold = read_gold(path)
    for problem in gold.problems:
        say(f"left out: {problem}", ERR)
    source = gold.record.source
    labels = gold.predictions.labels
    lines = [f"{count:,} rows of {source} left out: {why}" for why, count in gold.record.left_out.items()]
    added = gold.added_predictors
    lines += _remarks_on_answers(added, labels)
    for predictor in added:
        if predictor.missing:
            lines.append(f"{predictor.name}: {predictor.missing:,} tweets without an answer are left out")
    comparisons = gold.compare()
    number = plural(len(comparisons), "comparison")
    heading = f"each pair on the tweets that both answer (intervals and p-values are corrected for {number}):"
    other_answers = {predictor.name: predictor.other_answers for predictor in added}
    missing = {predictor.name: predictor.missing for predictor in added}
    return Evaluation(
        part=source,
        classes=gold.record.classes,
        chosen=gold.predictions.predictors[0].name,
        scores=scores_on_file(source, gold.predictions),
        tweets=gold.predictions,
        remarks=lines,
        compared=Compared(heading if comparisons else "", comparisons),
        details={"other_answers": other_answers, "missing": missing},
    )


def _scores_by_name(result: Result) -> Scores:
    """The metrics of a run's predictors, its external test sets sorted by name."""
    return {PREDICTORS[kind]: {part: metrics[part] for part in result.parts} for kind, metrics in result.scores.items()}
