"""What runs and baselines answer to each test tweet, side by side as `statistics.compare` takes them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from report import statistics
from report.read.load import CompletedRun
from report.read.predictions import Located, Scores, read_identities
from report.statistics import Difference, Flags, Pair, Side, Spread
from sentiment.runs.records import Metrics, Part, Recommendation
from sentiment.runs.run_dir import Results

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CommonTweets:
    """The tweets that two runs have in common."""

    first: Places
    """Their places in the first run's scores, of shape (n,)."""
    second: Places
    """Their places in the second run's scores, in the same order."""

    @property
    def n(self) -> int:
        """How many tweets they have in common."""
        return len(self.first)


@dataclass(frozen=True)
class Matcher:
    """Finds the tweets of one run among those of another; reads each corpus once, and none if both have the same."""

    results: Results
    _identities: dict[str, Any] = field(default_factory=dict)
    _found: dict[tuple[str, str], CommonTweets | None] = field(default_factory=dict)

    def common(self, first: Located, second: Located) -> CommonTweets | None:
        """The tweets of the same part in both; None where a corpus is not on this machine."""
        both = (first.corpus, second.corpus)
        if both not in self._found:
            self._found[both] = self._match(first, second)
        return self._found[both]

    def _match(self, first: Located, second: Located) -> CommonTweets | None:
        import pyarrow.compute as pc

        if first.corpus == second.corpus:
            everywhere = np.arange(len(first.rows))
            return CommonTweets(everywhere, everywhere)
        of_first, of_second = self._read(first), self._read(second)
        if of_first is None or of_second is None:
            return None
        found = pc.index_in(of_first, value_set=of_second)
        places = np.flatnonzero(found.is_valid().to_numpy())
        return CommonTweets(
            places,
            found.drop_null().to_numpy().astype(np.int64),
        )

    def _read(self, scores: Located) -> Any:
        if scores.corpus not in self._identities:
            self._identities[scores.corpus] = read_identities(scores, self.results)
        return self._identities[scores.corpus]


Runs = Sequence[CompletedRun]
"""The seeds of one configuration."""
_Places = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Answered:
    """Which test tweets a run has right, in an eighth of the memory."""

    corpus: str
    """The fingerprint of the corpus that holds the tweets."""
    rows: npt.NDArray[np.int64]
    """The places of the tweets in the corpus, of shape (n,)."""
    packed: dict[Recommendation, npt.NDArray[np.uint8]]
    """Of the network, of the linear baseline and of the mean of both, eight tweets a byte."""

    def right(self, model: Recommendation = "network") -> Flags:
        """Which tweets one of the three has right, of shape (n,)."""
        return np.unpackbits(self.packed[model], count=len(self.rows)).astype(bool)


def answered(scores: Scores) -> Answered:
    """Which tweets a run has right by its scores."""
    packed = {name: np.packbits(scores.right(one)) for name, one in scores.said.items()}
    return Answered(scores.corpus, scores.rows, packed)


@dataclass(frozen=True)
class Answers:
    """The answers of all runs whose predictions can be read, by run id."""

    by_run: dict[str, Answered]
    matcher: Matcher

    def readable(self, runs: Runs) -> list[CompletedRun]:
        """Those whose answers are known."""
        return [run for run in runs if run.run_id in self.by_run]

    def pair(
        self, first: Sequence[Runs], second: Sequence[Runs], spread: Spread | None, model: Recommendation = "network"
    ) -> Pair | None:
        """Two sides, each the runs of its configurations, on the tweets that all of them have.

        A run whose tweets can't be found among those of the first one (of another state of the file, whose corpus is
        not on this machine) is left out.

        Returns:
            None if a configuration has no readable run, or if there are not two tweets in common.
        """
        sides = [[self.readable(runs) for runs in side] for side in (first, second)]
        if not all(runs for side in sides for runs in side):
            return None
        places = self._places([run for side in sides for runs in side for run in runs])
        sides = [[[run for run in runs if run.run_id in places] for runs in side] for side in sides]
        if not all(runs for side in sides for runs in side) or len(next(iter(places.values()))) < 2:
            return None
        one, other = (
            Side([self._seeds(runs, model, places) for runs in side], is_trained=model != "baseline") for side in sides
        )
        return one, other, spread

    def with_baseline(self, runs: Runs, spread: Spread | None, model: Recommendation = "network") -> Pair | None:
        """The seeds of a configuration, and the linear baseline that was trained on the same tweets."""
        readable = self.readable(runs)
        places = self._places(readable) if readable else {}
        seeds = [run for run in readable if run.run_id in places]
        if not seeds or len(places[seeds[0].run_id]) < 2:
            return None
        side = Side([self._seeds(seeds, model, places)], is_trained=model != "baseline")
        return side, Side([self._seeds(seeds[:1], "baseline", places)], is_trained=False), spread

    def _seeds(self, runs: Runs, model: Recommendation, places: _Places) -> Flags:
        """Of shape (seeds, tweets)."""
        return np.stack([self.by_run[run.run_id].right(model)[places[run.run_id]] for run in runs])

    def _places(self, runs: Runs) -> _Places:
        """Where each run has the tweets that all have, in the order of the first run, by run id."""
        first = self.by_run[runs[0].run_id]
        found = {run.run_id: self.matcher.common(first, self.by_run[run.run_id]) for run in runs}
        common = {run_id: one for run_id, one in found.items() if one is not None and one.n}
        shared: npt.NDArray[np.int64] = reduce(np.intersect1d, [one.first for one in common.values()])
        return {run_id: one.second[np.searchsorted(one.first, shared)] for run_id, one in common.items()}


def compared(pairs: Iterable[Pair | None], family: int | None = None) -> list[Difference | None]:
    """The claims of all pairs that are known, corrected together, at the places of their pairs."""
    places: list[bool] = []

    def known() -> Iterator[Pair]:
        for pair in pairs:
            places.append(pair is not None)
            if pair is not None:
                yield pair

    claims = iter(statistics.compare(known(), family))
    return [next(claims) if is_known else None for is_known in places]


def against_baseline(configurations: Sequence[Runs], answers: Answers) -> list[Difference | None]:
    """Each configuration less the linear baseline on the same tweets, corrected for all of them."""
    spread = spread_between(configurations)
    return compared(answers.with_baseline(runs, spread) for runs in configurations)


def spread_between(configurations: Iterable[Runs], model: Recommendation = "network") -> Spread | None:
    """How much the test accuracy differs between seeds of one configuration; None if none has several seeds."""
    return statistics.spread_of([accuracy_of(run, model) for run in runs] for runs in configurations)


def accuracy_of(run: CompletedRun, model: Recommendation = "network") -> float:
    """The test accuracy of a run's network, of its baseline, or of the mean of both."""
    return metrics_of(run, model)["test"].accuracy


def metrics_of(run: CompletedRun, model: Recommendation) -> dict[Part, Metrics]:
    """The scores of a run's network, of its baseline, or of the mean of both, by part."""
    result = run.result
    return {"network": result.metrics, "baseline": result.baseline, "both": result.combination}[model]
