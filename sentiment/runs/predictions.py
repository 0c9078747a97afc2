"""Predictors and their predictions for the tweets of a completed run or a gold table, and how two of them compare.

A predictor gives probabilities for tweets: a run's network, its baseline, the mean of both, the lexicon, or an added
one. This is the only reader of a run's `predictions.parquet`. Does not import torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from sentiment.errors import RunDirError
from sentiment.runs.records import DEFAULT_THRESHOLD, PREDICTORS, Added, Gold, Metrics, Part, PredictorKind, Result
from sentiment.runs.run_dir import GoldDir, RunDir, check_file, check_sha256, read_added, read_record
from sentiment.statistics.estimate import Estimate
from sentiment.statistics.families import corrected
from sentiment.statistics.metrics import (
    NO_CLASS,
    CalibrationBin,
    ClassIndices,
    Flags,
    Probabilities,
    calibration_bins,
    measure,
    predicted_classes,
    with_first_class,
)
from sentiment.statistics.paired import PairedCounts, PairedEvidence, total_counts
from sentiment.statistics.words import comparison_sentence

# The kind of a predictor: one that every run measures, or one that was added.
Kind = PredictorKind | Literal["added"]

TweetKeys = npt.NDArray[np.int64]
# An added predictor with fewer answers is not drawn, and neither recommended nor called the best.
ENOUGH_ANSWERS = 30


@dataclass(frozen=True)
class Predictor:
    """A predictor and its predictions for some tweets, in the order of the tweets.

    Attributes:
        name: as it is shown, such as `linear baseline`.
        probabilities: of the classes, (n, classes), 0 and 1 where it predicts only a class; all 0 where its answer is
            none of the classes, and NaN where it has no answer.
        threshold: decision threshold of the second of two classes.
    """

    name: str
    kind: Kind
    probabilities: Probabilities
    threshold: float = DEFAULT_THRESHOLD

    @property
    def answered(self) -> Flags:
        """Which tweets it has an answer to, (n,), also one that is none of the classes."""
        return ~np.isnan(self.probabilities[:, 0])

    @property
    def missing(self) -> int:
        """The number of tweets without any answer of it."""
        return len(self.probabilities) - int(self.answered.sum())

    @property
    def other_answers(self) -> int:
        """The number of tweets that it answered with none of the classes."""
        return int((self.answered & (self.predicted == NO_CLASS)).sum())

    @property
    def has_enough_answers(self) -> bool:
        """Whether it has answered so many of the tweets that a chart or a ranking may show it."""
        return int(self.answered.sum()) >= ENOUGH_ANSWERS

    @property
    def predicted(self) -> ClassIndices:
        """The index of the class that it predicts for each tweet, (n,); NO_CLASS where it predicts none."""
        return predicted_classes(self.probabilities, self.threshold)

    @property
    def only_class(self) -> int | None:
        """The index of the class that it predicts for all tweets; None if it predicts several, or none."""
        classes = np.setdiff1d(self.predicted, NO_CLASS)
        return int(classes[0]) if len(classes) == 1 else None

    def right(self, labels: ClassIndices) -> Flags:
        """Which tweets it has right, (n,), for the true classes, (n,)."""
        return np.equal(self.predicted, labels)

    def metrics(self, labels: ClassIndices) -> Metrics:
        """Its metrics on the tweets that it has answered; an answer that is none of the classes is wrong."""
        answered = self.answered
        return measure(labels[answered], self.probabilities[answered], self.threshold)

    def calibration(self, labels: ClassIndices) -> list[CalibrationBin]:
        """The bins of `calibration_bins` for its most probable classes, whatever the threshold.

        It has a prediction for each tweet.
        """
        most_probable = predicted_classes(self.probabilities)
        return calibration_bins(most_probable == labels, self.probabilities.max(axis=1))


def paired_counts(first: Predictor, second: Predictor, labels: ClassIndices) -> list[PairedCounts]:
    """The counts of two predictors on the tweets that both have answered, by class.

    Args:
        labels: the index of each tweet's class, (n,); a class without such tweets has no counts.
    """
    both = first.answered & second.answered
    first_right = first.right(labels)
    second_right = second.right(labels)
    counts = []
    for label in np.unique(labels[both]):
        rows = both & (labels == label)
        only_first = int((rows & first_right & ~second_right).sum())
        only_second = int((rows & second_right & ~first_right).sum())
        counts.append(PairedCounts(only_first, only_second, int(rows.sum())))
    return counts


@dataclass(frozen=True)
class Comparison:
    """The first predictor less the second one, on the tweets that both have answered.

    Attributes:
        classes: the counts of each class of which there are such tweets.
    """

    first: Predictor
    second: Predictor
    classes: list[PairedCounts]
    accuracy: Estimate
    macro_recall: Estimate

    @property
    def counts(self) -> PairedCounts:
        """The counts of all these tweets."""
        return total_counts(self.classes)

    @property
    def sentence(self) -> str:
        return comparison_sentence(self.first.name, self.second.name, self.counts, self.accuracy)


def compare_predictors(pairs: Sequence[tuple[Predictor, Predictor]], labels: ClassIndices) -> list[Comparison]:
    """Compare pairs of predictors, corrected for their number; pairs without a common tweet are left out."""
    common = [pair for pair in pairs if (pair[0].answered & pair[1].answered).any()]
    by_class = [paired_counts(first, second, labels) for first, second in common]
    accuracies = corrected([PairedEvidence((total_counts(classes),)) for classes in by_class])
    recalls = corrected([PairedEvidence(tuple(classes)) for classes in by_class])
    comparisons = []
    for (first, second), classes, accuracy, recall in zip(common, by_class, accuracies, recalls, strict=True):
        comparisons.append(Comparison(first, second, classes, accuracy, recall))
    return comparisons


@dataclass(frozen=True)
class PartPredictions:
    """The tweets of one part, and the predictors of a run on them.

    Attributes:
        tweets: their keys in the corpus, (n,): the same for a tweet in every corpus, and each once in a part.
        labels: the index of each tweet's class, (n,).
        predictors: in table order.
    """

    tweets: TweetKeys
    labels: ClassIndices
    predictors: list[Predictor]

    def of(self, kind: Kind) -> Predictor:
        """The first predictor of a kind."""
        return next(predictor for predictor in self.predictors if predictor.kind == kind)

    def right(self, kind: Kind) -> Flags:
        """Which tweets the predictor of this kind has right, (n,)."""
        return self.of(kind).right(self.labels)

    def of_rows(self, indices: npt.NDArray[np.int64]) -> "PartPredictions":
        """The predictions for some of the tweets, by predictors of which none was added.

        Args:
            indices: of the tweets to keep, from 0, (m,), in the order in which they are wanted.
        """
        predictors = []
        for predictor in self.predictors:
            predictors.append(replace(predictor, probabilities=predictor.probabilities[indices]))
        return PartPredictions(self.tweets[indices], self.labels[indices], predictors)

    def has_tweets_of(self, other: "PartPredictions") -> bool:
        """Whether the other predictions are for the same tweets with the same labels, in the same order."""
        return np.array_equal(self.tweets, other.tweets) and np.array_equal(self.labels, other.labels)


def columns_of(kind: PredictorKind, classes: Sequence[str]) -> list[str]:
    """The columns of predictions.parquet with a predictor's probabilities of all classes but the first."""
    return [f"{kind}_{name}" for name in classes[1:]]


def read_predictions(run_dir: RunDir, result: Result, part: Part, classes: Sequence[str]) -> PartPredictions:
    """The predictions of a completed run for a part that it has.

    Args:
        classes: the names of the data's classes.

    Raises:
        RunDirError: the file is missing, damaged or changed.
    """
    check_file(run_dir.predictions_file, result)
    return _read_part(run_dir.predictions_file, part, [*result.scores], classes)


def _read_part(path: Path, part: Part, kinds: Sequence[PredictorKind], classes: Sequence[str]) -> PartPredictions:
    """The rows of a part in predictions.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read(use_threads=False)  # most files are small
    except (OSError, pa.ArrowException) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    rows = table["part"].to_numpy() == part
    predictors = []
    for kind in kinds:
        others = np.stack([table[column].to_numpy()[rows] for column in columns_of(kind, classes)], axis=1)
        predictors.append(Predictor(PREDICTORS[kind], kind, with_first_class(others)))
    labels = table["label"].to_numpy()[rows].astype(np.int64)
    return PartPredictions(table["tweet"].to_numpy()[rows], labels, predictors)


def added_predictor(name: str, added: Added, tweets: TweetKeys, classes: int) -> Predictor | None:
    """An added predictor on some tweets, with a name to show; None if it gives none of them a class."""
    probabilities = np.full((len(tweets), classes), np.nan)
    for row, tweet in enumerate(tweets.tolist()):
        if tweet in added.predictions:
            probabilities[row] = added.predictions[tweet] or 0.0
    predictor = Predictor(name, "added", probabilities)
    return predictor if (predictor.predicted != NO_CLASS).any() else None


# The only part of a gold table: no model is trained on it, so none of its tweets is held out.
GOLD: Part = "gold"


@dataclass(frozen=True)
class GoldTable:
    """A gold table with all its predictors.

    Attributes:
        predictions: of the added predictors, the most accurate one first, but those with fewer than ENOUGH_ANSWERS
            after all others; then of the references.
        added: their records by name.
        texts: of the tweets, (n,); ids where the table has no texts.
        problems: a line for each added predictor that cannot be read.
    """

    directory: GoldDir
    record: Gold
    predictions: PartPredictions
    added: dict[str, Added]
    texts: list[str]
    problems: list[str]

    @property
    def added_predictors(self) -> list[Predictor]:
        return [predictor for predictor in self.predictions.predictors if predictor.kind == "added"]

    def compare(self) -> list[Comparison]:
        """Compare the added predictors with each other and with the lexicon, corrected for the number of pairs."""
        compared = [predictor for predictor in self.predictions.predictors if predictor.kind != "majority"]
        return compare_predictors([*combinations(compared, 2)], self.predictions.labels)


def read_gold(path: Path) -> GoldTable:
    """The gold table in a directory.

    Raises:
        RunDirError: a file of the table is missing, damaged or of another table.
    """
    import pyarrow.parquet as pq

    directory = GoldDir(path)
    record = read_record(directory.record_file, Gold)
    if record is None:
        raise RunDirError(f"{directory.record_file}: is missing; `sentiment add` writes it")
    file = directory.predictions_file
    check_sha256(file, record.predictions_sha256, "add a predictor again, which rewrites it")
    predictions = _read_part(file, GOLD, record.kinds, record.classes)
    labels = predictions.labels
    added, problems = read_added(directory.added)
    classes = len(record.classes)
    answering = [added_predictor(name, of_file, predictions.tweets, classes) for name, of_file in added.items()]
    predictors = sorted(filter(None, answering), key=lambda predictor: -predictor.metrics(labels).accuracy)
    predictors.sort(key=lambda predictor: not predictor.has_enough_answers)
    texts = pq.read_table(file, columns=["text"])["text"].to_pylist()
    with_added = replace(predictions, predictors=[*predictors, *predictions.predictors])
    return GoldTable(directory, record, with_added, added, texts, problems)
