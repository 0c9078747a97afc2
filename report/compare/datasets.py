"""Runs on the same tweets, which alone can be compared, and what each answers to each tweet."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import chain
from pathlib import PurePath
from statistics import fmean
from typing import Any, TypeAlias, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from report import statistics
from report.compare.matching import Runs, seeds_together
from report.read import CompletedRun, Places, Scores, read_each, read_identities, read_scores
from report.statistics import Difference, Estimate, Flags, Pair, Side, Spread
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.runs.records import THRESHOLD, Added, ModelChoice, Part
from sentiment.runs.run_dir import Results

# Places of the tweets that two runs have in common in the scores of each, in one order.
Common = tuple[Places, Places]


@dataclass(frozen=True)
class Matcher:
    """Finds the tweets of one run among those of another; reads each corpus once, and none if both have the same."""

    results: Results
    _identities: dict[str, Any] = field(default_factory=dict)
    _found: dict[tuple[str, str], Common | None] = field(default_factory=dict)

    def common(self, first: "Answered | Scores", second: "Answered | Scores") -> Common | None:
        """The tweets of the same part in both; None where a corpus is not on this machine."""
        both = (_key(first), _key(second))
        if both not in self._found:
            self._found[both] = self._match(first, second)
        return self._found[both]

    def _match(self, first: "Answered | Scores", second: "Answered | Scores") -> Common | None:
        import pyarrow.compute as pc

        if first.corpus == second.corpus:
            if np.array_equal(first.rows, second.rows):
                return np.arange(len(first.rows)), np.arange(len(first.rows))
            _, of_first, of_second = np.intersect1d(first.rows, second.rows, return_indices=True)
            return of_first, of_second
        of_first, of_second = self._read(first), self._read(second)
        if of_first is None or of_second is None:
            return None
        found = pc.index_in(of_first, value_set=of_second)
        return np.flatnonzero(found.is_valid().to_numpy()), found.drop_null().to_numpy().astype(np.int64)

    def _read(self, one: "Answered | Scores") -> Any:
        if _key(one) not in self._identities:
            self._identities[_key(one)] = read_identities(one.corpus, one.rows, self.results)
        return self._identities[_key(one)]


def _key(one: "Answered | Scores") -> str:
    """What has the same places among test tweets has the same key."""
    return f"{one.corpus} {one.subset if isinstance(one, Answered) else ''}"


@dataclass(frozen=True)
class Answered:
    """Which test tweets each model of a run has right, packed: eight tweets a byte.

    Attributes:
        corpus: the fingerprint of the corpus that holds the tweets at these rows, of shape (n,).
        subset: whose tweets these are, where they are not all test tweets of the corpus.
        only_label: what the net says of every tweet; None if it tells tweets apart.
    """

    corpus: str
    rows: Places
    packed: dict[ModelChoice, npt.NDArray[np.uint8]]
    subset: str = ""
    only_label: int | None = None

    def right(self, model: ModelChoice = "network") -> Flags:
        return np.unpackbits(self.packed[model], count=len(self.rows)).astype(bool)


Answering: TypeAlias = "CompletedRun | Elsewhere"
A = TypeVar("A", bound=Answering)


@dataclass(frozen=True)
class Answers:
    """The answers of all runs whose predictions can be read, by run id."""

    by_run: dict[str, Answered]
    matcher: Matcher

    def readable(self, runs: Sequence[A]) -> list[A]:
        return [run for run in runs if run.run_id in self.by_run]

    def pair(
        self,
        first: Sequence[Sequence[Answering]],
        second: Sequence[Sequence[Answering]],
        spread: Spread | None,
        model: ModelChoice = "network",
        against: ModelChoice | None = None,
    ) -> Pair | None:
        """Two sides, each the runs of its configurations, on the tweets that all of them have.

        A run whose tweets can't be found among those of the first one (of another state of the file, whose corpus is
        not on this machine) is left out.

        Args:
            model: of both sides, unless the second is one to compare it `against`.

        Returns:
            None if a configuration has no readable run, or if there are not two tweets in common.
        """
        readable = [[self.readable(runs) for runs in side] for side in (first, second)]
        every = [run for side in readable for runs in side for run in runs]
        places = self._places(every) if every else {}
        sides = [[[run for run in runs if run.run_id in places] for runs in side] for side in readable]
        if not all(runs for side in sides for runs in side) or len(next(iter(places.values()))) < 2:
            return None
        one, other = (
            Side(
                [np.stack([self.by_run[run.run_id].right(of)[places[run.run_id]] for run in runs]) for runs in side],
                has_seeds=of != "baseline",
            )
            for side, of in zip(sides, (model, against or model), strict=True)
        )
        return one, other, spread

    def with_baseline(self, runs: Runs, spread: Spread | None, model: ModelChoice = "network") -> Pair | None:
        """The seeds of a configuration, and the linear baseline that was trained on the same tweets."""
        return self.pair([runs], [self.readable(runs)[:1]], spread, model, "baseline")

    def beside(self, added: Iterable["Elsewhere"]) -> "Answers":
        """The same, with those of predictors from elsewhere."""
        return replace(self, by_run=self.by_run | {one.run_id: one.tested for one in added})

    def only_label(self, runs: Runs) -> str | None:
        """The label that the nets of all these runs give to every tweet; None if one of them tells tweets apart."""
        said = {self.by_run[run.run_id].only_label for run in self.readable(runs)}
        return runs[0].config.data.label_names[label] if len(said) == 1 and (label := said.pop()) is not None else None

    def _places(self, runs: Sequence[Answering]) -> dict[str, Places]:
        """Where each run has the tweets that all have, in the order of the first run, by run id."""
        first = self.by_run[runs[0].run_id]
        found = {run.run_id: self.matcher.common(first, self.by_run[run.run_id]) for run in runs}
        common = {run_id: one for run_id, one in found.items() if one is not None and len(one[0])}
        shared: Places = reduce(np.intersect1d, [one[0] for one in common.values()])
        return {run_id: one[1][np.searchsorted(one[0], shared)] for run_id, one in common.items()}


def compared(pairs: Iterable[Pair | None], family: int | None = None) -> list[Difference | None]:
    """The claims of all pairs that are known, corrected together, at the places of their pairs."""
    # One pair at a time: each holds an answer to every tweet.
    found = [pair and statistics.difference(*pair) for pair in pairs]
    claims = iter(statistics.corrected([one for one in found if one], family))
    return [one and next(claims) for one in found]


def against_baseline(
    configurations: Sequence[Runs], answers: Answers, added: Sequence["Elsewhere"]
) -> list[Difference | None]:
    """Each configuration, then each predictor from elsewhere, less the linear baseline on the same tweets, corrected
    for all of them; the baseline of the first configuration is that of what comes from elsewhere."""
    spread = spread_between(configurations)
    pairs = chain(
        (answers.with_baseline(runs, spread) for runs in configurations),
        (answers.pair([[one]], [answers.readable(configurations[0])[:1]], None, "baseline") for one in added),
    )
    return compared(pairs)


def spread_between(configurations: Iterable[Runs], model: ModelChoice = "network") -> Spread | None:
    """How much the test accuracy differs between seeds of one configuration; None if none has several seeds.

    Nets that call every tweet alike never differ, which says nothing of others.
    """
    every = list(configurations)
    learned = [runs for runs in every if model == "baseline" or any(run.result.only_label is None for run in runs)]
    return statistics.spread_of([run.measured("test", model).accuracy for run in runs] for runs in learned or every)


# How tweets are cleaned, which are trained on and which further ones tested on changes nothing in the test part.
_NOT_OF_TESTING = ("text", "vocabulary", "extra_train", "train_rows", "tests")

# Data sets of Hutto & Gilbert (2014).
LEXICON_AUTHORS = ("vader", "sample")


@dataclass(frozen=True, eq=False)
class Configuration:
    """Runs that differ by their seed alone.

    Attributes:
        distinguishing: the settings by dotted name that tell it from the others that it stands beside.
        only_label: what all of its nets say of every test tweet; None if they tell tweets apart.
    """

    runs: Runs
    distinguishing: dict[str, Any]
    only_label: str | None = None

    @property
    def config(self) -> RunConfig:
        return self.runs[0].config

    @property
    def is_random(self) -> bool:
        return any(run.is_random for run in self.runs)

    def mean(self, part: Part, metric: str) -> float:
        return fmean(self.values(part, metric))

    def values(self, part: Part, metric: str) -> list[float]:
        return [getattr(run.measured(part), metric) for run in self.runs]

    @property
    def best_seed(self) -> CompletedRun:
        return max(self.runs, key=lambda run: run.measured("validation").f1)


@dataclass(frozen=True)
class Elsewhere:
    """A predictor that `sentiment add` has put beside runs, on the test tweets that it answers.

    Attributes:
        test, validation: what it says of the tweets that it answers, as a baseline does: nothing in it was trained here
            with another seed. Folds leave no validation tweets.
        of: how many test tweets there are.
        above_baseline: its test accuracy less that of the linear baseline; None where they can't be compared.
        gap: the test accuracy of what is recommended less its own, corrected with those of other configurations.
        is_chosen: whether it is no person, and better than what is recommended on validation tweets that both have.
    """

    name: str
    added: Added
    test: Scores
    validation: Scores | None
    of: int
    above_baseline: Difference | None = None
    gap: Difference | None = None
    is_chosen: bool = False

    @property
    def is_better(self) -> bool:
        return self.is_chosen and self.gap is not None and self.gap.is_shown and self.gap.value < 0

    @property
    def run_id(self) -> str:
        return f"{self.name} (added)"

    @property
    def tested(self) -> Answered:
        packed = np.packbits(self.test.right("baseline"))
        return Answered(self.test.corpus, self.test.rows, dict.fromkeys(get_args(ModelChoice), packed), self.name)

    @property
    def accuracy(self) -> Estimate:
        return statistics.wilson(int(self.test.right("baseline").sum()), len(self.test.rows))

    @property
    def kappa(self) -> float:
        """Its agreement with the labels beyond chance (Cohen 1960)."""
        return statistics.kappa(self.test.said["baseline"] >= THRESHOLD, self.test.labels)

    @property
    def validation_f1(self) -> float | None:
        if self.validation is None:
            return None
        said, labels = self.validation.said["baseline"] >= THRESHOLD, self.validation.labels
        of = int(said.sum() + labels.sum())
        return 2 * int((said & labels).sum()) / of if of else None


@dataclass(frozen=True)
class Dataset:
    """The completed runs on one set of tweets.

    Attributes:
        name: the source, with the limit on its rows and the folds in which all of it was tested.
        folds: in how many folds the runs were tested on all of it; None if on one test part.
        is_sentiment140: whether it is all of it.
        from_lexicon_authors: whether they collected the tweets.
        runs: each once, even if several grids have it.
        configurations: best mean validation F1 first; those of random numbers come last.
        against_baseline: of each configuration its test accuracy less the linear baseline's, corrected for all of them
            and for what was added; None if no predictions can be read.
        problems: predictions that cannot be read, by name.
    """

    name: str
    folds: int | None
    is_sentiment140: bool
    from_lexicon_authors: bool
    runs: Runs
    configurations: list[Configuration]
    against_baseline: list[Difference | None]
    answers: Answers
    problems: list[str]
    added: list[Elsewhere]

    @cached_property
    def competing(self) -> list[Configuration]:
        """Those that may be recommended: of real numbers, trained on as many labels as any, and that tell tweets apart,
        if any does."""
        real = [one for one in self.configurations if not one.is_random]
        usable = [one for one in real if one.only_label is None] or real
        labels = [one.config.data.train_rows or float("inf") for one in usable]
        most = max(labels, default=0)
        return [one for one, number in zip(usable, labels, strict=True) if number == most]

    @cached_property
    def best(self) -> Configuration | None:
        """The best mean validation F1 of those with several seeds, if there are any: a single seed is partly luck, most
        of all the best of many in a search."""
        several = [one for one in self.competing if len(one.runs) > 1]
        return next(iter(several or self.competing), None)


def datasets_of(runs: Iterable[CompletedRun], results: Results) -> list[Dataset]:
    """The sets of tweets that runs were completed on, the one with most runs first."""
    found = (_dataset(group, results) for group in group_by_tweets(runs))
    return sorted(found, key=lambda one: (-len(one.runs), one.name))


def group_by_tweets(runs: Iterable[CompletedRun]) -> list[list[CompletedRun]]:
    """Runs that were tested on the same tweets, each of them once."""
    groups: dict[str, dict[str, CompletedRun]] = defaultdict(dict)
    for run in runs:
        data = run.config.data.model_dump()
        groups[str({name: data[name] for name in data if name not in _NOT_OF_TESTING})].setdefault(run.run_id, run)
    return [list(group.values()) for group in groups.values()]


def configurations_of(runs: Sequence[CompletedRun]) -> list[Configuration]:
    """Runs by their configuration, best mean validation F1 first and those of random numbers last."""
    varying = {name for run in runs for name in run.parameters}
    varying = {name for name in varying if len({run.settings.get(name) for run in runs}) > 1}
    found = [Configuration(group, _distinguishing(group[0], varying)) for group in seeds_together(runs)]
    found.sort(key=lambda one: (one.runs[0].run_id.rpartition("-")[0], [str(of) for of in one.distinguishing.values()]))
    return sorted(found, key=lambda one: (one.is_random, -one.mean("validation", "f1")))


def _distinguishing(run: CompletedRun, varying: set[str]) -> dict[str, Any]:
    """Its parameters among these that describe this model: `none` does not, nor does attention that it does not pay."""
    pays = run.config.model.pooling == "attention"
    return {
        name: value
        for name, value in run.parameters.items()
        if name in varying and value != "none" and (pays or not name.startswith("model.attention."))
    }


def _dataset(runs: list[CompletedRun], results: Results) -> Dataset:
    data = runs[0].config.data
    shared: dict[str, npt.NDArray[np.int64]] = {}
    by_run, problems = read_each(runs, lambda run: _answered(run, shared))
    answers = Answers(by_run, Matcher(results))
    configurations = [replace(one, only_label=answers.only_label(one.runs)) for one in configurations_of(runs)]
    added, unread = _added(answers.readable(runs), results)
    gaps = against_baseline([one.runs for one in configurations], answers.beside(added), added)
    folds = len(runs[0].folds) or None
    return Dataset(
        name=PurePath(data.source).name + (f" in {folds} folds" if folds else ""),
        folds=folds,
        is_sentiment140=all(run.record.dataset == "sentiment140" for run in runs),
        from_lexicon_authors=data.source in LEXICON_AUTHORS,
        runs=runs,
        configurations=configurations,
        against_baseline=gaps[: len(configurations)],
        answers=answers,
        problems=[*problems, *unread],
        added=[replace(one, above_baseline=gap) for one, gap in zip(added, gaps[len(configurations) :], strict=True)],
    )


def _added(runs: Runs, results: Results) -> tuple[list[Elsewhere], list[str]]:
    """What was put beside runs, by name, and what of it cannot be read; of several corpora the first one counts."""
    found: dict[str, Elsewhere] = {}
    problems = []
    corpora = {fold.record.data_fingerprint: run for run in runs for fold in run.folds or (run,)}
    for corpus, run in corpora.items():
        predictors, unreadable = results.read_added(corpus)
        problems += unreadable
        try:
            for name, added in predictors.items():
                if name not in found and (one := _elsewhere(name, added, run)):
                    found[name] = one
        except RunDirError as error:
            problems.append(str(error))
    return [found[name] for name in sorted(found)], problems


def _elsewhere(name: str, added: Added, run: CompletedRun) -> Elsewhere | None:
    """None if it answers no test tweet."""
    validation, test = read_scores(run, "validation"), read_scores(run, "test")
    if test is None or not len((found := _said(added, test)).rows):
        return None
    return Elsewhere(name, added, found, validation and _said(added, validation), len(test.rows))


def _said(added: Added, scores: Scores) -> Scores:
    said = np.array([added.said.get(row) for row in scores.rows.tolist()], np.float64)
    of = ~np.isnan(said)
    return Scores(scores.corpus, scores.rows[of], scores.labels[of], {"baseline": said[of]})


def _answered(run: CompletedRun, shared: dict[str, npt.NDArray[np.int64]]) -> Answered | None:
    """What a run has right of its test tweets; runs on the same tweets have one array of places together, `shared`."""
    scores = read_scores(run, "test")
    if scores is None:
        return None
    rows = shared.setdefault(scores.corpus, scores.rows)
    rows = rows if np.array_equal(rows, scores.rows) else scores.rows
    packed = {model: np.packbits(scores.right(model)) for model in get_args(ModelChoice)}
    said, *others = {*(scores.said["network"] >= THRESHOLD).tolist()}
    return Answered(scores.corpus, rows, packed, only_label=None if others else int(said))
