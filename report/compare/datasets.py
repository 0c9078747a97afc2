"""Groups of runs with the same test tweets, which alone can be compared: their configurations and added predictors."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from statistics import fmean
from typing import Any

from report.compare.added import AddedPredictor, added_for
from report.compare.answers import SEEDED, Answers, Group, compared
from report.compare.matching import Runs, differing, seeds_together, unused, varying
from report.evaluated import CompletedRun, EvaluatedRun, Reader, only_label
from report.read import Grid, metric_of
from sentiment.config import RunConfig
from sentiment.runs.records import MODEL_KINDS, Part, PredictorKind, mean_score
from sentiment.statistics.designs import Design, Folds, Matched, Seeds, TwoModels
from sentiment.statistics.estimate import Difference, Estimate
from sentiment.statistics.metrics import METRIC_NAMES, Metric, estimate_of
from sentiment.statistics.seeds import SeedSpread, seed_spread

# Data settings that do not choose the test tweets from a table. Which table it is, and which labels its tweets have, is
# said by its digest, `EvaluatedRun.table`.
_WITHOUT_EFFECT_ON_TEST = (
    "source",
    "columns",
    "labels",
    "text",
    "vocabulary",
    "extra_train",
    "train_rows",
    "tests",
)

# Data sets of the authors of VADER's lexicon (Hutto & Gilbert 2014).
LEXICON_AUTHORS = ("vader", "sample")


def seed_spread_of(
    configurations: Iterable[Runs],
    model: PredictorKind = "network",
    metric: Metric = "accuracy",
    part: Part = "test",
) -> SeedSpread | None:
    """How a metric varies between the seeds of a configuration; None if none has several seeds.

    Networks that predict one class for every tweet do not vary between seeds, and are excluded unless all are such.
    """
    groups = list(configurations)
    learned = [runs for runs in groups if any(only_label([run]) is None for run in runs)]
    return seed_spread([run.score(part, metric, model) for run in runs] for runs in learned or groups)


def design_of(configurations: Iterable[Runs], model: PredictorKind, metric: Metric, part: Part = "test") -> Design:
    """How one configuration is compared with another, or with a predictor without seeds.

    Cross-validated runs are compared over folds. If any of the configurations has several seeds, models with seeds are
    compared over seeds; otherwise two trained models are compared.

    Args:
        configurations: those that tell the variance between seeds, all of one data set.
        model: the first of the two; a predictor without seeds has no variance between them.
    """
    groups = list(configurations)
    if groups and groups[0][0].is_cross_validated:
        return Folds()
    spread = seed_spread_of(groups, model, metric, part) if model in SEEDED else None
    return Seeds(spread) if spread else TwoModels()


def design_of_pairs(configurations: Iterable[Runs], model: PredictorKind, metric: Metric, pairs: int) -> Design:
    """How matched configurations are compared: over the pairs where no configuration has several seeds."""
    design = design_of(configurations, model, metric)
    return Matched() if isinstance(design, TwoModels) and pairs > 1 else design


# The settings that name an architecture.
ARCHITECTURE = (
    "model.kind",
    "model.cell",
    "model.bidirectional",
    "model.layers",
    "model.hidden_size",
    "elmo.model",
    "elmo.layers",
    "elmo.combine",
    "encoder.model",
    "encoder.use",
)


@dataclass(frozen=True, eq=False)
class Configuration:
    """Runs that differ only in their seeds.

    Attributes:
        distinguishing: the settings by dotted name in which configurations of the same architecture differ.
    """

    runs: Runs
    distinguishing: dict[str, Any]

    @property
    def config(self) -> RunConfig:
        return self.runs[0].config

    @property
    def only_label(self) -> str | None:
        return only_label(self.runs)

    def mean(self, part: Part, metric: str) -> float:
        return mean_score(self.values(part, metric))

    @property
    def completed(self) -> list[CompletedRun]:
        """The completed runs of all seeds and folds."""
        return [fold for run in self.runs for fold in run.fold_runs]

    @cached_property
    def single_runs(self) -> Runs:
        """The runs of all seeds, and each fold of a cross-validation by itself."""
        return [EvaluatedRun.of(run) for run in self.completed]

    def values(self, part: Part, metric: str, kind: PredictorKind = "network") -> list[float]:
        """The metric of one predictor of each run."""
        return [run.score(part, metric, kind) for run in self.runs]

    @property
    def best_seed(self) -> EvaluatedRun:
        """The run with the best validation macro F1."""
        return max(self.runs, key=lambda run: run.score("validation", "macro_f1"))


@dataclass(frozen=True)
class Dataset:
    """Completed runs on the same test tweets, with their comparisons.

    Attributes:
        name: see `group_by_tweets`.
        runs: each once, even if several grids have it.
        configurations: best mean validation macro F1 first.
    """

    name: str
    runs: Runs
    configurations: list[Configuration]
    answers: Answers
    added: list[AddedPredictor]

    @property
    def folds(self) -> int | None:
        """The number of folds of cross-validated runs; None for one test part."""
        return len(self.runs[0].fold_runs) if self.runs[0].is_cross_validated else None

    @property
    def source(self) -> str | None:
        """The built-in source of all runs, such as `tweeteval`; `table` for tables; None if they have several."""
        sources = {fold.record.dataset for run in self.runs for fold in run.fold_runs}
        return sources.pop() if len(sources) == 1 else None

    @property
    def test_tweets(self) -> int:
        """The number of test tweets; cleaning leaves nothing of some of them in some runs."""
        return sum(self.test_classes.values())

    @cached_property
    def test_classes(self) -> dict[str, int]:
        """The number of test tweets of each class."""
        most = max(self.runs, key=lambda run: run.test_metrics["network"].n)
        return dict(zip(most.config.data.label_names, most.test_metrics["network"].sizes, strict=True))

    @property
    def metric(self) -> Metric:
        """The metric by which its predictors are compared."""
        return self.answers.metric

    @property
    def is_version(self) -> bool:
        """Whether its table was edited between runs, so that its name tells the versions apart."""
        return f", version {self.runs[0].table[:8]}" in self.name

    @property
    def metric_name(self) -> str:
        return METRIC_NAMES[self.metric]

    @property
    def from_lexicon_authors(self) -> bool:
        """Whether the authors of VADER's lexicon collected the tweets."""
        return self.runs[0].config.data.source in LEXICON_AUTHORS

    @cached_property
    def eligible(self) -> list[Configuration]:
        """The configurations with the largest `data.train_rows`, or without that limit.

        Those that predict one class only are left out, unless all do.
        """
        learned = [configuration for configuration in self.configurations if configuration.only_label is None]
        usable = learned or self.configurations
        most = max(configuration.runs[0].train_rows_limit for configuration in usable)
        return [configuration for configuration in usable if configuration.runs[0].train_rows_limit == most]

    @cached_property
    def candidates(self) -> list[Configuration]:
        """The configurations of which one is recommended: the eligible ones with several seeds, if there are any.

        The score of a single seed may be luck, most of all that of the best of many in a search.
        """
        return [configuration for configuration in self.eligible if len(configuration.runs) > 1] or self.eligible

    @property
    def best(self) -> Configuration:
        """The candidate with the best mean validation macro F1."""
        return self.candidates[0]

    def design_for(self, configuration: Configuration, model: PredictorKind = "network") -> Design:
        """The design for a configuration; the variance between seeds is the candidates' if it is one of them."""
        pool = self.candidates if configuration in self.candidates else self.configurations
        return design_of((pooled.runs for pooled in pool), model, self.metric)

    def score(self, configuration: Configuration, kind: PredictorKind = "network") -> Estimate:
        """The test score of a predictor with its confidence interval.

        That of a model without predictions is the recorded one, or the mean; and so are those of the references.
        """
        runs = configuration.runs if kind in SEEDED else configuration.runs[:1]
        if kind in MODEL_KINDS:
            score = self.answers.score(self.design_for(configuration, kind), Group([runs], kind))
            if score:
                return score
        recorded = [estimate_of(run.test_metrics[kind], self.metric) for run in runs]
        mean = Estimate(
            fmean(estimate.value for estimate in recorded), None, None, min(estimate.n for estimate in recorded)
        )
        return mean if len(recorded) > 1 else recorded[0]

    @cached_property
    def against_baseline(self) -> dict[Configuration, Difference]:
        """The test score of each configuration with predictions minus that of its linear baseline.

        The candidates are one family, with the variance between their seeds; all others are a second one, so that they
        change nothing about the candidates.
        """
        others = [configuration for configuration in self.configurations if configuration not in self.candidates]
        differences: dict[Configuration, Difference] = {}
        for family in (self.candidates, others):
            if family:
                design = self.design_for(family[0])
                differences |= compared(
                    {configuration: self.answers.with_baseline(design, configuration.runs) for configuration in family}
                )
        return differences

    @property
    def is_conditional(self) -> bool:
        """Whether its comparisons with the baseline hold for trained models alone, since nothing is known of seeds."""
        return any(difference.is_conditional for difference in self.against_baseline.values())

    def added_against_baseline(self) -> list[AddedPredictor]:
        """The added predictors, each compared with the linear baseline of the best candidate; they are one family."""
        answers = self.answers.including(self.added)
        baseline = Group([answers.readable(self.best.runs)[:1]], "baseline")
        design = self.design_for(self.best, "baseline")
        uncorrected = {
            added.name: answers.difference(design, Group([[added]], "added"), baseline) for added in self.added
        }
        differences = compared(uncorrected)
        return [replace(added, above_baseline=differences.get(added.name)) for added in self.added]


def datasets_of(runs: Iterable[EvaluatedRun], answers: Answers, reader: Reader) -> list[Dataset]:
    """Group runs by their test tweets, the largest group first."""
    datasets = [_dataset(name, group, answers, reader) for name, group in group_by_tweets(runs)]
    return sorted(datasets, key=lambda dataset: (-len(dataset.runs), dataset.name))


def group_by_tweets(runs: Iterable[EvaluatedRun]) -> list[tuple[str, Runs]]:
    """Runs of the same tables that were split in the same way, each of them once, with a name.

    The name is that of the source, with the number of folds; where groups share it, with the digest of a table that was
    edited between runs, and with the settings of the split that differ.
    """
    groups: dict[str, dict[str, EvaluatedRun]] = defaultdict(dict)
    for run in runs:
        groups[str(_table_and_split(run))].setdefault(run.run_id, run)
    alike: dict[str, list[Runs]] = defaultdict(list)
    for group in groups.values():
        of_dataset = list(group.values())
        alike[_source_and_folds(of_dataset[0])].append(of_dataset)
    named = []
    for name, datasets in alike.items():
        facts = [_table_and_split(of_dataset[0]) for of_dataset in datasets]
        told = differing(facts)
        for of_dataset, values in zip(datasets, facts, strict=True):
            known = {fact: values[fact] for fact in told if values.get(fact) is not None}
            parts = [f"{fact.removeprefix('data.').replace('_', ' ')} {value}" for fact, value in known.items()]
            named.append((", ".join([name, *parts]), of_dataset))
    return named


def by_data(grid: Grid) -> list[tuple[str, Grid]]:
    """A grid by the data sets of its completed runs; with the name of each, in brackets, where there are several."""
    groups = group_by_tweets(grid.completed)
    if len(groups) < 2:
        return [("", grid)]
    return [(f" ({name})", replace(grid, completed=runs)) for name, runs in groups]


def _table_and_split(run: EvaluatedRun) -> dict[str, Any]:
    """The version of a run's table, and the settings that choose its validation and test tweets from it."""
    data = {name: value for name, value in run.settings.items() if name.startswith("data.")}
    split = {name: value for name, value in data.items() if name.split(".")[1] not in _WITHOUT_EFFECT_ON_TEST}
    return {"version": run.table[:8], **split}


def _source_and_folds(run: EvaluatedRun) -> str:
    source = PurePath(run.config.data.source).name
    return f"{source} in {len(run.fold_runs)} folds" if run.is_cross_validated else source


def configurations_of(runs: Sequence[EvaluatedRun]) -> list[Configuration]:
    """Runs by their configuration, best mean validation macro F1 first."""
    siblings: dict[tuple[Any, ...], list[Runs]] = defaultdict(list)
    for group in seeds_together(runs):
        siblings[tuple(group[0].settings.get(name) for name in ARCHITECTURE)].append(group)
    configurations = []
    for groups in siblings.values():
        names = [name for name in varying(group[0] for group in groups) if name not in ARCHITECTURE]
        settings = [_distinguishing(group[0], names) for group in groups]
        for group, distinguishing in zip(groups, settings, strict=True):
            # Further tables were edited between runs with these settings, and training tweets with them.
            is_edited = settings.count(distinguishing) > 1
            version = {"data": f"version {group[0].corpora[0][:8]}"} if is_edited else {}
            configurations.append(Configuration(group, distinguishing | version))
    configurations.sort(key=_name_and_settings)
    return sorted(configurations, key=lambda configuration: -configuration.mean("validation", "macro_f1"))


def _name_and_settings(configuration: Configuration) -> tuple[str, list[str]]:
    name = configuration.runs[0].run_id.rpartition("-")[0]
    return name, [str(value) for value in configuration.distinguishing.values()]


def _distinguishing(run: EvaluatedRun, names: Sequence[str]) -> dict[str, Any]:
    """Those of the settings `names` that have an effect in a run."""
    prefixes = unused(run)
    return {name: run.settings.get(name) for name in names if not name.startswith(prefixes)}


def _dataset(name: str, runs: Runs, answers: Answers, reader: Reader) -> Dataset:
    run_answers = answers.of_runs(runs).with_metric(metric_of(runs))
    added = added_for(run_answers.readable(runs), reader)
    dataset = Dataset(name, runs, configurations_of(runs), run_answers, added)
    return replace(dataset, added=dataset.added_against_baseline())
