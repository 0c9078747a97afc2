"""Which test tweets each predictor classifies correctly, joined by tweet ids; builds both sides of comparisons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from report import statistics
from report.compare.added import AddedPredictor
from report.compare.matching import Runs
from report.read import CompletedRun, read_each, read_test
from report.statistics import Difference, Metric, Pair, SeedVariance, Side
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


Tested = CompletedRun | AddedPredictor
P = TypeVar("P", CompletedRun, AddedPredictor, Tested)
K = TypeVar("K")


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
    """

    correct: Mapping[Kind, Bits]
    known: Bits
    only_label: int | None = None


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

    def pair(
        self,
        first: Sequence[Sequence[Tested]],
        second: Sequence[Sequence[Tested]],
        seed_variance: SeedVariance | None,
        kind: Kind = "network",
        against: Kind | None = None,
    ) -> Pair | None:
        """Build both sides of a comparison on the tweets that all of their runs were tested on.

        Runs without predictions are skipped, and those that share no tweet with the first run, as after an edit of the
        data.

        Args:
            first, second: the runs of each configuration of a side.
            kind: the predictor of both sides.
            against: the predictor of the second side, if it is another one.

        Returns:
            None if a configuration has no run left, or if there are not two common tweets.
        """
        readable = self.readable([run for runs in (*first, *second) for run in runs])
        if not readable:
            return None
        first_known = self.by_run[readable[0].run_id].known
        run_ids = {run.run_id for run in readable if (self.by_run[run.run_id].known & first_known).any()}
        common = np.bitwise_and.reduce([self.by_run[run_id].known for run_id in run_ids])
        positions = np.flatnonzero(self.tweets.flags(common))
        classes = self.tweets.labels[positions] if self.metric == "macro_recall" else None
        sides = []
        for configurations, side_kind in ((first, kind), (second, against or kind)):
            ids = [[run.run_id for run in runs if run.run_id in run_ids] for runs in configurations]
            if not all(ids) or len(positions) < 2:
                return None
            correct = [np.stack([self.right(run_id, side_kind)[positions] for run_id in seeds]) for seeds in ids]
            sides.append(Side(correct, side_kind in SEEDED, classes))
        return sides[0], sides[1], seed_variance

    def with_baseline(self, runs: Runs, seed_variance: SeedVariance | None, kind: Kind = "network") -> Pair | None:
        """Pair the seeds of a configuration with their linear baseline."""
        return self.pair([runs], [self.readable(runs)[:1]], seed_variance, kind, "baseline")

    def only_label(self, runs: Runs) -> str | None:
        """The class that the networks of all these runs predict for every tweet; None if they predict several."""
        labels = {self.by_run[run.run_id].only_label for run in self.readable(runs)}
        if len(labels) != 1:
            return None
        label = labels.pop()
        return None if label is None else runs[0].config.data.label_names[label]


def compared(pairs: Iterable[tuple[K, Pair | None]], hypotheses: int = 0) -> dict[K, Difference]:
    """The differences of pairs by key, corrected together, see `statistics.corrected`; without keys that have no pair.

    Pairs are taken one at a time: each holds an answer to every tweet.
    """
    differences = {key: statistics.difference(*pair) for key, pair in pairs if pair}
    return dict(zip(differences, statistics.corrected([*differences.values()], hypotheses), strict=True))


class _RunCorrectness(NamedTuple):
    """What a run's predictions say: `correct` has a bit for each tweet of its own test part."""

    part: str
    correct: dict[Kind, Bits]
    only_label: int | None


def read_answers(runs: Iterable[CompletedRun], problems: list[str]) -> Answers:
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
        by_run[run_id] = Correctness(correct, known[run.part], run.only_label)
    return Answers(tweets, by_run)


def _read(run: CompletedRun, parts: dict[str, PartPredictions]) -> _RunCorrectness:
    """Read a run; its tweets are put into `parts`, once for all runs on the same ones."""
    test = read_test(run)
    name = sha256(test.tweets.tobytes() + test.labels.tobytes()).hexdigest()
    parts.setdefault(name, replace(test, predictors=[]))
    correct: dict[Kind, Bits] = {model: np.packbits(test.right(model)) for model in MODEL_KINDS}
    return _RunCorrectness(name, correct, test.of("network").only_class)
