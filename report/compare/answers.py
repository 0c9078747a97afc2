"""Which test tweets each predictor has right, joined by the tweets' ids; and the two sides of a comparison on them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple, Protocol, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from report.compare.matching import Runs
from report.read import CompletedRun, Scores, read_each, read_scores
from report.statistics import Flags, Pair, Side, Spread
from sentiment.runs.predictions import TweetIds
from sentiment.runs.records import THRESHOLD, ModelChoice

# A bit for each tweet of `TweetIndex`, eight tweets a byte.
Bits = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


# Odd, and at least the number of labels.
_LABELS = 127


class Identified(Protocol):
    """A run, or a predictor that was added."""

    @property
    def run_id(self) -> str: ...


P = TypeVar("P", bound=Identified)


@dataclass(frozen=True)
class TweetIndex:
    """All tweets that any run was tested on; each array has the shape (n,).

    A tweet with two labels, before and after an edit of the data, counts as two: who is right about one is not right
    about the other.

    Attributes:
        ids: of labelled tweets, ascending.
        tweets: the keys of the tweets in their corpora.
        labels: whether each tweet is positive.
    """

    ids: TweetIds
    tweets: TweetIds
    labels: Flags

    @classmethod
    def of(cls, parts: Iterable["Part"]) -> "TweetIndex":
        distinct = list(parts)
        tweets = np.concatenate([np.zeros(0, np.int64), *(part.tweets for part in distinct)])
        labels = np.concatenate([np.zeros(0, np.bool_), *(part.labels for part in distinct)])
        ids, first = np.unique(_labelled(tweets, labels), return_index=True)
        return cls(ids, tweets[first], labels[first])

    def positions(self, tweets: TweetIds, labels: Flags) -> Positions:
        """The positions of tweets, all of which are here."""
        return np.searchsorted(self.ids, _labelled(tweets, labels))

    def bits(self, positions: Positions, values: Flags | bool = True) -> Bits:
        """Bits with `values` at `positions`; the others are 0."""
        flags = np.zeros(len(self.ids), np.bool_)
        flags[positions] = values
        return np.packbits(flags)

    def flags(self, bits: Bits) -> Flags:
        return np.unpackbits(bits, count=len(self.ids)).astype(np.bool_)


def _labelled(tweets: TweetIds, labels: Flags) -> TweetIds:
    """Ids of labelled tweets. Products overflow, but different keys have different ones, since the factor is odd."""
    return tweets * _LABELS + labels


class Part(NamedTuple):
    """The tweets of a test part with their labels."""

    tweets: TweetIds
    labels: Flags


@dataclass(frozen=True)
class Correctness:
    """Which test tweets a predictor has right.

    Attributes:
        correct: of each model of a run; an added predictor has the same bits for each.
        known: whether it was tested on the tweet.
        only_label: the class that the network of a run predicts for every tweet; None if it predicts several.
    """

    correct: Mapping[ModelChoice, Bits]
    known: Bits
    only_label: int | None = None


@dataclass(frozen=True)
class Answers:
    """The correctness of all predictors whose predictions can be read, by run id."""

    tweets: TweetIndex
    by_run: dict[str, Correctness]

    def readable(self, runs: Sequence[P]) -> list[P]:
        return [run for run in runs if run.run_id in self.by_run]

    def only(self, runs: Sequence[Identified]) -> "Answers":
        """The answers of some runs."""
        return replace(self, by_run={run.run_id: self.by_run[run.run_id] for run in self.readable(runs)})

    def including(self, added: Mapping[str, Scores]) -> "Answers":
        """The answers with those of added predictors, whose predictions stand where those of a baseline do."""
        by_run = dict(self.by_run)
        for run_id, scores in added.items():
            positions = self.tweets.positions(scores.tweets, scores.labels)
            correct = self.tweets.bits(positions, scores.right("baseline"))
            models: dict[ModelChoice, Bits] = dict.fromkeys(get_args(ModelChoice), correct)
            by_run[run_id] = Correctness(models, self.tweets.bits(positions))
        return replace(self, by_run=by_run)

    def right(self, run_id: str, model: ModelChoice = "network") -> Flags:
        """Whether a predictor has each of `tweets` right; False where it was not tested on it."""
        return self.tweets.flags(self.by_run[run_id].correct[model])

    def known(self, run_id: str) -> Flags:
        return self.tweets.flags(self.by_run[run_id].known)

    def pair(
        self,
        first: Sequence[Sequence[Identified]],
        second: Sequence[Sequence[Identified]],
        spread: Spread | None,
        model: ModelChoice = "network",
        against: ModelChoice | None = None,
    ) -> Pair | None:
        """Build both sides of a comparison on the tweets that all of their runs were tested on.

        Runs without predictions are skipped, and those that share no tweet with the first run, as after an edit of the
        data.

        Args:
            first, second: the runs of each configuration of a side.
            model: the model of both sides.
            against: the model of the second side, if it is another one.

        Returns:
            None if a configuration has no run left, or if there are not two common tweets.
        """
        readable = self.readable([run for runs in (*first, *second) for run in runs])
        if not readable:
            return None
        of_first = self.by_run[readable[0].run_id].known
        run_ids = {run.run_id for run in readable if (self.by_run[run.run_id].known & of_first).any()}
        common = np.bitwise_and.reduce([self.by_run[run_id].known for run_id in run_ids])
        positions = np.flatnonzero(self.tweets.flags(common))
        sides = []
        for configurations, of_side in ((first, model), (second, against or model)):
            ids = [[run.run_id for run in runs if run.run_id in run_ids] for runs in configurations]
            if not all(ids) or len(positions) < 2:
                return None
            correct = [np.stack([self.right(run_id, of_side)[positions] for run_id in seeds]) for seeds in ids]
            sides.append(Side(correct, has_seeds=of_side != "baseline"))
        return sides[0], sides[1], spread

    def with_baseline(self, runs: Runs, spread: Spread | None, model: ModelChoice = "network") -> Pair | None:
        """Pair the seeds of a configuration with their linear baseline."""
        return self.pair([runs], [self.readable(runs)[:1]], spread, model, "baseline")

    def only_label(self, runs: Runs) -> str | None:
        """The class that the networks of all these runs predict for every tweet; None if they predict several."""
        labels = {self.by_run[run.run_id].only_label for run in self.readable(runs)}
        if len(labels) != 1:
            return None
        label = labels.pop()
        return None if label is None else runs[0].config.data.label_names[label]


class _Read(NamedTuple):
    """What was read of a run: `correct` has a bit for each tweet of its own test part."""

    part: str
    correct: dict[ModelChoice, Bits]
    only_label: int | None


def read_answers(runs: Iterable[CompletedRun]) -> tuple[Answers, list[str]]:
    """Read the test predictions of all runs; also return a line for each run whose predictions cannot be read."""
    parts: dict[str, Part] = {}
    read, problems = read_each(runs, lambda run: _read(run, parts))
    tweets = TweetIndex.of(parts.values())
    positions = {name: tweets.positions(*part) for name, part in parts.items()}
    known = {name: tweets.bits(of_part) for name, of_part in positions.items()}
    by_run = {}
    for run_id, of_run in read.items():
        at = positions[of_run.part]
        correct = {
            model: tweets.bits(at, np.unpackbits(bits, count=len(at)).astype(np.bool_))
            for model, bits in of_run.correct.items()
        }
        by_run[run_id] = Correctness(correct, known[of_run.part], of_run.only_label)
    return Answers(tweets, by_run), problems


def _read(run: CompletedRun, parts: dict[str, Part]) -> _Read | None:
    """Read a run; its tweets are put into `parts`, once for all runs on the same ones."""
    scores = read_scores(run, "test")
    if scores is None:
        return None
    name = sha256(scores.tweets.tobytes() + scores.labels.tobytes()).hexdigest()
    parts.setdefault(name, Part(scores.tweets, scores.labels))
    correct = {model: np.packbits(scores.right(model)) for model in get_args(ModelChoice)}
    predicted = np.unique(scores.said["network"] >= THRESHOLD)
    return _Read(name, correct, int(predicted[0]) if len(predicted) == 1 else None)
