"""A user's own labelled tweets: the scores of a run's predictors on them, and the model and the threshold to use.

Imports torch only when a model is loaded.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from shlex import quote
from typing import Any, NamedTuple

import numpy as np

from sentiment.config import DataConfig
from sentiment.console import Progress, plural
from sentiment.data.sources import labelled_rows, open_source
from sentiment.data.tables import RowCounter
from sentiment.data.text import Flags
from sentiment.errors import DataError
from sentiment.inference.evaluate import below_lexicon, uses_of
from sentiment.inference.evaluation import ClassShares, Evaluation, comparison_lines, scores_on_file
from sentiment.inference.overlap import OWN_TEST, SCORED, overlaps_with
from sentiment.inference.predict import CHUNK, NO_WORDS
from sentiment.inference.stored import TrainedRun, load_all_models
from sentiment.metrics import ClassIndices, Probabilities, calibration_error
from sentiment.models.predictors import classify_by_all
from sentiment.models.text_model import Predictions, TextModel, checked_threshold
from sentiment.paired import ALPHA, accuracy_difference
from sentiment.runs.power import MAX_LABELS
from sentiment.runs.predictions import PartPredictions, Predictor, read_predictions
from sentiment.runs.recommendation import MIN_TWEETS_TO_CHOOSE, Judgement, judge, recommend_for_sample
from sentiment.runs.records import DEFAULT_THRESHOLD, MODEL_KINDS, PREDICTORS, ModelKind, PredictorKind

_DIGITS = 6  # of a threshold


class _Sample(NamedTuple):
    """The scored tweets of a labelled file.

    Attributes:
        tweets: the index of each tweet's row, its label, and the predictions of all predictors of the run.
        is_own_test: which of the tweets are test tweets of the run, (n,).
        rows: counts the rows that are not scored, by reason, and the scored rows with an overlap, by its kind.
        unknown_overlap: the reason why the overlap with the run's tweets is not known; empty if it is known.
    """

    tweets: PartPredictions
    is_own_test: Flags
    rows: RowCounter
    unknown_overlap: str


class Decision(NamedTuple):
    """Which model and threshold to use for tweets like these.

    Attributes:
        recommended: the model with the highest expected score on tweets like these.
        used: the predictions of the model to use, with the threshold to use.
        matching: the same model with the threshold by which the second class is predicted as often as it is labelled;
            None unless there are labels of just two classes.
    """

    judgement: Judgement
    recommended: ModelKind
    used: Predictor
    matching: Predictor | None


def decide(
    tweets: PartPredictions, validation: PartPredictions, metric: str, choice: ModelKind | None = None
) -> Decision:
    """Choose the model and the threshold by a user's labelled tweets, the model by validation tweets as well.

    The matching threshold is used if the predicted and the labelled share of the second class differ significantly, and
    if at least as many tweets are right with it. The predicted share exceeds the labelled one by the false positives
    less the false negatives, so the paired test of two classifiers tests this difference as well.

    Args:
        metric: as in `judge`.
        choice: the model to use; None: the one that `recommend_for_sample` recommends.
    """
    labels = tweets.labels
    judgement = judge(tweets, metric)
    recommended = recommend_for_sample(tweets, validation, metric)
    model = tweets.of(choice or recommended)
    if model.probabilities.shape[1] != 2 or len(np.unique(labels)) != 2:
        return Decision(judgement, recommended, model, None)
    positive = int(labels.sum())
    descending = np.sort(model.probabilities[:, 1])[::-1]
    threshold = round(float(descending[positive - 1 : positive + 1].mean()), _DIGITS)
    matching = replace(model, threshold=threshold)
    false_positives = int((model.predicted > labels).sum())
    false_negatives = int((model.predicted < labels).sum())
    p = accuracy_difference(false_positives, false_negatives, len(labels)).p
    is_better = p < ALPHA and matching.right(labels).sum() >= model.right(labels).sum()
    return Decision(judgement, recommended, matching if is_better else model, matching)


def evaluate_on_file(
    run: TrainedRun, choice: ModelKind | None, table: DataConfig, progress: Progress, threshold: float | None
) -> Evaluation:
    """The scores of a run's predictors on a labelled file, and which model and threshold to use there.

    Training and validation tweets, and other tweets of their authors, are excluded and counted, as are tweets without a
    word that a model knows. Test tweets of the run are scored, but not used to choose the model.

    The details are `threshold`; `left_out`: the number of rows that are not scored, by reason; `overlap`: the number of
    rows that are scored although they overlap with the run's tweets, by its kind; `knows_training`: whether overlap is
    known. With enough tweets to choose by, also `use`: the options of `predict`, and `best`: the best model on these
    tweets.

    Args:
        choice: the model to use; None: the one that is recommended by the file's tweets and the run's validation
            tweets; with too few tweets in the file, the one that the run recommends.
        table: the file, its columns, and its labels mapped to the run's classes.
        threshold: decision threshold of the models; None: 0.5.

    Raises:
        SentimentError: the file cannot be used, or the threshold as in `checked_threshold`.
    """
    classes = run.config.data.label_names
    threshold = DEFAULT_THRESHOLD if threshold is None else checked_threshold(threshold, classes)
    sample = _read_sample(run, table, threshold, progress)
    labels = sample.tweets.labels
    decision = _decide_without_own_test(run, sample, choice)
    kind = choice or (decision.used.kind if decision else run.result.recommended)
    chosen = sample.tweets.of(kind)
    predictors = sample.tweets.predictors
    shown = sample.tweets
    if decision and decision.matching:
        value = decision.matching.threshold
        proposed = replace(chosen, name=f"{chosen.name} at {value:.3g}", threshold=value)
        shown = replace(shown, predictors=[*predictors, proposed])
    file = PurePath(table.source).name
    scores = scores_on_file(file, shown)
    closing = decision_lines(decision, quote(run.path))
    lexicon = scores.get(PREDICTORS["lexicon"])
    if lexicon:
        advice = "train on tweets like these, labelled by people"
        closing += below_lexicon(scores[chosen.name][file].accuracy, lexicon[file].accuracy, advice)
    return Evaluation(
        part=file,
        classes=classes,
        chosen=chosen.name,
        scores=scores,
        tweets=shown,
        remarks=[*_row_lines(sample, threshold), *_own_predictions_warnings(sample.tweets)],
        comparisons=comparison_lines(labels, predictors, chosen.name),
        closing=closing,
        shares=_shares(shown, classes),
        details=_details(sample, threshold, decision),
    )


def _details(sample: _Sample, threshold: float, decision: Decision | None) -> dict[str, Any]:
    """What `--out` writes besides the scores, see `evaluate_on_file`."""
    counts = {reason: rows.count for reason, rows in sample.rows.counted().items()}
    details: dict[str, Any] = {
        "threshold": threshold,
        "left_out": {reason: count for reason, count in counts.items() if reason not in SCORED},
        "overlap": {reason: count for reason, count in counts.items() if reason in SCORED},
        "knows_training": not sample.unknown_overlap,
    }
    if decision:
        details["best"] = PREDICTORS[decision.judgement.best]
        details["use"] = {"with": decision.used.kind, "threshold": decision.used.threshold}
    return details


def _read_sample(run: TrainedRun, table: DataConfig, threshold: float, progress: Progress) -> _Sample:
    """The tweets of a file that may be scored, with the predictions of all models; repeated tweets are each scored."""
    file = open_source(table, run.results).main
    counter = RowCounter()
    labelled = [*labelled_rows(file, counter, progress)]
    rows = [row for row, _ in labelled]
    overlap_of_rows, unknown_overlap = overlaps_with(run, rows)
    possible = np.array([index for index, overlap in enumerate(overlap_of_rows) if overlap in SCORED], np.int64)
    predictions = classify_all(load_all_models(run), [rows[index].text for index in possible], progress)
    usable = np.logical_and.reduce([predictions[kind].usable for kind in MODEL_KINDS])
    for index in possible[~usable].tolist():
        overlap_of_rows[index] = NO_WORDS
    for row, overlap in zip(rows, overlap_of_rows, strict=True):
        if overlap:
            counter.add(overlap, row.line)
    scored = possible[usable]
    if not len(scored):
        reasons = counter.summary() or "no rows"
        raise DataError(f"{file.name}: has no row to score with a label of one of the classes; left out were {reasons}")
    labels = np.array([label for _, label in labelled])[scored]
    is_own_test = np.array(overlap_of_rows)[scored] == OWN_TEST
    probabilities = {kind: of_kind.probabilities[usable] for kind, of_kind in predictions.items()}
    probabilities["majority"] = np.tile(run.result.class_shares, (len(scored), 1))
    tweets = PartPredictions(scored, labels, _predictors(probabilities, threshold))
    return _Sample(tweets, is_own_test, counter, unknown_overlap)


def _predictors(probabilities: dict[PredictorKind, Probabilities], threshold: float) -> list[Predictor]:
    """All predictors of a run on the tweets; `threshold` is for its models, the others keep the default."""
    predictors = []
    for kind, of_kind in probabilities.items():
        threshold_of_kind = threshold if kind in MODEL_KINDS else DEFAULT_THRESHOLD
        predictors.append(Predictor(PREDICTORS[kind], kind, of_kind, threshold_of_kind))
    return predictors


def classify_all(
    models: Sequence[TextModel], texts: Sequence[str], progress: Progress
) -> dict[PredictorKind, Predictions]:
    """The predictions of all models; each text is read once by each model."""
    chunks = []
    for start in range(0, len(texts) or 1, CHUNK):
        progress("classifying", start, len(texts))
        chunks.append(classify_by_all(models, texts[start : start + CHUNK]))
    return {kind: Predictions.joined([chunk[kind] for chunk in chunks]) for kind in chunks[0]}


def _decide_without_own_test(run: TrainedRun, sample: _Sample, choice: ModelKind | None) -> Decision | None:
    """Decide on the basis of the tweets that are not test tweets of the run; None if they are too few."""
    indices = np.flatnonzero(~sample.is_own_test)
    if len(indices) < MIN_TWEETS_TO_CHOOSE:
        return None
    validation = read_predictions(run.run_dir, run.result, "validation", run.config.data.label_names)
    return decide(sample.tweets.of_rows(indices), validation, run.config.training.early_stopping.metric, choice)


# --- what is printed and written ------------------------------------------------------------------------------------


def _row_lines(sample: _Sample, threshold: float) -> list[str]:
    """How many rows are left out, how many are scored in spite of an overlap, and the threshold."""
    lines = []
    if sample.unknown_overlap:
        lines.append(f"  warning: cannot exclude training tweets: {sample.unknown_overlap}")
    for reason, rows in sample.rows.counted().items():
        verb = "scored" if reason in SCORED else "left out"
        lines.append(f"  {rows.count:,} {verb}: {reason} ({rows})")
    if threshold != DEFAULT_THRESHOLD:
        lines.append(f"  decision threshold {threshold:g} ({DEFAULT_THRESHOLD:g} for predictors that are not trained)")
    return lines


def _own_predictions_warnings(tweets: PartPredictions) -> list[str]:
    """A warning for each model that is right on all of many tweets: `predict` may have written their labels."""
    if len(tweets.labels) < MIN_TWEETS_TO_CHOOSE:
        return []
    models = [predictor for predictor in tweets.predictors if predictor.kind in MODEL_KINDS]
    return [
        f"  warning: {model.name} has every label right; are these labels its own predictions?"
        for model in models
        if model.right(tweets.labels).all()
    ]


def _shares_by_name(predicted: ClassIndices, classes: Sequence[str]) -> dict[str, float]:
    shares = np.bincount(predicted, minlength=len(classes)) / len(predicted)
    return dict(zip(classes, shares.tolist(), strict=True))


def _shares(tweets: PartPredictions, classes: Sequence[str]) -> ClassShares:
    predicted = {}
    errors: dict[str, float | None] = {}
    for predictor in tweets.predictors:
        predicted[predictor.name] = _shares_by_name(predictor.predicted, classes)
        is_calibrated = predictor.kind in MODEL_KINDS
        errors[predictor.name] = calibration_error(predictor.calibration(tweets.labels)) if is_calibrated else None
    return ClassShares(_shares_by_name(tweets.labels, classes), predicted, errors)


def decision_lines(decision: Decision | None, path: str) -> list[str]:
    """Lines on how the best model compares with the others, and the commands that use and export the chosen model."""
    if decision is None:
        return [f"at least {MIN_TWEETS_TO_CHOOSE} tweets are needed to choose a model; 200 are often enough"]
    judgement, recommended, used, matching = decision
    comparisons = plural(len(judgement.comparisons), "comparison")
    family = f"p-values are corrected for {comparisons} with the run's other models"
    metric = "macro recall" if judgement.by_macro_recall else "accuracy"
    lines = ["", f"best here    {PREDICTORS[judgement.best]}, by {metric} ({family})"]
    lines += [f"             {_verdict(judgement, other)} {PREDICTORS[other]}" for other in judgement.comparisons]
    if used.kind == recommended:
        lines.append(f"use here     {PREDICTORS[used.kind]}: highest expected score by these and the validation tweets")
    if matching:
        remark = ""
        if used.threshold != matching.threshold:
            remark = "; not used: the predicted shares do not differ significantly, or fewer tweets are right with it"
        lines.append(f"threshold    {matching.threshold:g} predicts the shares of the labels{remark}")
    options = f"--with {used.kind}"
    if used.threshold != DEFAULT_THRESHOLD:
        options += f" --threshold {used.threshold:g}"
    return lines + uses_of(path, options)


def _verdict(judgement: Judgement, other: ModelKind) -> str:
    """How the best model compares with another one, whose name follows."""
    if judgement.is_worse(other):
        return "shown to be better than"
    labels = judgement.tweets_to_show(other)
    if labels is None or labels > MAX_LABELS:
        return "in practice equal to"
    return f"with about {float(f'{labels:.2g}'):,.0f} labels it would be shown to be better than"
