"""What `evaluate` compares: a run's predictors on its own tweets, or on a labelled table, where the model and the
threshold to use are chosen; the predictors that were added for a table; and what `train` ends with.

Imports torch only when a model is loaded.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from shlex import quote
from typing import Any, NamedTuple

import numpy as np

from sentiment.answers.choose import choose
from sentiment.answers.evaluation import (
    Compared,
    Evaluation,
    Scores,
    caveats_of,
    compare_with_chosen,
    pair_blocks,
    score_tables,
    scores_on_file,
)
from sentiment.answers.recommendation import MIN_TWEETS_TO_CHOOSE, SIMPLEST_FIRST, WHY_RECOMMENDED, Choice
from sentiment.answers.table import Added, Agreement, AnswerTable, Predictor, read_added, read_answers, read_predictions
from sentiment.blocks.content import Content, Text, Tiles
from sentiment.blocks.predictors import answer_remarks, choice_sentences, score_sentence
from sentiment.console import ERR, Progress, plural, say, visible
from sentiment.data.rows import RowCounter
from sentiment.data.sources import TweetFile, usable_rows
from sentiment.errors import UsageError
from sentiment.models.text_model import checked_threshold, total_score
from sentiment.predicting.new_tweets import OWN_TEST, NewTweets, predict_new
from sentiment.predicting.stored import TrainedRun, uses_of
from sentiment.runs.records import DEFAULT_THRESHOLD, MODEL_KINDS, PREDICTORS, CheckScore, Metrics, ModelKind, Part
from sentiment.runs.run_dir import name_of
from sentiment.statistics import ALPHA, words
from sentiment.statistics.metrics import ClassIndices, estimate_of
from sentiment.statistics.paired import PairedCounts, PairedEvidence

_DIGITS = 6  # of a threshold
_MANY_TWEETS = 1_000  # with so many, an accuracy is uncertain by at most 3.1 points


def evaluate_on_own(run: TrainedRun, choice: ModelKind | None) -> Evaluation:
    """The scores of a completed run, and by how much its chosen model differs from the others on test tweets.

    The details are `check_list`: correct sentences by predictor and capability; and, by part, those of `_about_added`.

    Args:
        choice: the chosen model; None: the recommended one.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    result = run.result
    scores: Scores = {}
    for of_kind, metrics in result.scores.items():  # external test sets sorted by name
        scores[PREDICTORS[of_kind]] = {part: metrics[part] for part in result.parts}
    added, problems = read_added(run.run_dir.results.added_dir(run.record.data_fingerprint))
    for problem in problems:
        say(f"left out: {problem}", ERR)
    check_list = {PREDICTORS[of_kind]: tally for of_kind, tally in result.check_list.items()}
    details: dict[str, dict[str, Any]] = {"check_list": check_list, "other_answers": {}, "annotators": {}}
    remarks = []
    parts: dict[Part, AnswerTable] = {}
    for part in ("validation", "test"):
        tweets, left_out = _part_with_added(run, part, added)
        parts[part] = tweets
        for predictor in tweets.predictors:
            if predictor.kind == "added":
                scores.setdefault(predictor.name, {})[part] = predictor.metrics(tweets.labels)
        by_key, lines = _about_added(tweets.predictors, tweets.labels, part)
        remarks += [*left_out, *lines]
        for key, values in by_key.items():
            details[key][part] = values
    test = parts["test"]
    kind = choice or result.recommended
    used = f"used by predict: {PREDICTORS[result.recommended]}; {WHY_RECOMMENDED}"
    return Evaluation(
        part="test",
        classes=run.config.data.label_names,
        chosen=PREDICTORS[kind],
        scores=scores,
        remarks=remarks,
        compared=compare_with_chosen(test.labels, test.of(kind), test.predictors),
        closing=[*caveats_of(run), used],
        metric=run.metric,
        details=details,
    )


def _part_with_added(run: TrainedRun, part: Part, added: Mapping[str, Added]) -> tuple[AnswerTable, list[str]]:
    """Predictions of a completed run and of added predictors for the tweets of a part; a line on each left out."""
    classes = run.config.data.label_names
    tweets = read_predictions(run.run_dir, run.result, part, classes)
    left_out = []
    for name, record in added.items():
        shown = name if record.annotator else f"{name} (added)"
        predictor = record.predictor(shown, tweets.tweets, classes)
        if predictor:
            tweets.predictors.append(predictor)
        else:
            left_out.append(f"{shown}, {part}: gives none of these tweets a class, and is left out")
    return tweets, left_out


def _about_added(
    predictors: Sequence[Predictor], labels: ClassIndices, part: str = ""
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Of added predictors by name `other_answers`, the number of answers that are none of the classes; of people among
    them `annotators`, how far they agree with the labels; and lines on both."""
    added = [predictor for predictor in predictors if predictor.kind == "added"]
    details: dict[str, dict[str, Any]] = {"other_answers": {each.name: each.other_answers for each in added}}
    details["annotators"] = {}
    of_part = f"{part} " if part else ""
    lines = []
    for predictor in predictors:
        if predictor.kind == "annotator":
            agreement = Agreement.of(predictor, labels)
            details["annotators"][predictor.name] = agreement._asdict()
            lines.append(agreement.sentence(predictor.name, of_part))
    return details, [*lines, *answer_remarks(added, labels, part)]


def evaluate_on_table(path: Path) -> Evaluation:
    """The scores of the predictors that were added for a labelled table, and how each pair of them differs.

    The most accurate added predictor is the chosen one, with few answers only if all have few. The details are those of
    `_about_added`, and `missing`: by added predictor the number of tweets without an answer.

    Raises:
        RunDirError: a file of the table is missing or damaged.
        UsageError: its tweets have no labels.
    """
    stored = read_answers(path)
    table = stored.table
    if not table.has_labels:
        raise UsageError(f"{path}: has no labels; --sheet writes tweets to label, and --labelled compares by them")
    for problem in stored.problems:
        say(f"left out: {problem}", ERR)
    source = stored.record.source
    left_out = [f"{count:,} rows of {source} left out: {why}" for why, count in stored.record.left_out.items()]
    details, lines = _about_added([*stored.annotators, *table.predictors], table.labels)
    details["missing"] = {predictor.name: predictor.missing for predictor in stored.added_predictors}
    comparisons = stored.compare()
    number = plural(len(comparisons), "comparison")
    heading = f"each pair on the tweets that both answer (intervals and p-values are corrected for {number}):"
    return Evaluation(
        part=source,
        classes=stored.record.classes,
        chosen=table.predictors[0].name,
        scores=scores_on_file(source, table),
        remarks=[*left_out, *lines],
        compared=Compared(heading if comparisons else "", comparisons),
        details=details,
    )


class Decision(NamedTuple):
    """Which model and threshold to use for tweets like these.

    Attributes:
        choice: how the models compare.
        used: the predictions of the model to use, with the threshold to use.
        matching: the same model with the threshold by which the second class is predicted as often as it is labelled,
            or more often where probabilities are equal; None unless there are labels of just two classes.
    """

    choice: Choice
    used: Predictor
    matching: Predictor | None


def decide(source: str, tweets: AnswerTable, metric: str, kind: ModelKind | None = None) -> Decision:
    """Choose the model and the threshold by a user's labelled tweets.

    The matching threshold is used if the predicted and the labelled share of the second class differ significantly, and
    if at least as many tweets are right with it. The predicted share exceeds the labelled one by the false positives
    less the false negatives, so the paired test of two classifiers tests this difference as well.

    Args:
        source, metric: as in `choose`.
        kind: the model to use; None: the best one.

    Raises:
        UsageError: there are too few tweets, for macro recall too few of a class.
    """
    labels = tweets.labels
    if len(labels) < MIN_TWEETS_TO_CHOOSE:
        raise UsageError(
            f"{source}: {len(labels)} tweets are left to choose a model by, but {MIN_TWEETS_TO_CHOOSE} are needed; "
            "200 are often enough"
        )
    choice = choose(source, replace(tweets, predictors=[tweets.of(model) for model in SIMPLEST_FIRST]), metric)
    best = next(model for model in tweets.predictors if model.name == choice.best)
    model = tweets.of(kind) if kind else best
    if model.probabilities.shape[1] != 2 or len(np.unique(labels)) != 2:
        return Decision(choice, model, None)
    positive = int(labels.sum())
    descending = np.sort(model.probabilities[:, 1])[::-1]
    threshold = round(float(descending[positive - 1 : positive + 1].mean()), _DIGITS)
    matching = replace(model, threshold=threshold)
    false_positives = int((model.predicted > labels).sum())
    false_negatives = int((model.predicted < labels).sum())
    p = PairedEvidence((PairedCounts(false_positives, false_negatives, len(labels)),)).p
    is_better = p < ALPHA and matching.right(labels).sum() >= model.right(labels).sum()
    return Decision(choice, matching if is_better else model, matching)


def evaluate_on_file(
    run: TrainedRun,
    choice: ModelKind | None,
    table: TweetFile,
    progress: Progress,
    threshold: float | None,
    leave_out: Collection[str] = (),
) -> Evaluation:
    """The scores of a run's predictors on a labelled file, and which model and threshold to use there.

    Tweets are left out as by `predict_new`. Test tweets of the run are scored, but not used to choose the model.

    The details are `threshold`; `left_out`: the number of rows that are not scored, by reason; `overlap`: the number of
    rows that are scored although they overlap with the run's tweets, by its kind; `knows_training`: whether overlap is
    known. With enough tweets to choose by, also `use`: the options of `predict`, and `best`: the best model on these
    tweets.

    Args:
        choice: the model to use; None: the best one on the file's tweets; with too few of these, the one that the run
            recommends.
        table: the file, whose labels are mapped to the run's classes.
        threshold: decision threshold of the models; None: 0.5.
        leave_out: as in `usable_rows`.

    Raises:
        SentimentError: the file cannot be used, or the threshold as in `checked_threshold`.
    """
    classes = run.config.data.label_names
    threshold = DEFAULT_THRESHOLD if threshold is None else checked_threshold(threshold, classes)
    counter = RowCounter()
    rows = [*usable_rows(table, counter, progress, leave_out)]
    new = predict_new(run, rows, counter, progress, has_own_test=True)
    tweets = _scored(run, new, threshold)
    file = PurePath(table.name).name
    try:
        decision = decide(file, tweets.of_rows(~new.is_own_test), run.metric, choice)
        closing = decision_lines(decision, quote(name_of(run.run_dir)))
    except UsageError as error:  # too few labels
        decision = None
        closing = [str(error)]
    details = _details(new, counter, threshold)
    compared = tweets.predictors
    chosen = tweets.of(choice or run.result.recommended)
    shown = tweets
    if decision:
        used = decision.used
        details |= {"best": decision.choice.best, "use": {"with": used.kind, "threshold": used.threshold}}
        compared = [other for other in compared if other.kind not in MODEL_KINDS]  # `closing` compares the models
        chosen = tweets.of(used.kind)
        if decision.matching:
            value = decision.matching.threshold
            proposed = replace(chosen, name=f"{chosen.name} at {value:.3g}", threshold=value)
            shown = replace(tweets, predictors=[*tweets.predictors, proposed])
    return Evaluation(
        part=file,
        classes=classes,
        chosen=chosen.name,
        scores=scores_on_file(file, shown),
        remarks=[*new.warnings(), *counter.lines_left_out((OWN_TEST,))],
        compared=compare_with_chosen(tweets.labels, chosen, compared),
        closing=closing,
        metric=run.metric,
        details=details,
    )


def _details(new: NewTweets, counter: RowCounter, threshold: float) -> dict[str, Any]:
    """The details of an evaluation that chooses nothing."""
    details: dict[str, Any] = {"threshold": threshold, "knows_training": not new.unknown_overlap}
    details |= {"left_out": {}, "overlap": {}}
    for reason, rows in counter.counted().items():
        details["overlap" if reason == OWN_TEST else "left_out"][reason] = rows.count
    return details


def _scored(run: TrainedRun, new: NewTweets, threshold: float) -> AnswerTable:
    """The labelled tweets with all predictors; `threshold` is for models of the run, the others keep the default."""
    predictors = []
    for predictor in new.table.predictors:
        is_model = predictor.kind in MODEL_KINDS
        predictors.append(replace(predictor, threshold=threshold) if is_model else predictor)
    most_frequent = np.tile(run.result.class_shares, (len(new.rows), 1))
    predictors.append(Predictor(PREDICTORS["majority"], "majority", most_frequent))
    return replace(new.table, predictors=predictors)


def decision_lines(decision: Decision, name: str) -> list[str]:
    """Lines on how the best model compares with the others, and the commands that use and export the chosen model."""
    used = decision.used
    lines = choice_sentences(decision.choice)
    if decision.matching:
        value = decision.matching.threshold
        remark = ""
        if used.threshold != value:
            remark = "; not used: the predicted shares do not differ significantly, or fewer tweets are right with it"
        lines.append(f"threshold    {value:g} predicts about the shares of the labels{remark}")
    options = f"--with {used.kind}"
    if used.threshold != DEFAULT_THRESHOLD:
        options += f" --threshold {used.threshold:g}"
    return lines + uses_of(name, options)


# --- after training ---------------------------------------------------------------------------------------------------


def result_blocks(run: TrainedRun) -> list[Content]:
    """What a completed run has come to, and how to use its model.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    result = run.result
    evaluation = evaluate_on_own(run, None)
    held_out = {}
    for name, by_part in evaluation.scores.items():
        left_out = ("train", "validation") if name == PREDICTORS["majority"] else ("train",)
        held_out[name] = {part: metrics for part, metrics in by_part.items() if part not in left_out}
    trained = (
        f"best epoch {result.best_epoch} of {result.epochs} ({result.stopped_by}), {result.parameters:,} parameters, "
        f"{result.seconds_trained:.1f} s"
    )
    lines = [*caveats_of(run), trained]
    if result.only_label is None:
        lines.append(result.overfit.verdict)
    blocks: list[Content] = [*score_tables(held_out, evaluation.chosen), *map(Text, lines), Text("")]
    blocks += [_recommended(run), *pair_blocks(evaluation), Text("")]
    name = quote(name_of(run.run_dir))
    return [*blocks, *map(Text, uses_of(name, "")), Text(f"look closer  sentiment evaluate {name}")]


def _recommended(run: TrainedRun) -> Tiles:
    """The recommended model with its test score, and what it is weakest at."""
    kind = run.result.recommended
    test = run.result.scores[kind]["test"]
    metric = run.metric
    score = estimate_of(test, metric)
    items = [
        ("recommended", f"{PREDICTORS[kind]}: {WHY_RECOMMENDED}"),
        ("how sure", score_sentence(score, metric)),
    ]
    if test.n < _MANY_TWEETS and not run.config.data.has_own_parts:  # folds would ignore them
        items.append(("", "to test on all tweets, train with data.folds=5 and data.fold from 1 to 5, as in grid vader"))
    items.append(("worst class", _worst_class(test, run.config.data.label_names)))
    lexicon = run.result.scores.get("lexicon")
    if lexicon and estimate_of(lexicon["test"], metric).value > score.value:
        advice = f"to choose, label 200 tweets: sentiment evaluate {quote(name_of(run.run_dir))} --data mine.csv"
        items.append(("below", f"{PREDICTORS['lexicon']}; {advice}"))
    if run.result.check_list:
        items.append(("check list", _weakest(run.result.check_list[kind])))
    return Tiles(items)


def _worst_class(test: Metrics, classes: Sequence[str]) -> str:
    """The class of whose tweets the smallest share is found."""
    worst = min(range(len(classes)), key=lambda index: test.recall[index])
    found = f"{words.percent(test.recall[worst])} % of its {plural(test.sizes[worst], 'tweet')} found"
    return f"{visible(classes[worst])}: {found}"


def _weakest(scores: Mapping[str, CheckScore]) -> str:
    """The number of correct sentences, and the capability with the smallest share."""
    total = total_score(scores)
    worst = min(scores, key=lambda capability: scores[capability].right / scores[capability].n)
    weakest = f"weakest at {worst!r} ({scores[worst].right} of {scores[worst].n})"
    return f"{total.right} of {total.n} short sentences right, {weakest}"
