"""Which test tweets each predictor classifies correctly, joined by tweet ids; builds both sides of comparisons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from report.compare.added import AddedPredictor
from report.evaluated import EvaluatedRun, Reader
from sentiment.answers.table import AnswerTable, Kind, TweetKeys
from sentiment.runs.records import SEEDED, Part
from sentiment.statistics.designs import Design, NotComparableError, Side
from sentiment.statistics.estimate import Estimate
from sentiment.statistics.families import Evidence
from sentiment.statistics.metrics import ClassIndices, Flags, Metric

Positions = npt.NDArray[np.int64]


Tested = EvaluatedRun | AddedPredictor
P = TypeVar("P", bound=Tested)
OTHER_TWEETS = "the two sides were not tested on the same tweets"


@dataclass(frozen=True)
class TweetIndex:
    """All tweets that any run was tested on; each array has the shape (n,).

    A tweet with two labels, before and after an edit of the data, counts as two: who is right about one is not right
    about the other.

    Attributes:
        ids: of labelled tweets, ascending.
        labels: the index of each tweet's class.
    """

    ids: TweetKeys
    labels: ClassIndices

    @classmethod
    def of(cls, parts: Sequence[AnswerTable]) -> "TweetIndex":
        tweets = np.concatenate([np.zeros(0, np.int64), *(part.tweets for part in parts)])
        labels = np.concatenate([np.zeros(0, np.int64), *(part.labels for part in parts)])
        ids, first = np.unique(_labelled(tweets, labels), return_index=True)
        return cls(ids, labels[first])

    def positions(self, part: AnswerTable) -> Positions:
        """The positions of the tweets of a part, all of which are here."""
        return np.searchsorted(self.ids, _labelled(part.tweets, part.labels))

    def holds(self, part: AnswerTable, flags: Flags) -> Flags:
        """Which of all tweets are among those of a part that are flagged."""
        return np.isin(self.ids, _labelled(part.tweets[flags], part.labels[flags]))


# What the key of a tweet is multiplied by to make room for its label: odd, and at least the number of labels.
_LABELS = 127


def _labelled(tweets: TweetKeys, labels: ClassIndices) -> TweetKeys:
    """Ids of labelled tweets. Products overflow, but different keys keep different products, since the factor is
    odd; that two ids collide because a label is added is improbable."""
    return tweets * _LABELS + labels


@dataclass(frozen=True)
class Correctness:
    """Which test tweets the models of a run, or an added predictor, classify correctly; arrays over all tweets, (n,).

    Attributes:
        right: by the kind of the predictor; that of a run's network comes first.
        tested: the number of the fold in which a tweet was tested, 1 without cross-validation; 0 where there is no
            prediction.
    """

    right: Mapping[Kind, Flags]
    tested: npt.NDArray[np.int16]

    @property
    def known(self) -> Flags:
        """Whether there is a prediction for each tweet."""
        return self.tested > 0


@dataclass(frozen=True)
class Answers:
    """The correctness of all predictors whose predictions can be read, by run id.

    Attributes:
        metric: the one by which they are compared.
    """

    tweets: TweetIndex
    by_run: dict[str, Correctness]
    metric: Metric = "accuracy"

    def with_metric(self, metric: Metric) -> "Answers":
        """The same answers, compared by another metric."""
        return replace(self, metric=metric)

    def readable(self, runs: Sequence[P]) -> list[P]:
        return [run for run in runs if run.run_id in self.by_run]

    def including(self, added: Iterable[AddedPredictor], part: Part = "test") -> "Answers":
        """The answers with those of added predictors on the same part."""
        by_run = dict(self.by_run)
        for predictor in added:
            answered = predictor.test if part == "test" else predictor.validation
            if answered:
                right = self.tweets.holds(answered, answered.right("added"))
                known = self.tweets.holds(answered, answered.of("added").answered)
                by_run[predictor.run_id] = Correctness({"added": right}, known.astype(np.int16))
        return replace(self, by_run=by_run)

    def difference(self, design: Design, first: "Group", second: "Group") -> Evidence:
        """What is known of the difference of two groups of predictors, on the tweets that all have a prediction for.

        Raises:
            NotComparableError: a configuration has no readable run, there are not two common tweets, or the groups do
                not fit the design.
        """
        return design.difference(*self._sides(first, second))

    def score(self, design: Design, group: "Group") -> Estimate | None:
        """The score of a group of predictors with its interval; None where `difference` raises an error."""
        try:
            return design.score(*self._sides(group))
        except NotComparableError:
            return None

    def _sides(self, *groups: "Group") -> list[Side]:
        """The sides of a comparison on their common tweets. Raises NotComparableError."""
        known = [
            [[self.by_run[run.run_id] for run in self.readable(runs)] for runs in group.configurations]
            for group in groups
        ]
        flat = [[of_run for seeds in configurations for of_run in seeds] for configurations in known]
        if not all(configurations and all(configurations) for configurations in known):
            raise NotComparableError(OTHER_TWEETS)
        positions = np.flatnonzero(np.logical_and.reduce([of_run.known for of_side in flat for of_run in of_side]))
        if len(positions) < 2:
            raise NotComparableError(OTHER_TWEETS)
        classes = self.tweets.labels[positions] if self.metric == "macro_recall" else None
        sides = []
        for group, configurations, of_side in zip(groups, known, flat, strict=True):
            right = [np.stack([of_run.right[group.kind][positions] for of_run in seeds]) for seeds in configurations]
            folds = [of_run.tested[positions] for of_run in of_side]
            is_same = folds[0].max() > 1 and all(np.array_equal(folds[0], other) for other in folds)
            sides.append(Side(right, group.kind in SEEDED, classes, folds[0] if is_same else None))
        return sides


@dataclass(frozen=True)
class Group:
    """The predictors of one side of a comparison.

    Attributes:
        configurations: of each configuration, its runs, or an added predictor alone.
        kind: which predictor of each run.
    """

    configurations: Sequence[Sequence[Tested]]
    kind: Kind


# Of each fold of a run: the name of its tweets, and which of them each predictor has right.
_Folds = list[tuple[str, dict[Kind, Flags]]]


def read_answers(runs: Iterable[EvaluatedRun], reader: Reader, part: Part = "test") -> Answers:
    """Read the predictions of all runs that have this part."""
    parts: dict[str, AnswerTable] = {}
    read = reader.read_each((run for run in runs if part in run.parts), lambda run: _read(run, part, parts))
    tweets = TweetIndex.of([*parts.values()])
    positions = {name: tweets.positions(part) for name, part in parts.items()}
    by_run = {}
    for run_id, folds in read.items():
        _, first = folds[0]
        right: dict[Kind, Flags] = {kind: np.zeros(len(tweets.ids), np.bool_) for kind in first}
        tested = np.zeros(len(tweets.ids), np.int16)
        for number, (name, correct) in enumerate(folds, 1):
            tested[positions[name]] = number
            for kind, flags in correct.items():
                right[kind][positions[name]] = flags
        by_run[run_id] = Correctness(right, tested)
    return Answers(tweets, by_run)


def _read(run: EvaluatedRun, part: Part, parts: dict[str, AnswerTable]) -> _Folds:
    """Read a run; the tweets of its folds are put into `parts`, once for all runs on the same ones."""
    folds = []
    for fold in run.trained:
        read = fold.predictions(part)
        name = sha256(read.tweets.tobytes() + read.labels.tobytes()).hexdigest()
        parts.setdefault(name, replace(read, predictors=[]))
        correct: dict[Kind, Flags] = {kind: read.right(kind) for kind in run.test_metrics}
        folds.append((name, correct))
    return folds
