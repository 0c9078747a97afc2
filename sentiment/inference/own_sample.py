"""A user's own labelled tweets: the scores of a run's predictors on them, and which model and threshold to use there.

Loads models, and so torch, where they are needed.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import PurePath
from shlex import quote
from typing import Any, NamedTuple

import numpy as np
from rich.markup import escape
from rich.table import Table

from sentiment.config import DataConfig
from sentiment.console import OUT, Progress, say, visible
from sentiment.data.corpus import open_corpus
from sentiment.data.sources import TweetFile, labelled_rows, open_source
from sentiment.data.tables import RowCounter
from sentiment.errors import DataError
from sentiment.inference.evaluate import EXAMPLE, below_lexicon, comparison_lines, show_scores
from sentiment.inference.known_tweets import OWN_TEST, SCORED, KnownTweets
from sentiment.inference.predict import NO_WORDS
from sentiment.inference.stored import TrainedRun, load_all_models
from sentiment.metrics import Labels, calibration_error, restricted
from sentiment.models.predictors import classify_by_all
from sentiment.models.text_model import Flags, Predictions, TextModel, checked_threshold
from sentiment.paired import ALPHA, accuracy_difference
from sentiment.runs.predictions import PartPredictions, Predictor
from sentiment.runs.recommendation import FEWEST_TO_CHOOSE_BY, Judgement, judge
from sentiment.runs.records import MODEL_CHOICES, PREDICTORS, THRESHOLD, ModelChoice, PredictorKind

_CHUNK = 4096
_DIGITS = 6  # of a threshold


class _Sample(NamedTuple):
    """The scored tweets of a labelled file.

    Attributes:
        labels: (n,); `predictions` are for the same tweets.
        own_tests: which of them are test tweets of the run, (n,).
        left_out, remarks: the rows that are not scored, and the scored ones that the run knows, by reason.
    """

    labels: Labels
    predictions: dict[PredictorKind, Predictions]
    own_tests: Flags
    left_out: RowCounter
    remarks: RowCounter


class Decision(NamedTuple):
    """Which model and threshold to use for tweets like these.

    Attributes:
        used: the predictions of the model to use, with the threshold to use.
        matching: the same model with the threshold by which the second class is predicted as often as it is labelled;
            None unless there are labels of just two classes.
    """

    judgement: Judgement
    used: Predictor
    matching: Predictor | None


def decide(tweets: PartPredictions, metric: str, choice: ModelChoice | None = None) -> Decision:
    """Decide by labelled tweets of a user.

    The threshold that matches the shares is used if they are shown to differ, and if no fewer tweets are right by it.
    Predicted and labelled share differ by the tweets that are wrong in one way less those that are wrong in the other,
    so the paired test of two classifiers tests this difference as well.

    Args:
        metric: as in `judge`.
        choice: the model to use; None: the one that is recommended.
    """
    labels = tweets.labels
    judgement = judge(tweets, metric)
    model = tweets.of(choice or judgement.recommended)
    if model.probabilities.shape[1] != 2 or len(np.unique(labels)) != 2:
        return Decision(judgement, model, None)
    positive = int(labels.sum())
    descending = np.sort(model.probabilities[:, 1])[::-1]
    threshold = round(float(descending[positive - 1 : positive + 1].mean()), _DIGITS)
    matching = replace(model, threshold=threshold)
    falsely_positive = int((model.predicted > labels).sum())
    falsely_negative = int((model.predicted < labels).sum())
    p = accuracy_difference(falsely_positive, falsely_negative, len(labels)).p
    is_better = p < ALPHA and matching.right(labels).sum() >= model.right(labels).sum()
    return Decision(judgement, matching if is_better else model, matching)


def evaluate_on_file(
    run: TrainedRun, choice: ModelChoice | None, table: DataConfig, progress: Progress, threshold: float | None
) -> dict[str, Any]:
    """Show the scores of a run's predictors on a labelled file, and which model and threshold to use there.

    Training and validation tweets, and other tweets of their authors, are excluded and counted, as are tweets without a
    word that a model knows. Test tweets of the run are scored, but choose nothing.

    Args:
        choice: the model to use; None: the one that the file's tweets recommend.
        table: the file, its columns and its labels, as those of the run's classes.
        threshold: decision threshold of the models; None: 0.5.

    Returns:
        The metrics of the model to use, and `chosen`: its name; `models`: the metrics of all predictors, each with
        `calibration_error` (None without probabilities) and with `shares`: of the classes as predicted; `labels`: the
        true shares; `left_out`, `remarks`: the numbers of rows that are not scored, and of others that the run knows;
        `knows_training`: whether it can know them; `threshold`. If there are tweets enough to choose by, `use`: the
        options of `predict`, and `best`: the best model here.

    Raises:
        SentimentError: the file cannot be used, or the threshold as in `checked_threshold`.
    """
    names = run.config.data.label_names
    threshold = THRESHOLD if threshold is None else checked_threshold(threshold, names)
    known, lines = _known_tweets(run)
    if threshold != THRESHOLD:
        lines.append(f"  decision threshold {threshold:g}; of predictors that are not trained {THRESHOLD:g}")
    sample = _read_sample(load_all_models(run), open_source(table, run.results).main, known, progress)
    predictors = _predictors(sample, run.result.class_shares, threshold)
    decision = None
    tweets = _tweets_to_choose_by(sample, predictors)
    if len(tweets.labels) >= FEWEST_TO_CHOOSE_BY:
        decision = decide(tweets, run.config.training.early_stopping.metric, choice)
    kind = choice or (decision.used.kind if decision else run.result.recommended)
    chosen = next(predictor for predictor in predictors if predictor.kind == kind)
    lines += _row_lines(sample)
    lines += comparison_lines(sample.labels, predictors, chosen.name)
    if decision and decision.matching:
        value = decision.matching.threshold
        predictors.append(replace(chosen, name=f"{chosen.name} at {value:.3g}", threshold=value))
    metrics = {predictor.name: predictor.metrics(sample.labels) for predictor in predictors}
    file = PurePath(table.source).name
    scores = {name: {file: of_file} for name, of_file in metrics.items()}
    show_scores(scores, chosen.name, file, lines, predictors, names)
    models = {predictor.name: _named_scores(predictor, sample.labels, names) for predictor in predictors}
    labels = _named_shares(sample.labels, names)
    OUT.print(_share_table(labels, models))
    lines = _decision_lines(decision, quote(run.path))
    lexicon = metrics.get(PREDICTORS["lexicon"])
    lines += below_lexicon(metrics[chosen.name], lexicon, "train on tweets like these, labelled by people")
    say("\n".join(lines))
    output = models[chosen.name] | {"chosen": chosen.name, "models": models, "labels": labels, "threshold": threshold}
    if decision:
        output["best"] = PREDICTORS[decision.judgement.best]
        output["use"] = {"with": decision.used.kind, "threshold": decision.used.threshold}
    return output | {
        "left_out": {reason: rows.count for reason, rows in sample.left_out.counted().items()},
        "remarks": {remark: rows.count for remark, rows in sample.remarks.counted().items()},
        "knows_training": known is not None,
    }


def _known_tweets(run: TrainedRun) -> tuple[KnownTweets | None, list[str]]:
    """The tweets of a run's corpus; a warning if that is not here."""
    try:
        return KnownTweets(open_corpus(run.results.corpus_dir(run.record.data_fingerprint))), []
    except DataError as error:
        return None, [f"  warning: cannot exclude training tweets: {error}"]


def _read_sample(
    models: Sequence[TextModel], source: TweetFile, known: KnownTweets | None, progress: Progress
) -> _Sample:
    """The tweets of a file that may be scored, each read once by each model; copies of a tweet all count."""
    left_out = RowCounter()
    remarks = RowCounter()
    labels: list[int] = []
    own_tests: list[bool] = []
    chunks: dict[PredictorKind, list[Predictions]] = {}
    labelled = labelled_rows(source, left_out, progress)
    while chunk := list(islice(labelled, _CHUNK)):
        rows = [row for row, _ in chunk]
        predictions = classify_by_all(models, [row.text for row in rows])
        usable = predictions["both"].usable
        kept = []
        for index, remark in enumerate(known.remarks(rows) if known else [None] * len(rows)):
            if remark in SCORED and not usable[index]:
                remark = NO_WORDS
            if remark in SCORED:
                kept.append(index)
                labels.append(chunk[index][1])
                own_tests.append(remark == OWN_TEST)
            if remark:
                (remarks if remark in SCORED else left_out).add(remark, rows[index].line)
        for kind, predicted in predictions.items():
            kept_predictions = Predictions(predicted.probabilities[kept], predicted.usable[kept])
            chunks.setdefault(kind, []).append(kept_predictions)
    if not labels:
        details = f"; left out were {left_out.most_common()}" if left_out.total() else ""
        raise DataError(f"{source.name}: has no row to score with a label of one of the classes{details}")
    joined = {kind: Predictions.joined(parts) for kind, parts in chunks.items()}
    return _Sample(np.array(labels), joined, np.array(own_tests), left_out, remarks)


def _predictors(sample: _Sample, class_shares: Sequence[float], threshold: float) -> list[Predictor]:
    """All predictors of a run on the tweets; the threshold is that of its models."""
    n = len(sample.labels)
    majority = Predictions(np.tile(class_shares, (n, 1)), np.ones(n, np.bool_))
    predictors = []
    for kind, predicted in {**sample.predictions, "majority": majority}.items():
        own_threshold = threshold if kind in MODEL_CHOICES else THRESHOLD
        probabilities = restricted(predicted.probabilities, sample.labels)
        predictors.append(Predictor(PREDICTORS[kind], kind, probabilities, own_threshold))
    return predictors


def _tweets_to_choose_by(sample: _Sample, predictors: Sequence[Predictor]) -> PartPredictions:
    """The tweets without those of the run's own test part."""
    rows = np.flatnonzero(~sample.own_tests)
    of_rows = [replace(predictor, probabilities=predictor.probabilities[rows]) for predictor in predictors]
    return PartPredictions(rows, sample.labels[rows], of_rows)


# --- what is printed and written ------------------------------------------------------------------------------------


def _row_lines(sample: _Sample) -> list[str]:
    """How many rows are not scored, or known to the run, and how many predictions are guesses."""
    lines = [f"  {rows.count:,} left out: {reason} ({rows})" for reason, rows in sample.left_out.counted().items()]
    lines += [f"  {rows.count:,} scored: {remark} ({rows})" for remark, rows in sample.remarks.counted().items()]
    for kind, predicted in sample.predictions.items():
        guesses = int((~predicted.usable).sum())
        if guesses:
            name = PREDICTORS[kind]
            lines.append(f"  {name}: {guesses:,} tweets contain no known word; their predictions are guesses")
    return lines


def _named_shares(classes: Labels, names: Sequence[str]) -> dict[str, float]:
    counts = np.bincount(classes, minlength=len(names))
    return dict(zip(names, (counts / len(classes)).tolist(), strict=True))


def _named_scores(predictor: Predictor, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
    scores = predictor.metrics(labels).named(names)
    scores["shares"] = _named_shares(predictor.predicted, names)
    scores["calibration_error"] = None  # of those that give no calibrated probabilities
    if predictor.kind in MODEL_CHOICES:
        scores["calibration_error"] = calibration_error(predictor.calibration(labels))
    return scores


def _share_table(labels: dict[str, float], models: dict[str, dict[str, Any]]) -> Table:
    """The share of each class by the labels, and as predicted by each predictor that reads texts."""
    table = Table("share", box=None, pad_edge=False, header_style="bold")
    for title in (*labels, "calibration error"):
        table.add_column(escape(visible(title)), justify="right")
    table.add_row("  labels", *map("{:.1%}".format, labels.values()))
    for name, scores in models.items():
        if name != PREDICTORS["majority"]:
            error = scores["calibration_error"]
            shown = "-" if error is None else f"{error:.1%}"
            table.add_row(f"  {name}", *map("{:.1%}".format, scores["shares"].values()), shown)
    return table


def _decision_lines(decision: Decision | None, path: str) -> list[str]:
    """How the best model compares with the others, and how to use the one that is to be used."""
    if decision is None:
        return [f"fewer than {FEWEST_TO_CHOOSE_BY} tweets choose no model: label 200, which often decide"]
    judgement = decision.judgement
    used = decision.used
    lines = ["", f"best here    {PREDICTORS[judgement.best]}"]
    for other in judgement.comparisons:
        proof = "no different from"
        if judgement.is_worse(other):
            proof = "shown to be better than"
        elif labels := judgement.tweets_to_show(other):
            proof = f"with about {float(f'{labels:.2g}'):,.0f} labels it would be shown to be better than"
        lines.append(f"             {proof} {PREDICTORS[other]}")
    if used.kind == judgement.recommended:
        lines.append(f"use here     {PREDICTORS[used.kind]}, the simplest that is not shown to be worse than the best")
    if decision.matching:
        remark = "" if used.threshold == decision.matching.threshold else "; the gain is not shown, so it is not used"
        lines.append(f"threshold    {decision.matching.threshold:g} predicts the shares of the labels{remark}")
    options = f"--with {used.kind}"
    if used.threshold != THRESHOLD:
        options += f" --threshold {used.threshold:g}"
    lines.append(f'use it       sentiment predict {path} {options} "{EXAMPLE}"')
    lines.append(f"hand it on   sentiment export {path} model.zip {options}")
    return lines
