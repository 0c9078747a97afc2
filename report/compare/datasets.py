"""Groups of runs with the same test tweets, which alone can be compared: their configurations and added predictors."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import PurePath
from typing import Any

from report.compare.added import AddedPredictor, added_for
from report.compare.answers import Answers
from report.compare.matching import Runs, differing, seeds_together, unused, varying
from report.evaluated import CompletedRun, EvaluatedRun, Reader, Settings, only_label
from report.read import Grid
from sentiment.config import RunConfig
from sentiment.runs.records import SEEDED, Part, PredictorKind, mean_score
from sentiment.runs.run_dir import SINGLE
from sentiment.statistics.designs import Design, Folds, Seeds, TwoModels
from sentiment.statistics.metrics import METRIC_NAMES, Metric, metric_of_most
from sentiment.statistics.seeds import seed_spread

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


def design_of(configurations: Iterable[Runs], model: PredictorKind, metric: Metric, part: Part = "test") -> Design:
    """How one configuration is compared with another, or with a predictor without seeds.

    Cross-validated runs are compared over folds. If any of the configurations has several seeds, models with seeds are
    compared over seeds; otherwise two trained models are compared. Networks that predict one class for every tweet
    do not vary between seeds, and are excluded from their variance unless all are such.

    Args:
        configurations: those that tell the variance between seeds, all of one data set.
        model: the first of the two; a predictor without seeds has no variance between them.
    """
    groups = list(configurations)
    if groups and groups[0][0].is_cross_validated:
        return Folds()
    if model not in SEEDED:
        return TwoModels()
    learned = [runs for runs in groups if any(only_label([run]) is None for run in runs)]
    scores = [[run.score(part, metric, model) for run in runs] for runs in learned or groups]
    spread = seed_spread(scores)
    return Seeds(spread) if spread else TwoModels()


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

    @property
    def completed(self) -> list[CompletedRun]:
        """The completed runs of all seeds and folds."""
        return [fold for run in self.runs for fold in run.trained]


@dataclass(frozen=True)
class Dataset:
    """Completed runs on the same test tweets, with their comparisons.

    Attributes:
        name: see `group_by_tweets`.
        runs: each once, even if several grids have it.
        configurations: see `configurations_of`.
        annotators: people who were added, with whom no predictor is compared.
    """

    name: str
    runs: Runs
    configurations: list[Configuration]
    answers: Answers
    added: list[AddedPredictor]
    annotators: Sequence[AddedPredictor] = ()

    @property
    def folds(self) -> int | None:
        """The number of folds of cross-validated runs; None for one test part."""
        return len(self.runs[0].trained) if self.runs[0].is_cross_validated else None

    @property
    def approximation(self) -> str:
        """What makes intervals and tests approximate; empty if nothing does."""
        if not self.folds:
            return ""
        pooled = f"Cross-validation: the predictions of a configuration\u2019s {self.folds} folds are pooled"
        return f"{pooled}; because training sets overlap, intervals and tests are approximate."

    @property
    def source(self) -> str | None:
        """The built-in source of all runs, such as `tweeteval`; `table` for tables; None if they have several."""
        sources = {fold.record.dataset for run in self.runs for fold in run.trained}
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
    def has_several_metrics(self) -> bool:
        """Whether some of its runs have another metric of their own."""
        return len({run.metric for run in self.runs}) > 1

    @property
    def metric_name(self) -> str:
        return METRIC_NAMES[self.metric]

    @property
    def from_lexicon_authors(self) -> bool:
        """Whether the authors of VADER's lexicon collected the tweets."""
        return self.runs[0].config.data.source in LEXICON_AUTHORS


def trained_on_most(configurations: Sequence[Configuration]) -> list[Configuration]:
    """The configurations of whose training tweets `data.train_rows` left none out, or that had as many as any."""
    most = max(configuration.runs[0].trained_on for configuration in configurations)
    return [each for each in configurations if not each.runs[0].is_cut or each.runs[0].trained_on == most]


def competing(configurations: Sequence[Configuration]) -> list[Configuration]:
    """The configurations of whose networks one is recommended, or is the best of a grid; in the given order.

    Networks that predict one class only are left out, unless all do; then those trained on fewer tweets. If some of the
    others have several seeds, those with one are left out: the score of a single seed may be luck, most of all that of
    the best of many in a search.
    """
    learned = [configuration for configuration in configurations if configuration.only_label is None]
    eligible = trained_on_most(learned or configurations)
    return [configuration for configuration in eligible if len(configuration.runs) > 1] or eligible


def datasets_of(runs: Iterable[EvaluatedRun], answers: Answers, reader: Reader) -> list[Dataset]:
    """Group runs by their test tweets, the group with the most tweets first."""
    copies = [*runs]  # several grids, whose metrics differ, may have the same run
    datasets = []
    for name, group in group_by_tweets(copies):
        run_ids = {run.run_id for run in group}
        metric = _metric_of([run for run in copies if run.run_id in run_ids])
        datasets.append(_dataset(name, group, metric, answers, reader))
    return sorted(datasets, key=lambda dataset: (-dataset.test_tweets, dataset.name))


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
        differences = differing(facts)
        for of_dataset, values in zip(datasets, facts, strict=True):
            known = {fact: values[fact] for fact in differences if values.get(fact) is not None}
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
    return f"{source} in {len(run.trained)} folds" if run.is_cross_validated else source


def configurations_of(runs: Sequence[EvaluatedRun], metric: Metric) -> list[Configuration]:
    """Runs by their configuration, the best mean score of its networks on validation tweets first."""
    siblings: dict[tuple[Any, ...], list[Runs]] = defaultdict(list)
    for group in seeds_together(runs):
        siblings[tuple(group[0].settings.get(name) for name in ARCHITECTURE)].append(group)
    configurations = []
    for groups in siblings.values():
        firsts = [group[0] for group in groups]
        names = [name for name in varying(firsts) if name not in ARCHITECTURE]
        for group, settings in zip(groups, distinguish(firsts, names), strict=True):
            configurations.append(Configuration(group, settings))
    return sorted(configurations, key=partial(_best_first, metric))


def _best_first(metric: Metric, configuration: Configuration) -> tuple[float, str, list[str]]:
    score = mean_score(run.score("validation", metric) for run in configuration.runs)
    name = configuration.runs[0].run_id.rpartition("-")[0]
    return -score, name, [str(value) for value in configuration.distinguishing.values()]


def distinguish(runs: Sequence[EvaluatedRun], names: Sequence[str]) -> list[Settings]:
    """Those of the settings `names` that have an effect in each run, by which it is told from the others.

    Where these are equal, further tables were edited between runs, and training tweets with them: their version.
    """
    settings = []
    for run in runs:
        prefixes = unused(run)
        settings.append({name: run.settings.get(name) for name in names if not name.startswith(prefixes)})
    distinguishing = []
    for run, of_run in zip(runs, settings, strict=True):
        version = {"data": f"version {run.corpora[0][:8]}"} if settings.count(of_run) > 1 else {}
        distinguishing.append(of_run | version)
    return distinguishing


def _metric_of(runs: Runs) -> Metric:
    """The metric of most runs of grids, whose metric was stated; without grids, that of most runs."""
    of_grids = [run for run in runs if run.trained[0].run_dir.grid != SINGLE]
    return metric_of_most(run.metric for run in of_grids or runs)


def _dataset(name: str, runs: Runs, metric: Metric, answers: Answers, reader: Reader) -> Dataset:
    added = added_for(answers.readable(runs), metric, reader)
    annotators = [each for each in added if each.record.annotator]
    predictors = [each for each in added if not each.record.annotator]
    return Dataset(name, runs, configurations_of(runs, metric), answers.with_metric(metric), predictors, annotators)
