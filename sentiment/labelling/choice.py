"""Which predictor is best for a user's tweets: by labels of tweets on which the predictors differ, or of random ones.

Does not import torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import Literal

import numpy as np
from rich.markup import escape

from sentiment.console import OUT, number_table, say
from sentiment.errors import UsageError
from sentiment.labelling.sheet import SKIPPED, Drawing
from sentiment.runs.recommendation import Choice
from sentiment.statistics import ALPHA, LEVEL, check_enough
from sentiment.statistics.families import Evidence, corrected
from sentiment.statistics.metrics import ClassIndices, Flags
from sentiment.statistics.power import MAX_LABELS, POWER
from sentiment.statistics.stratified import StratifiedSample
from sentiment.statistics.words import evidence as evidence_in_words
from sentiment.statistics.words import points


@dataclass(frozen=True)
class PredictedTweets:
    """All tweets of a table, and the classes that predictors give them.

    Attributes:
        texts: of the n tweets.
        predicted: by the name of each predictor: the index of the class of each tweet, (n,), negative for a tweet that
            it gives no class. Of equally good predictors the first one is the best, so simple ones should come first.
    """

    texts: Sequence[str]
    predicted: Mapping[str, ClassIndices]

    @cached_property
    def differ(self) -> Flags:
        """Which tweets not all predictors give the same class, (n,)."""
        first, *others = self.predicted.values()
        differ: Flags = np.any([first != other for other in others], axis=0)
        return differ

    @cached_property
    def drawing(self) -> Drawing:
        """The order of labelling: three of four tweets are such that the predictors differ on them."""
        return Drawing("choice", self.texts, np.where(self.differ, 0, 1).astype(np.int8))

    @property
    def summary(self) -> str:
        return differ_on([*self.predicted], int(self.differ.sum()), len(self.texts))


def differ_on(names: Sequence[str], differing: int, tweets: int) -> str:
    """On how many tweets predictors differ, as a clause."""
    share = f"{differing:,} of {tweets:,} tweets ({differing / tweets:.1%})"
    return f"{', '.join(names[:-1])} and {names[-1]} differ on {share}"


def choose(source: str, tweets: PredictedTweets, labels: ClassIndices, metric: str) -> Choice:
    """Compare predictors for tweets like those of a table by the labels of all of these, or of a drawing's first ones.

    The table counts as a random sample of the tweets that the chosen predictor is for, so that nothing is certain where
    all of it is labelled, and less is surer with fewer labels.

    Args:
        source: the name of the table's file.
        labels: (n,), the classes as `read_labels` gives them. The scores are those on tweets that are of a class.
        metric: `macro_recall`; otherwise accuracy is compared.

    Raises:
        UsageError: there are too few labels, for macro recall too few of a class.
    """
    labelled = labels >= 0
    sample = _sample(tweets, labels)
    right = {name: predicted[labelled] == labels[labelled] for name, predicted in tweets.predicted.items()}
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
    best = max(estimates, key=lambda name: estimates[name])  # the first of equal ones
    others = [name for name in right if name != best]
    pairs = comb(len(right), 2)
    evidence = {other: compare(right[best], right[other]) for other in others}
    differences = dict(zip(evidence, corrected([*evidence.values()], pairs), strict=True))
    level = 1 - ALPHA / pairs
    labels_to_show = {other: _labels_to_show(known, sample, level) for other, known in evidence.items()}
    return Choice(
        source=source,
        tweets=len(labels),
        differing=int(tweets.differ.sum()),
        labels=len(sample.labels),
        labels_where_different=int(tweets.differ[labelled].sum()),
        skipped=int((labels == SKIPPED).sum()),
        metric=compared,
        accuracy=dict(accuracy),
        macro_recall=macro_recall,
        best=best,
        differences=differences,
        labels_to_show=labels_to_show,
    )


def _sample(tweets: PredictedTweets, labels: ClassIndices) -> StratifiedSample:
    """The labelled tweets; the size of a stratum is estimated without its tweets of no class, by the skipped ones."""
    labelled = labels >= 0
    check_enough(int(labelled.sum()))
    strata = tweets.drawing.strata
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


def show_choice(choice: Choice) -> None:
    """Print how good the predictors are on the table, which one is best, and how sure that is."""
    labels = f"{choice.labels:,} labels, {choice.labels_where_different:,} of them where the predictors differ"
    if choice.skipped:
        labels += f"; {choice.skipped:,} tweets are of no class, and do not count"
    say(f"{differ_on([*choice.accuracy], choice.differing, choice.tweets)}\n{labels}")
    table = number_table(f"tweets like these {choice.tweets:,}", ["accuracy (95 %)", "macro\nrecall"], no_wrap=True)
    for name, score in choice.accuracy.items():
        recall = f"{choice.macro_recall[name]:.3f}" if choice.macro_recall else "-"
        interval = f"{score.value:.3f} {score.low:.3f}-{score.high:.3f}"
        table.add_row(f"  {escape(name)}", interval, recall, style="bold" if name == choice.best else "")
    OUT.print(table)
    say("\n".join(["", *verdict_lines(choice)]))


def verdict_lines(choice: Choice) -> list[str]:
    """Which predictor is best, by how much, and how sure that is."""
    metric = choice.metric.replace("_", " ")
    lines = [f"best here    {choice.best}, by {metric} (intervals and p-values are corrected for all pairs)"]
    for other, difference in choice.differences.items():
        gap = f"{points(difference.value)} points above {other}{evidence_in_words(difference)}"
        lines.append(f"             {gap}: {_verdict(choice, other)}")
    return lines


def _verdict(choice: Choice, other: str) -> str:
    if choice.differences[other].is_better:
        return "shown to be better"
    labels = choice.labels_to_show[other]
    if labels is None:
        return "not shown; equally good on these labels"
    if labels > MAX_LABELS:
        return f"not shown; it would take more than {MAX_LABELS:,} labels to show so small a difference"
    more = max(labels - choice.labels, 0)
    return f"not shown; some {float(f'{more:.2g}'):,.0f} more labels would be likely to show it"
