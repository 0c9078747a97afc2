"""Groups of runs with the same test tweets, which alone can be compared: their configurations and added predictors."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from statistics import fmean
from typing import Any

import numpy as np

from report import statistics
from report.compare.answers import Answers
from report.compare.matching import Runs, seeds_together, unused, varying
from report.read import CompletedRun, Scores, read_scores
from report.statistics import Difference, Estimate, Pair, Spread
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.runs.records import THRESHOLD, Added, ModelChoice, Part
from sentiment.runs.run_dir import Results

# Data settings that do not affect the test part.
_NOT_OF_TESTING = ("text", "vocabulary", "extra_train", "train_rows", "tests")

# Data sets of the authors of VADER's lexicon (Hutto & Gilbert 2014).
LEXICON_AUTHORS = ("vader", "sample")


def compared(pairs: Iterable[Pair | None], family: int | None = None) -> list[Difference | None]:
    """The differences of all pairs, corrected together; None where a pair is None.

    Pairs are taken one at a time: each holds an answer to every tweet.
    """
    uncorrected = [pair and statistics.difference(*pair) for pair in pairs]
    claims = iter(statistics.corrected([difference for difference in uncorrected if difference], family))
    return [difference and next(claims) for difference in uncorrected]


def spread_between(configurations: Iterable[Runs], model: ModelChoice = "network") -> Spread | None:
    """The pooled variance of test accuracy between seeds of a configuration; None if none has several seeds.

    Networks that predict one class for every tweet do not vary between seeds, and are excluded unless all are such.
    """
    every = list(configurations)
    learned = [runs for runs in every if model == "baseline" or any(run.result.only_label is None for run in runs)]
    return statistics.spread_of([run.measured("test", model).accuracy for run in runs] for runs in learned or every)


# The settings that name an architecture.
ARCHITECTURE = (
    *(f"model.{name}" for name in ("kind", "cell", "bidirectional", "layers", "hidden_size")),
    *(f"elmo.{name}" for name in ("model", "layers", "combine")),
    *("encoder.model", "encoder.use"),
)


@dataclass(frozen=True, eq=False)
class Configuration:
    """Runs that differ only in their seeds.

    Attributes:
        distinguishing: the settings by dotted name in which configurations of the same architecture differ.
        only_label: the class that all its networks predict for every test tweet; None if they predict several.
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
        """The run with the best validation F1."""
        return max(self.runs, key=lambda run: run.measured("validation").f1)


@dataclass(frozen=True)
class Elsewhere:
    """A predictor that was added with `sentiment add`, on the test tweets that it has predictions of.

    Attributes:
        test, validation: its predictions, in the place of a baseline's: they have no seeds. Cross-validated runs have
            no validation tweets.
        of: the number of test tweets.
        neutral: how many test tweets it answered with none of the classes.
        above_baseline: its test accuracy minus that of the linear baseline; None where they cannot be compared.
        gap: the test accuracy of the recommended predictor minus its own.
        is_chosen: whether it is no person, and more accurate than the recommended predictor on validation tweets.
    """

    name: str
    added: Added
    test: Scores
    validation: Scores | None
    of: int
    neutral: int = 0
    above_baseline: Difference | None = None
    gap: Difference | None = None
    is_chosen: bool = False

    @property
    def is_better(self) -> bool:
        return self.is_chosen and self.gap is not None and self.gap.is_shown and self.gap.value < 0

    @property
    def run_id(self) -> str:
        return f"{self.name} (external)"

    @property
    def accuracy(self) -> Estimate:
        return statistics.wilson(int(self.test.right("baseline").sum()), len(self.test.tweets))

    @property
    def accuracy_with_neutral(self) -> float:
        """The accuracy if answers that are none of the classes count as wrong."""
        right = int(self.test.right("baseline").sum())
        return right / (len(self.test.tweets) + self.neutral)

    @property
    def kappa(self) -> float:
        """Cohen's kappa with the labels (Cohen 1960)."""
        return statistics.kappa(self.test.said["baseline"] >= THRESHOLD, self.test.labels)

    @property
    def validation_f1(self) -> float | None:
        """2 * true positives / (predicted positives + positives)."""
        if self.validation is None:
            return None
        predicted = self.validation.said["baseline"] >= THRESHOLD
        positives = int(predicted.sum() + self.validation.labels.sum())
        return 2 * int((predicted & self.validation.labels).sum()) / positives if positives else None


@dataclass(frozen=True)
class Dataset:
    """Completed runs on the same test tweets, with their comparisons.

    Attributes:
        name: the source, and the number of folds.
        folds: the number of folds of cross-validated runs; None for one test part.
        is_sentiment140: whether the source is Sentiment140.
        from_lexicon_authors: whether the authors of VADER's lexicon collected the tweets.
        runs: each once, even if several grids have it.
        configurations: best mean validation F1 first; those with random ELMo weights last.
        against_baseline: the test accuracy of each configuration minus the linear baseline's; None without predictions.
        problems: unreadable files, a line each.
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
        return eligible(self.configurations)

    @cached_property
    def candidates(self) -> list[Configuration]:
        return candidates_of(self.configurations)

    @cached_property
    def best(self) -> Configuration | None:
        """The candidate with the best mean validation F1."""
        return next(iter(self.candidates), None)

    def spread_for(self, configuration: Configuration, model: ModelChoice = "network") -> Spread | None:
        """The pooled variance between seeds for a configuration: that of the candidates, if it is one of them."""
        beside = self.candidates if configuration in self.candidates else self.configurations
        return spread_between((each.runs for each in beside), model)


def eligible(configurations: Sequence[Configuration]) -> list[Configuration]:
    """Those without random ELMo weights, trained on the most labelled tweets, that predict several classes, if any
    does."""
    real = [each for each in configurations if not each.is_random]
    usable = [each for each in real if each.only_label is None] or real
    numbers = [each.config.data.train_rows or float("inf") for each in usable]
    most = max(numbers, default=0)
    return [each for each, number in zip(usable, numbers, strict=True) if number == most]


def candidates_of(configurations: Sequence[Configuration]) -> list[Configuration]:
    """The configurations that one is recommended of: the eligible ones with several seeds, if there are any.

    The score of a single seed may be luck, most of all that of the best of many in a search.
    """
    several_or_one = eligible(configurations)
    return [each for each in several_or_one if len(each.runs) > 1] or several_or_one


def datasets_of(runs: Iterable[CompletedRun], answers: Answers, results: Results) -> list[Dataset]:
    """Group runs by their test tweets, the largest group first."""
    datasets = [_dataset(group, answers, results) for group in group_by_tweets(runs)]
    return sorted(datasets, key=lambda dataset: (-len(dataset.runs), dataset.name))


def group_by_tweets(runs: Iterable[CompletedRun]) -> list[list[CompletedRun]]:
    """Runs that were tested on the same tweets, each of them once."""
    groups: dict[str, dict[str, CompletedRun]] = defaultdict(dict)
    for run in runs:
        data = run.config.data.model_dump()
        groups[str({name: data[name] for name in data if name not in _NOT_OF_TESTING})].setdefault(run.run_id, run)
    return [list(group.values()) for group in groups.values()]


def configurations_of(runs: Sequence[CompletedRun]) -> list[Configuration]:
    """Runs by their configuration, best mean validation F1 first and those with random ELMo weights last."""
    siblings: dict[tuple[Any, ...], list[Runs]] = defaultdict(list)
    for group in seeds_together(runs):
        siblings[tuple(group[0].settings.get(name) for name in ARCHITECTURE)].append(group)
    configurations = []
    for groups in siblings.values():
        names = [name for name in varying(group[0] for group in groups) if name not in ARCHITECTURE]
        configurations += [Configuration(group, _distinguishing(group[0], names)) for group in groups]
    configurations.sort(key=_name_and_settings)
    return sorted(configurations, key=lambda each: (each.is_random, -each.mean("validation", "f1")))


def _name_and_settings(configuration: Configuration) -> tuple[str, list[str]]:
    name = configuration.runs[0].run_id.rpartition("-")[0]
    return name, [str(value) for value in configuration.distinguishing.values()]


def _distinguishing(run: CompletedRun, names: Sequence[str]) -> dict[str, Any]:
    """Those of the settings `names` that have an effect in a run."""
    prefixes = unused(run)
    return {name: run.settings.get(name) for name in names if not name.startswith(prefixes)}


def _dataset(runs: list[CompletedRun], answers: Answers, results: Results) -> Dataset:
    data = runs[0].config.data
    of_runs = answers.only(runs)
    configurations = [replace(each, only_label=of_runs.only_label(each.runs)) for each in configurations_of(runs)]
    added, problems = _read_added(of_runs.readable(runs), results)
    folds = len(runs[0].folds) or None
    return Dataset(
        name=PurePath(data.source).name + (f" in {folds} folds" if folds else ""),
        folds=folds,
        is_sentiment140=all(run.record.dataset == "sentiment140" for run in runs),
        from_lexicon_authors=data.source in LEXICON_AUTHORS,
        runs=runs,
        configurations=configurations,
        against_baseline=against_baseline(configurations, of_runs),
        answers=of_runs,
        problems=problems,
        added=_added_against_baseline(added, configurations, of_runs),
    )


def against_baseline(configurations: Sequence[Configuration], answers: Answers) -> list[Difference | None]:
    """The test accuracy of each configuration minus that of its linear baseline on the same tweets.

    The candidates are one family, with the variance between their seeds; all others are a second one, so that they
    change nothing about the candidates.
    """
    candidates = candidates_of(configurations)
    others = [each for each in configurations if each not in candidates]
    gains: dict[Configuration, Difference | None] = {}
    for family, beside in ((candidates, candidates), (others, configurations)):
        spread = spread_between(each.runs for each in beside)
        differences = compared(answers.with_baseline(each.runs, spread) for each in family)
        gains |= dict(zip(family, differences, strict=True))
    return [gains[each] for each in configurations]


def _added_against_baseline(
    added: Sequence[Elsewhere], configurations: Sequence[Configuration], answers: Answers
) -> list[Elsewhere]:
    """The added predictors, each compared with the linear baseline of the best candidate; they are one family."""
    including = answers.including({each.run_id: each.test for each in added})
    best = (candidates_of(configurations) or configurations)[0]
    baseline = answers.readable(best.runs)[:1]
    gains = compared(including.pair([[each]], [baseline], None, "baseline") for each in added)
    return [replace(each, above_baseline=gain) for each, gain in zip(added, gains, strict=True)]


def _read_added(runs: Runs, results: Results) -> tuple[list[Elsewhere], list[str]]:
    """The added predictors of the runs' corpora by name, and problems; of one name the first corpus counts."""
    by_name: dict[str, Elsewhere] = {}
    problems = []
    for corpus, run in _corpora_of(runs):
        predictors, unreadable = results.read_added(corpus)
        problems += unreadable
        try:
            for name, added in predictors.items():
                predictor = None if name in by_name else _added_predictor(name, added, run)
                if predictor is not None:
                    by_name[name] = predictor
        except RunDirError as error:
            problems.append(str(error))
    return [by_name[name] for name in sorted(by_name)], problems


def _corpora_of(runs: Runs) -> Iterator[tuple[str, CompletedRun]]:
    """Each corpus once, with a run on it."""
    known = set()
    for run in runs:
        for corpus in run.corpora:
            if corpus not in known:
                known.add(corpus)
                yield corpus, run


def _added_predictor(name: str, added: Added, run: CompletedRun) -> Elsewhere | None:
    """None if it has no prediction of a test tweet."""
    validation = read_scores(run, "validation")
    test = read_scores(run, "test")
    if test is None:
        return None
    predicted = _restricted(added, test)
    if not len(predicted.tweets):
        return None
    neutral = sum(added.predictions.get(tweet, 0.0) is None for tweet in test.tweets.tolist())
    return Elsewhere(name, added, predicted, validation and _restricted(added, validation), len(test.tweets), neutral)


def _restricted(added: Added, scores: Scores) -> Scores:
    """The tweets that an added predictor has predictions of, with these."""
    probabilities = np.array([added.predictions.get(tweet) for tweet in scores.tweets.tolist()], np.float64)
    has_prediction = ~np.isnan(probabilities)
    tweets = scores.tweets[has_prediction]
    return Scores(tweets, scores.labels[has_prediction], {"baseline": probabilities[has_prediction]})
