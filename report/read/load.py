"""All run directories, in whatever state they are; what cannot be read is named, and stops nothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from sentiment.config import RunConfig
from sentiment.config_file import dotted, yaml_text
from sentiment.console import Progress, silent
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.records import GridPlan, PlannedRun, Result, RunRecord
from sentiment.runs.run_dir import SINGLE, Results, RunDir, check_file, check_log_row, read_whole
from sentiment.runs.rungs import Rungs, Standing, read_rungs
from sentiment.runs.state import RunState, judge, read_progress


@dataclass(frozen=True)
class Source:
    """Where a figure was published."""

    authors: str
    title: str
    link: str
    data: str
    """Which tweets, cleaned how."""


@dataclass(frozen=True)
class PublishedScore:
    """One published accuracy."""

    model: str
    accuracy: float
    bound: str
    """`at most` where the source gives a ceiling only."""
    part: str
    """Which tweets it was measured on."""
    source: Source


_STUDY = "Sentiment140, 1.6 million tweets, split at random"
STUDY_SOURCE = Source(
    authors="Giannoutsos, A.",
    title="Twitter Sentiment Analysis with LSTMs, ELMo",
    link="https://github.com/AGiannoutsos/Twitter-Sentiment-Analysis-with-LSTMs-ELMo",
    data=f"{_STUDY}, stop words removed",
)
"""The study that the grids repeat."""
_ROBERTA = Source(
    "heican (Hugging Face)",
    "sentiment-roberta-base (model card)",
    "https://huggingface.co/heican/sentiment-roberta-base",
    _STUDY,
)
_BERT = Source(
    "heican (Hugging Face)",
    "sentiment-bert-base (model card)",
    "https://huggingface.co/heican/sentiment-bert-base",
    _STUDY,
)

PUBLISHED = (
    PublishedScore("recurrent nets", 0.78, "at most", "validation", STUDY_SOURCE),
    PublishedScore("feed-forward net", 0.78, "", "test", STUDY_SOURCE),
    PublishedScore("self-attention", 0.779, "", "test", STUDY_SOURCE),
    PublishedScore("ELMo and BiLSTM 512 (peak; overfits after)", 0.85, "", "validation", STUDY_SOURCE),
    PublishedScore("ELMo and BiLSTM 512 (steady)", 0.81, "", "validation", STUDY_SOURCE),
    PublishedScore("BERT-base", 0.8746, "", "test, 320,000 tweets", _BERT),
    PublishedScore("RoBERTa-base", 0.8911, "", "test, 320,000 tweets", _ROBERTA),
)


T = TypeVar("T")

_SENTIMENT140 = "sentiment140"


@dataclass(frozen=True)
class CompletedRun:
    """A completed run, with all that it wrote down."""

    run_dir: RunDir
    parameters: dict[str, Any]
    """What distinguishes it within its grid, by dotted name; empty outside of grids."""
    config: RunConfig
    record: RunRecord
    result: Result
    folds: tuple["CompletedRun", ...] = ()
    """The runs of all folds that this one stands for, in place of a directory of its own."""

    @property
    def run_id(self) -> str:
        """The name of its directory; of runs of several folds the first one's with their number."""
        name = self.run_dir.path.name
        return f"{name}, {len(self.folds)} folds" if self.folds else name

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved configuration by dotted name, without what is no part of a run's identity."""
        values = dotted(self.config.identity())
        return {name: yaml_text(value) if isinstance(value, list) else value for name, value in values.items()}

    @property
    def is_random(self) -> bool:
        """Whether its ELMo vectors come from random numbers: its scores then say nothing about ELMo."""
        elmo = self.result.elmo or self.record.elmo
        return elmo is not None and elmo.random

    @property
    def read_sentiment140(self) -> bool:
        """Whether it read Sentiment140."""
        return self.record.dataset == _SENTIMENT140


@dataclass(frozen=True)
class Run:
    """A run that a grid plans or a directory shows, in whatever state."""

    grid: str | None
    """None for a single run."""
    run_dir: RunDir
    state: RunState
    """As `jobs status` judges it where no queue is asked."""
    damage: str | None
    """What of its directory cannot be read, in a line; None if all can."""
    record: RunRecord | None
    completed: CompletedRun | None
    planned: PlannedRun | None
    """Its row in the grid's plan; None if no plan names it."""

    @property
    def run_id(self) -> str:
        """The name of its directory."""
        return self.run_dir.path.name


@dataclass(frozen=True)
class Grid:
    """The runs of one folder, in the order of their plan, and the question that they answer."""

    name: str
    plan: GridPlan | None
    """None if it is missing or cannot be read."""
    runs: list[Run]
    completed: list[CompletedRun]
    """Its completed runs; of several folds of one configuration one, once they are pooled."""
    damage: str | None = None
    """Why the plan or a ranking cannot be read, in a line."""
    rungs: Rungs | None = None
    """Those of a search that goes in rungs."""

    @property
    def completed_count(self) -> int:
        """How many of its runs are completed, each fold by itself."""
        return sum(len(run.folds) or 1 for run in self.completed)


@dataclass(frozen=True)
class Study:
    """Everything that there is to report."""

    results: Results
    grids: list[Grid]
    singles: list[Run]
    """The runs outside of grids, each of which was made for itself."""
    completed_singles: list[CompletedRun]
    """As of a grid."""
    problems: list[str]
    """What cannot be read, by name; the report goes on without it."""

    @property
    def runs(self) -> list[Run]:
        """The runs of all grids, then the single ones."""
        return [*(run for grid in self.grids for run in grid.runs), *self.singles]

    @property
    def completed(self) -> list[CompletedRun]:
        """The completed runs of all grids, then the single ones."""
        return [*(run for grid in self.grids for run in grid.completed), *self.completed_singles]


def load_study(results: Results, names: list[str], progress: Progress = silent) -> Study:
    """Read the runs of the grids `names`; all runs if there are no names.

    Args:
        names: may contain `single`, for the runs outside of grids.
        progress: told how many runs are read.

    Raises:
        UsageError: there is no such grid.
        RunDirError: there is nothing to report.
    """
    found = sorted(path.name for path in results.runs.iterdir() if path.is_dir()) if results.runs.is_dir() else []
    if unknown := [name for name in names if name not in found]:
        raise UsageError(f"--grid {unknown[0]}: {results.runs} has {', '.join(found) or 'no grid'}")
    chosen = names or found
    reading = _Reading(results, progress, sum(len(_run_names(results, name)) for name in chosen))
    grids = [grid for name in chosen if name != SINGLE and ((grid := _load_grid(reading, name)).runs or grid.damage)]
    singles = _load_runs(reading, SINGLE, None) if SINGLE in chosen else []
    damages = [*(damage for grid in grids for damage in (grid.damage, *_damages(grid.runs))), *_damages(singles)]
    problems = [damage for damage in damages if damage]
    study = Study(results, [grid for grid in grids if grid.runs], singles, _completed(singles), problems)
    if not study.runs:
        lines = "".join(f"\n{problem}" for problem in problems)
        raise RunDirError(f"{results.runs}: holds no run to report yet; `make run` trains one{lines}")
    return study


def read_each(runs: Iterable[CompletedRun], read: Callable[[CompletedRun], T | None]) -> tuple[dict[str, T], list[str]]:
    """What `read` finds of each run, by run id, and a line for each run whose files cannot be read.

    Args:
        read: may raise RunDirError; None if the run has nothing of the kind.
    """
    found: dict[str, T] = {}
    problems = []
    for run in runs:
        try:
            value = read(run)
        except RunDirError as error:
            problems.append(str(error))
        else:
            if value is not None:
                found[run.run_id] = value
    return found, problems


def _damages(runs: list[Run]) -> list[str | None]:
    return [run.damage for run in runs]


@dataclass
class _Reading:
    """How far the runs are read."""

    results: Results
    progress: Progress
    total: int
    """The number of directories of runs."""
    done: int = 0

    def run_dir(self, name: str, folder: str) -> RunDir:
        """The next run's; planned ones that have not begun have none, and do not count."""
        run_dir = self.results.run_dir(name, folder)
        self.done += run_dir.path.is_dir()
        self.progress("reading runs", self.done, self.total)
        return run_dir


def _run_names(results: Results, folder: str) -> list[str]:
    return sorted(path.name for path in (results.runs / folder).iterdir() if path.is_dir())


def _load_grid(reading: _Reading, name: str) -> Grid:
    results, plan, rungs, damage = reading.results, None, None, None
    try:
        plan = results.read_grid(name)
        rungs = read_rungs(results, plan) if plan else None
    except RunDirError as error:
        damage = _first_line(error)
    runs = _load_runs(reading, name, plan, rungs)
    return Grid(name, plan, runs, _completed(runs), damage, rungs)


def _completed(runs: Iterable[Run]) -> list[CompletedRun]:
    return [run.completed for run in runs if run.completed]


def _load_runs(reading: _Reading, folder: str, plan: GridPlan | None, rungs: Rungs | None = None) -> list[Run]:
    """The planned runs in the order of the plan, then those of which there is only a directory."""
    planned = {run.run_id: run for run in plan.runs} if plan else {}
    found = _run_names(reading.results, folder)
    names = [*planned, *(name for name in found if name not in planned)]
    grid = None if folder == SINGLE else folder
    standings = rungs.standings if rungs else {}
    return [_load_run(reading.run_dir(name, folder), grid, planned.get(name), standings.get(name)) for name in names]


def _load_run(run_dir: RunDir, grid: str | None, planned: PlannedRun | None, standing: Standing | None) -> Run:
    progress, record, completed = read_progress(run_dir), None, None
    if run_dir.path.is_dir():
        try:
            run = read_whole(run_dir)
            record = run.record
            if run.result and record:
                parameters = planned.parameters if planned else {}
                completed = CompletedRun(run_dir, parameters, run.config, record, run.result)
        except (RunDirError, OSError) as error:
            line = _first_line(error)
            progress = replace(progress, damage=line if str(run_dir.path) in line else f"{run_dir.path}: {line}")
    # A result without the other files cannot be reported, so such a run counts as damaged, not as completed.
    progress = replace(progress, completed=completed is not None)
    return Run(grid, run_dir, judge(progress, standing), progress.damage, record, completed, planned)


def _first_line(error: Exception) -> str:
    """The line that names the file; pydantic's further lines are for those who mend it."""
    return str(error).splitlines()[0]


_PARTS = ("train", "validation")
_METRICS = ("loss", "accuracy", "precision", "recall", "f1")


@dataclass(frozen=True)
class LearningCurve:
    """The metrics of a run on training and validation tweets after each epoch."""

    run: CompletedRun
    epochs: Sequence[dict[str, Any]]
    """Rows of the metric log, each with `epoch`, and with loss, accuracy, precision, recall and F1 of either part."""

    def values(self, part: str, metric: str) -> list[float]:
        """One metric of one part, epoch by epoch."""
        return [float(row[part][metric]) for row in self.epochs]


def read_curve(run: CompletedRun) -> LearningCurve:
    """The rows of a run's epochs.

    Raises:
        RunDirError: the metric log cannot be read, is damaged, or holds no epoch.
    """
    path = run.run_dir.metrics_file
    check_file(path, run.result)
    try:
        rows = [check_log_row(row) for row in run.run_dir.read_metrics()]
        curve = LearningCurve(run, [row for row in rows if row.get("kind") == "epoch"])
        _ = [row[part][name] for row in curve.epochs for part in _PARTS for name in _METRICS]
    except (ValueError, KeyError) as error:
        raise RunDirError(f"{path}: is damaged: {error}") from None
    if not curve.epochs:
        raise RunDirError(f"{path}: holds no epoch")
    return curve
