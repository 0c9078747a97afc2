"""Which test tweets each predictor classifies correctly, joined by tweet ids; builds both sides of comparisons."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from report import statistics
from report.compare.added import AddedPredictor
from report.compare.matching import Runs
from report.designs import Design, NotComparableError, Side
from report.evaluated import EvaluatedRun, read_each, read_test, together
from report.statistics import Difference, Estimate, Metric
from sentiment.metrics import ClassIndices, Flags
from sentiment.runs.predictions import Kind, PartPredictions, TweetKeys
from sentiment.runs.records import MODEL_KINDS

# A bit for each tweet of `TweetIndex`, eight tweets a byte.
Bits = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]
# The predictors whose results depend on a random seed.
SEEDED: tuple[Kind, ...] = ("network", "both")

# Odd, and at least the number of labels.
_LABELS = 127


Tested = EvaluatedRun | AddedPredictor
P = TypeVar("P", EvaluatedRun, AddedPredictor, Tested)
K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class TweetIndex:
    """All tweets that any run was tested on; each array has the shape (n,).

    A tweet with two labels, before and after an edit of the data, counts as two: who is right about one is not right
    about the other.

    Attributes:
        ids: of labelled tweets, ascending.
        tweets: the keys of the tweets in their corpora.
        labels: the index of each tweet's class.
    """

    ids: TweetKeys
    tweets: TweetKeys
    labels: ClassIndices

    @classmethod
    def of(cls, parts: Sequence[PartPredictions]) -> "TweetIndex":
        tweets = np.concatenate([np.zeros(0, np.int64), *(part.tweets for part in parts)])
        labels = np.concatenate([np.zeros(0, np.int64), *(part.labels for part in parts)])
        ids, first = np.unique(_labelled(tweets, labels), return_index=True)
        return cls(ids, tweets[first], labels[first])

    def positions(self, part: PartPredictions) -> Positions:
        """The positions of the tweets of a part, all of which are here."""
        return np.searchsorted(self.ids, _labelled(part.tweets, part.labels))

    def bits(self, positions: Positions, values: Flags | bool = True) -> Bits:
        """Bits with `values` at `positions`; the others are 0."""
        flags = np.zeros(len(self.ids), np.bool_)
        flags[positions] = values
        return np.packbits(flags)

    def flags(self, bits: Bits) -> Flags:
        return np.unpackbits(bits, count=len(self.ids)).astype(np.bool_)


def _labelled(tweets: TweetKeys, labels: ClassIndices) -> TweetKeys:
    """Ids of labelled tweets. Products overflow, but different keys keep different products, since the factor is
    odd; that two ids collide because a label is added is improbable."""
    return tweets * _LABELS + labels


@dataclass(frozen=True)
class Correctness:
    """Which test tweets the models of a run, or an added predictor, classify correctly.

    Attributes:
        correct: by the kind of the predictor; that of a run's network comes first.
        known: whether there is a prediction for the tweet.
        only_label: the class that the network of a run predicts for every tweet; None if it predicts several.
        folds: of a cross-validated run: which tweets were tested in each fold.
    """

    correct: Mapping[Kind, Bits]
    known: Bits
    only_label: int | None = None
    folds: tuple[Bits, ...] = ()


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

    def of_runs(self, runs: Sequence[Tested]) -> "Answers":
        """The answers of some runs."""
        return replace(self, by_run={run.run_id: self.by_run[run.run_id] for run in self.readable(runs)})

    def including(self, added: Iterable[AddedPredictor]) -> "Answers":
        """The answers with those of added predictors."""
        by_run = dict(self.by_run)
        for predictor in added:
            positions = self.tweets.positions(predictor.test)
            correct = self.tweets.bits(positions, predictor.test.right("added"))
            known = self.tweets.bits(positions, predictor.predictor.answered)
            by_run[predictor.run_id] = Correctness({"added": correct}, known)
        return replace(self, by_run=by_run)

    def right(self, run_id: str, kind: Kind | None = None) -> Flags:
        """Whether a predictor has each of `tweets` right; False where it was not tested on it.

        Args:
            kind: None: the network of a run, or the added predictor.
        """
        correct = self.by_run[run_id].correct
        bits = next(iter(correct.values())) if kind is None else correct[kind]
        return self.tweets.flags(bits)

    def known(self, run_id: str) -> Flags:
        return self.tweets.flags(self.by_run[run_id].known)

    def difference(self, design: Design, first: "Group", second: "Group") -> Difference | None:
        """The uncorrected difference of two groups of predictors on the tweets that all of them have a prediction for.

        Returns:
            None if a configuration has no readable run, if there are not two common tweets, or if the groups do not fit
            the design.
        """
        return self._if_comparable(design.difference, first, second)

    def score(self, design: Design, group: "Group") -> Estimate | None:
        """The score of a group of predictors with its interval; None as in `difference`."""
        return self._if_comparable(design.score, group)

    def _if_comparable(self, method: Callable[..., T], *groups: "Group") -> T | None:
        """What a method of a design says of the sides; None without common tweets, or if they do not fit the design."""
        sides = self._sides(*groups)
        try:
            return method(*sides) if sides else None
        except NotComparableError:
            return None

    def _sides(self, *groups: "Group") -> list[Side]:
        """The sides of a comparison on their common tweets; none if they have not two."""
        readable = [[self.readable(runs) for runs in group.configurations] for group in groups]
        runs = [run for configurations in readable for seeds in configurations for run in seeds]
        if not runs or not all(seeds for configurations in readable for seeds in configurations):
            return []
        common = np.bitwise_and.reduce([self.by_run[run.run_id].known for run in runs])
        positions = np.flatnonzero(self.tweets.flags(common))
        if len(positions) < 2:
            return []
        classes = self.tweets.labels[positions] if self.metric == "macro_recall" else None
        sides = []
        for group, configurations in zip(groups, readable, strict=True):
            correct = [
                np.stack([self.right(run.run_id, group.kind)[positions] for run in seeds]) for seeds in configurations
            ]
            folds = self._folds([run for seeds in configurations for run in seeds], positions)
            sides.append(Side(correct, group.kind in SEEDED, classes, folds))
        return sides

    def _folds(self, runs: Sequence[Tested], positions: Positions) -> Positions | None:
        """The fold in which each tweet at `positions` was tested, by all these runs in the same; else None."""
        folds = [self._folds_of(run, positions) for run in runs]
        is_same = all(np.array_equal(folds[0], other) for other in folds)
        return folds[0] if is_same and folds[0].all() else None

    def _folds_of(self, run: Tested, positions: Positions) -> Positions:
        """The number of each tweet's fold, counted from 1; 0 of a run that is not cross-validated."""
        folds = np.zeros(len(positions), np.int64)
        for number, known in enumerate(self.by_run[run.run_id].folds, 1):
            folds[self.tweets.flags(known)[positions]] = number
        return folds

    def with_baseline(self, design: Design, runs: Sequence[EvaluatedRun], kind: Kind = "network") -> Difference | None:
        """A model of a configuration minus its linear baseline, which is the same for all seeds."""
        return self.difference(design, Group([runs], kind), Group([self.readable(runs)[:1]], "baseline"))

    def distinct(self, pairs: Sequence[tuple[Runs, Runs]], kind: Kind) -> list[tuple[Runs, Runs]]:
        """Of matched pairs of runs, those whose predictors without seeds do not answer as those of an earlier pair."""
        by_answers: dict[tuple[bytes, ...], tuple[Runs, Runs]] = {}
        for pair in pairs:
            answers = tuple(self.by_run[runs[0].run_id].correct[kind].tobytes() for runs in pair)
            by_answers.setdefault(answers, (pair[0][:1], pair[1][:1]))
        return list(by_answers.values())

    def only_label(self, runs: Runs) -> str | None:
        """The class that the networks of all these runs predict for every tweet; None if they predict several."""
        labels = {self.by_run[run.run_id].only_label for run in self.readable(runs)}
        if len(labels) != 1:
            return None
        label = labels.pop()
        return None if label is None else runs[0].config.data.label_names[label]


@dataclass(frozen=True)
class Group:
    """The predictors of one side of a comparison.

    Attributes:
        configurations: of each configuration, its runs, or an added predictor alone.
        kind: which predictor of each run.
    """

    configurations: Sequence[Sequence[Tested]]
    kind: Kind


def compared(differences: Mapping[K, Difference | None], hypotheses: int = 0) -> dict[K, Difference]:
    """Differences by key, corrected together, see `statistics.corrected`; without keys that have none."""
    known = {key: difference for key, difference in differences.items() if difference}
    return dict(zip(known, statistics.corrected([*known.values()], hypotheses), strict=True))


class _RunCorrectness(NamedTuple):
    """What a run's predictions say.

    Attributes:
        part: of its tested tweets.
        folds: the same of each fold; empty if it is not cross-validated.
        correct: a bit for each tweet of its own test part.
    """

    part: str
    folds: list[str]
    correct: dict[Kind, Bits]
    only_label: int | None


def read_answers(runs: Iterable[EvaluatedRun], problems: list[str]) -> Answers:
    """Read the test predictions of all runs; see `read_each` for `problems`."""
    parts: dict[str, PartPredictions] = {}
    read = read_each(runs, lambda run: _read(run, parts), problems)
    tweets = TweetIndex.of([*parts.values()])
    positions = {name: tweets.positions(part) for name, part in parts.items()}
    known = {name: tweets.bits(part_positions) for name, part_positions in positions.items()}
    by_run = {}
    for run_id, run in read.items():
        tested = positions[run.part]
        correct = {}
        for kind, bits in run.correct.items():
            flags = np.unpackbits(bits, count=len(tested)).astype(np.bool_)
            correct[kind] = tweets.bits(tested, flags)
        folds = tuple(known[fold] for fold in run.folds)
        by_run[run_id] = Correctness(correct, known[run.part], run.only_label, folds)
    return Answers(tweets, by_run)


def _read(run: EvaluatedRun, parts: dict[str, PartPredictions]) -> _RunCorrectness:
    """Read a run; its tweets, and those of its folds, are put into `parts`, once for all runs on the same ones."""
    of_folds = [read_test(fold) for fold in run.fold_runs]
    test = together(of_folds)
    folds = [_keep(fold, parts) for fold in of_folds] if run.is_cross_validated else []
    correct: dict[Kind, Bits] = {model: np.packbits(test.right(model)) for model in MODEL_KINDS}
    return _RunCorrectness(_keep(test, parts), folds, correct, test.of("network").only_class)


def _keep(test: PartPredictions, parts: dict[str, PartPredictions]) -> str:
    """Put the tweets of a part into `parts`; return their name there."""
    name = sha256(test.tweets.tobytes() + test.labels.tobytes()).hexdigest()
    parts.setdefault(name, replace(test, predictors=[]))
    return name
