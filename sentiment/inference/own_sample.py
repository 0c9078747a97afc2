"""A user's own labelled tweets: the scores of a run's predictors on them, and the model and the threshold to use.

Imports torch only when a model is loaded.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from shlex import quote
from typing import Any, NamedTuple

import numpy as np

from sentiment.console import Progress
from sentiment.data.rows import Row, RowCounter
from sentiment.data.sources import TweetFile, usable_rows
from sentiment.errors import DataError, UsageError
from sentiment.inference.evaluate import uses_of
from sentiment.inference.evaluation import Evaluation, compare_with_chosen, scores_on_file
from sentiment.inference.mistakes import mistakes_of, places_of
from sentiment.inference.overlap import OWN_TEST, overlaps_with
from sentiment.inference.predict import CHUNK, NO_WORDS
from sentiment.inference.stored import TrainedRun, load_all_models
from sentiment.labelling.choice import PredictedTweets, choose, verdict_lines
from sentiment.models.predictors import classify_by_all
from sentiment.models.text_model import Predictions, TextModel, checked_threshold
from sentiment.runs.predictions import PartPredictions, Predictor
from sentiment.runs.recommendation import MIN_TWEETS_TO_CHOOSE, SIMPLEST_FIRST, Choice
from sentiment.runs.records import DEFAULT_THRESHOLD, MODEL_KINDS, PREDICTORS, ModelKind, PredictorKind
from sentiment.runs.run_dir import name_of
from sentiment.statistics import ALPHA
from sentiment.statistics.metrics import Probabilities
from sentiment.statistics.paired import PairedCounts, PairedEvidence
from sentiment.tokens import Flags

_DIGITS = 6  # of a threshold


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


def decide(source: str, tweets: PartPredictions, metric: str, kind: ModelKind | None = None) -> Decision:
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
        raise UsageError(f"at least {MIN_TWEETS_TO_CHOOSE} tweets are needed to choose a model; 200 are often enough")
    predicted = {tweets.of(model).name: tweets.of(model).predicted for model in SIMPLEST_FIRST}
    choice = choose(source, PredictedTweets([""] * len(labels), predicted), labels, metric)
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
    answered = predict_new(run, rows, counter, progress, has_own_test=True)
    tweets = _scored(run, answered, threshold)
    file = PurePath(table.name).name
    try:
        metric = run.config.training.early_stopping.metric
        decision = decide(file, tweets.of_rows(np.flatnonzero(~answered.is_own_test)), metric, choice)
        closing = decision_lines(decision, quote(name_of(run.run_dir)))
    except UsageError as error:  # too few labels
        decision = None
        closing = [str(error)]
    details = _details(answered, counter, threshold)
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
        tweets=shown,
        remarks=[*answered.warnings(), *counter.lines_left_out((OWN_TEST,))],
        compared=compare_with_chosen(tweets.labels, chosen, compared),
        closing=closing,
        has_shares=True,
        details=details,
        mistakes=partial(mistakes_of, shown, chosen, places_of(answered.rows), classes),
    )


class AnsweredTweets(NamedTuple):
    """Tweets of a table, with the predictions of all predictors of a run that read texts.

    Attributes:
        probabilities: by predictor, (n, classes).
        is_own_test: which of the tweets are test tweets of the run, (n,).
        unknown_overlap: the reason why the overlap with the run's tweets is not known; empty if it is known.
    """

    rows: list[Row]
    probabilities: dict[PredictorKind, Probabilities]
    is_own_test: Flags
    unknown_overlap: str

    def warnings(self) -> list[str]:
        unknown = self.unknown_overlap
        return [f"  warning: cannot exclude training tweets: {unknown}"] if unknown else []


def _details(answered: AnsweredTweets, counter: RowCounter, threshold: float) -> dict[str, Any]:
    """The details of an evaluation that chooses nothing."""
    details: dict[str, Any] = {"threshold": threshold, "knows_training": not answered.unknown_overlap}
    details |= {"left_out": {}, "overlap": {}}
    for reason, rows in counter.counted().items():
        details["overlap" if reason == OWN_TEST else "left_out"][reason] = rows.count
    return details


def predict_new(
    run: TrainedRun, rows: Sequence[Row], counter: RowCounter, progress: Progress, has_own_test: bool
) -> AnsweredTweets:
    """The tweets of a table that a run may be scored on, with its predictions; a tweet that stands twice counts twice.

    Left out are the run's training and validation tweets, copies of these, other tweets of their authors, and tweets
    without a word that a model knows.

    Args:
        counter: gets the rows that are left out, by reason, and test tweets of the run.
        has_own_test: whether test tweets of the run are not left out; they must not choose a model.

    Raises:
        DataError: no row is left.
    """
    found, unknown_overlap = overlaps_with(run, rows)
    reasons = [overlap.reason for overlap in found]
    allowed = ("", OWN_TEST) if has_own_test else ("",)
    possible = np.array([index for index, reason in enumerate(reasons) if reason in allowed], np.int64)
    texts = [rows[index].text for index in possible.tolist()]
    predictions = classify_all(load_all_models(run), texts, progress)
    usable = np.logical_and.reduce([predictions[kind].usable for kind in MODEL_KINDS])
    for index in possible[~usable].tolist():
        reasons[index] = NO_WORDS
    for row, reason in zip(rows, reasons, strict=True):
        if reason:
            counter.add(reason, row.line)
    scored = possible[usable].tolist()
    if not scored:
        raise DataError(f"no row is left to score a model on; left out: {counter.summary() or 'none'}")
    return AnsweredTweets(
        rows=[rows[index] for index in scored],
        probabilities={kind: of_kind.probabilities[usable] for kind, of_kind in predictions.items()},
        is_own_test=np.array([reasons[index] == OWN_TEST for index in scored]),
        unknown_overlap=unknown_overlap,
    )


def _scored(run: TrainedRun, answered: AnsweredTweets, threshold: float) -> PartPredictions:
    """The labelled tweets with all predictors; `threshold` is for models of the run, the others keep the default."""
    labels = np.array([row.label for row in answered.rows], np.int64)
    probabilities = {**answered.probabilities, "majority": np.tile(run.result.class_shares, (len(labels), 1))}
    predictors = []
    for kind, of_kind in probabilities.items():
        threshold_of_kind = threshold if kind in MODEL_KINDS else DEFAULT_THRESHOLD
        predictors.append(Predictor(PREDICTORS[kind], kind, of_kind, threshold_of_kind))
    return PartPredictions(np.arange(len(labels)), labels, predictors)


def classify_all(
    models: Sequence[TextModel], texts: Sequence[str], progress: Progress
) -> dict[PredictorKind, Predictions]:
    """The predictions of all models; each text is read once by each model."""
    chunks = []
    for start in range(0, len(texts) or 1, CHUNK):
        progress("classifying", start, len(texts))
        chunks.append(classify_by_all(models, texts[start : start + CHUNK]))
    return {kind: Predictions.joined([chunk[kind] for chunk in chunks]) for kind in chunks[0]}


def decision_lines(decision: Decision, name: str) -> list[str]:
    """Lines on how the best model compares with the others, and the commands that use and export the chosen model."""
    used = decision.used
    lines = ["", *verdict_lines(decision.choice)]
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
