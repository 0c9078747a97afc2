"""Read run directories into dataclasses; unreadable files are collected as problems, and stop nothing."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from report.evaluated import CompletedRun, EvaluatedRun, Reader
from sentiment.answers.recommendation import Choice, compared_by
from sentiment.answers.table import AnswersDir, StoredAnswers, TweetKeys, read_answers
from sentiment.config import PARTS
from sentiment.console import Progress, silent
from sentiment.errors import CopiedGridError, RunDirError, UsageError
from sentiment.runs.corpus_records import MANIFEST, CorpusReport, Manifest
from sentiment.runs.halving import HalvingSearch, read_search
from sentiment.runs.reader import RecordedRun, cancelled_runs, read_runs
from sentiment.runs.records import Count, EpochRow, GridPlan, PlannedRun, Record, Result, RunRecord, UnitFraction
from sentiment.runs.run_dir import (
    KEYS_FILE,
    SINGLE,
    TWEETS_FILE,
    Results,
    RunDir,
    check_file,
    check_records,
    check_sha256,
    read_record,
    read_records,
)
from sentiment.runs.state import RunProgress, RunState, judge_without_queue
from sentiment.statistics.metrics import METRIC_NAMES, Metric, metric_of_most


@dataclass(frozen=True)
class Run:
    """A planned or existing run, completed or not.

    Attributes:
        state: as far as the run's directory shows it; UNKNOWN where only Slurm could tell more.
        planned: its row in the grid's plan; None if no plan names it.
    """

    run_dir: RunDir
    state: RunState
    record: RunRecord | None
    completed: CompletedRun | None
    planned: PlannedRun | None

    @property
    def run_id(self) -> str:
        return self.completed.run_id if self.completed else self.run_dir.path.name

    @property
    def result(self) -> Result | None:
        return self.completed.result if self.completed else None


@dataclass(frozen=True)
class Grid:
    """The runs of one grid in planned order.

    Attributes:
        plan: None if it is missing or cannot be read.
        completed: one for each configuration and seed that is completed, with all folds of a cross-validation.
        single_folds: the completed runs of cross-validations of which a fold is missing: they are compared with none.
        rungs: the rungs of successive halving, if the search uses it.
    """

    name: str
    plan: GridPlan | None
    runs: list[Run]
    completed: list[EvaluatedRun]
    single_folds: Sequence[CompletedRun] = ()
    rungs: HalvingSearch | None = None

    @property
    def metric(self) -> Metric:
        return metric_of_most(run.metric for run in self.completed)

    @property
    def metric_name(self) -> str:
        return METRIC_NAMES[self.metric]


@dataclass(frozen=True)
class Study:
    """All grids, single runs and tables with answers of a results folder.

    Attributes:
        folders: the grids in the order in which they were planned, those without a plan, and the runs outside of grids.
        labelled: the labelled tables with added predictors; none if only some grids are reported.
        choices: likewise, by folder, the best predictors on tables without labels.
        stages: the plans of those grids that start from runs of another one, also of empty ones, in the same order.
        counts: `read_counts` by the fingerprint of a corpus.
    """

    reader: Reader
    folders: list[Grid]
    labelled: list[StoredAnswers]
    choices: dict[str, Choice]
    stages: list[GridPlan]
    counts: Mapping[str, CorpusReport]

    @property
    def results(self) -> Results:
        return self.reader.results

    @property
    def grids(self) -> list[Grid]:
        return [grid for grid in self.folders if grid.name != SINGLE]

    @property
    def runs(self) -> list[Run]:
        return [run for grid in self.folders for run in grid.runs]

    @property
    def completed(self) -> list[EvaluatedRun]:
        return [run for grid in self.folders for run in grid.completed]

    @property
    def single_folds(self) -> list[CompletedRun]:
        return [run for grid in self.folders for run in grid.single_folds]

    @property
    def completed_runs(self) -> list[CompletedRun]:
        """The completed runs; the folds of a cross-validation are separate runs."""
        return [run.completed for run in self.runs if run.completed]


def load_study(results: Results, names: list[str], progress: Progress = silent) -> Study:
    """Read the runs of the grids `names`; all runs if there are no names.

    Args:
        names: may contain `single`, for the runs outside of grids.

    Raises:
        UsageError: there is no such grid.
        RunDirError: there is nothing to report.
    """
    available = [path.name for path in _folders(results.runs)]
    for name in names:
        if name not in available:
            raise UsageError(f"no grid named {name!r} in {results.runs}; available: {', '.join(available) or 'none'}")
    reader = Reader(results)
    labelled, choices = ([], {}) if names else _load_answers(reader)
    folders = []
    names = [*dict.fromkeys(names or available)]
    for number, name in enumerate(names):
        progress("reading grids", number, len(names))
        folders.append(_load_grid(reader, name))
    if not labelled and not choices and not any(grid.runs for grid in folders):
        lines = "".join(f"\n{problem}" for problem in reader.problems)
        raise RunDirError(
            f"{results.runs}: holds no run to report yet; `make run` trains one; without runs, "
            f"`sentiment add NAME FILE --of TABLE` adds predictors that are compared with each other{lines}"
        )
    folders.sort(key=lambda grid: (grid.name == SINGLE, not grid.plan, grid.plan and grid.plan.planned_at, grid.name))
    stages = [grid.plan for grid in folders if grid.plan and grid.plan.starts_from]
    completed = [run.completed for grid in folders for run in grid.runs if run.completed]
    corpora = dict.fromkeys(run.record.data_fingerprint for run in completed)
    read = {fingerprint: reader.read(partial(read_counts, fingerprint, results)) for fingerprint in corpora}
    counts = {fingerprint: report for fingerprint, report in read.items() if report}
    # If a table was edited between two grids, both may have a run of one id on other tweets.
    versions = Counter(run_id for run_id, _ in {(run.run_id, run.record.data_fingerprint) for run in completed})
    compared = [_compared(grid, versions, counts, reader) for grid in folders if grid.runs]
    return Study(reader, compared, labelled, choices, stages, counts)


def _compared(grid: Grid, versions: Counter[str], counts: Mapping[str, CorpusReport], reader: Reader) -> Grid:
    """A grid with what is compared of it; runs of one id on several versions of a table get other ids."""
    runs = []
    for run in grid.runs:
        if run.completed:
            fingerprint = run.completed.record.data_fingerprint
            version = fingerprint[:8] if versions[run.run_id] > 1 else ""
            trained_on = counts[fingerprint].parts["train"].rows if fingerprint in counts else None
            run = replace(run, completed=replace(run.completed, version=version, trained_on=trained_on))
        runs.append(run)
    compared, single_folds = pool_folds([run.completed for run in runs if run.completed], reader)
    return replace(grid, runs=runs, completed=compared, single_folds=single_folds)


def pool_folds(runs: Iterable[CompletedRun], reader: Reader) -> tuple[list[EvaluatedRun], list[CompletedRun]]:
    """Completed runs, in which each complete cross-validation stands where its first fold stood.

    Returns:
        These; and the runs of cross-validations of which a fold is missing or cannot be read.
    """
    groups: dict[tuple[str, str], list[CompletedRun]] = defaultdict(list)
    for run in runs:
        identity = run.config.without("data.fold").fingerprint() if run.config.data.folds else run.run_id
        groups[identity, run.record.table_sha256].append(run)
    compared: list[EvaluatedRun] = []
    single_folds: list[CompletedRun] = []
    for group in groups.values():
        number = group[0].config.data.folds
        if number is None:
            compared += map(EvaluatedRun.of, group)
            continue
        by_fold = {run.config.data.fold: run for run in group}
        folds = [by_fold[fold] for fold in range(1, number + 1) if fold in by_fold]
        pooled = reader.read(partial(EvaluatedRun.of_folds, folds)) if len(folds) == number else None
        if pooled:
            compared.append(pooled)
        else:
            single_folds += group
    return compared, single_folds


def _load_answers(reader: Reader) -> tuple[list[StoredAnswers], dict[str, Choice]]:
    """The tables to which predictors were added: those with labels, and of others the best predictor by folder."""
    labelled = []
    choices: dict[str, Choice] = {}
    for folder in _folders(reader.results.answers):
        stored = reader.read(partial(_read_table, folder, reader.results))
        if stored is None:
            continue
        reader.problems.extend(stored.problems)
        if not stored.table.has_labels:
            choice = reader.read(partial(_read_choice, stored, reader.problems))
            choices |= {folder.name: choice} if choice else {}
        elif stored.added_predictors or stored.annotators:
            labelled.append(stored)
    return labelled, choices


def _read_table(folder: Path, results: Results) -> StoredAnswers:
    stored = read_answers(folder)
    if stored.directory != AnswersDir.of(results, stored.record.source, stored.record.fingerprint):
        raise RunDirError(f"{folder}: is not named as its table, as a copy is not; it is left out")
    return stored


def _read_choice(stored: StoredAnswers, problems: list[str]) -> Choice | None:
    """The best predictor by labels; a problem if others were added since."""
    directory = stored.directory
    choice = read_record(directory.choice_file, Choice)
    names = {predictor.name for predictor in stored.added_predictors}
    later = sorted(names - choice.accuracy.keys()) if choice else []
    if later:
        again = f"sentiment evaluate {shlex.quote(str(directory.path))} --labelled SHEET.csv"
        problems.append(f"{directory.choice_file}: is from before {', '.join(later)}; again: {again}")
    return choice


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones such as those of Jupyter; none if there is no folder."""
    return sorted(path for path in folder.glob("[!.]*") if path.is_dir())


def _load_grid(reader: Reader, name: str) -> Grid:
    """The planned runs in the order of the plan, then unplanned run directories."""
    results = reader.results
    plan = None
    try:
        plan = None if name == SINGLE else results.read_grid(name)
    except RunDirError as error:
        reader.problems.append(str(error).splitlines()[0])
        if isinstance(error, CopiedGridError):
            return Grid(name, None, [], [])
    rungs = reader.read(partial(read_search, results, plan)) if plan else None
    recorded = read_runs(results, name, plan, rungs)
    reader.problems.extend(recorded.copies.values())
    cancelled = cancelled_runs(results, name)
    runs = [_load_run(run, plan, reader, run.run_id in cancelled) for run in recorded.runs]
    return Grid(name, plan, runs, [], rungs=rungs)


def _load_run(run: RecordedRun, plan: GridPlan | None, reader: Reader, is_cancelled: bool) -> Run:
    run_dir = run.run_dir
    progress = run.progress
    completed = None
    if run_dir.path.is_dir() and not progress.damage:
        try:
            completed = _completed(run_dir, plan, progress)
        except (RunDirError, OSError) as error:
            line = str(error).splitlines()[0]
            damage = line if str(run_dir.path) in line else f"{run_dir.path}: {line}"
            progress = replace(progress, damage=damage)
    if progress.damage:
        reader.problems.append(progress.damage)
    # A result without the other files cannot be reported, so such a run counts as damaged, not as completed.
    progress = replace(progress, completed=completed is not None)
    state = judge_without_queue(progress, run.trial, is_cancelled)
    return Run(run_dir, state, progress.record, completed, run.planned)


def _completed(run_dir: RunDir, plan: GridPlan | None, progress: RunProgress) -> CompletedRun | None:
    """A run with its files; None if it is not completed."""
    try:
        str(run_dir.path).encode()
    except UnicodeEncodeError:
        raise RunDirError(f"{run_dir.path}: the name of this folder is not UTF-8; rename it") from None
    if not (progress.record or progress.result or run_dir.config_file.exists()):  # a task may be about to begin it
        return None
    config = run_dir.read_config()
    check_records(run_dir, config, progress.record, progress.result)
    if progress.record is None or progress.result is None:
        return None
    return CompletedRun(run_dir, config, progress.record, progress.result, compared_by(config, plan))


def read_curve(run: CompletedRun) -> list[EpochRow]:
    """The metrics after each epoch.

    Raises:
        RunDirError: the metric log cannot be read, is damaged, or holds no epoch.
    """
    path = run.run_dir.metrics_file
    check_file(path, run.result)
    epochs, _ = run.run_dir.read_epochs()
    if not epochs:
        raise RunDirError(f"{path}: holds no epoch")
    return epochs


class AttentionSample(Record):
    """A test tweet, its predicted class, and the weight of each of its tokens in each hop, of shape (hops, tokens)."""

    tweet: int
    label: Count
    predicted: Count
    probability: UnitFraction
    tokens: list[str]
    weights: list[list[UnitFraction]]

    @property
    def is_right(self) -> bool:
        return bool(self.predicted == self.label)


def read_attention(run: CompletedRun) -> list[AttentionSample]:
    """The sample tweets of an attention model.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    path = run.run_dir.attention_file
    check_file(path, run.result)
    return read_records(path, AttentionSample)


def read_texts(tweets: TweetKeys, corpora: Iterable[str], results: Results) -> list[str] | None:
    """The texts of tweets of the main table, from the first of the corpora (fingerprints) that holds each.

    Returns:
        An empty text for a tweet that no corpus holds; None if no corpus can be read.
    """
    texts: dict[int, str] = {}
    is_read = False
    for corpus in corpora:
        missing = [tweet for tweet in tweets.tolist() if tweet not in texts]
        corpus_texts = _read_texts(missing, corpus, results) if missing else None  # one fold's corpus may hold all
        if corpus_texts is not None:
            is_read = True
            texts |= corpus_texts
    return [texts.get(tweet, "") for tweet in tweets.tolist()] if is_read else None


def _read_texts(tweets: Sequence[int], corpus: str, results: Results) -> dict[int, str] | None:
    """The texts of tweets by their ids; None where the corpus is not on this machine or cannot be read."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    folder = results.corpus_dir(corpus)
    try:
        keys = np.load(folder / KEYS_FILE)
        table = pq.ParquetFile(folder / TWEETS_FILE).read(columns=["part", "text"])
        is_main = pc.is_in(table["part"].cast(pa.string()), pa.array(PARTS)).to_numpy()
        rows = np.flatnonzero(np.isin(keys, tweets) & is_main)
        return dict(zip(keys[rows].tolist(), table["text"].take(pa.array(rows)).to_pylist(), strict=True))
    except (OSError, EOFError, ValueError, pa.ArrowException, KeyError):  # `read_counts` names damaged files
        return None


def read_counts(fingerprint: str, results: Results) -> CorpusReport | None:
    """How many tweets a corpus kept, left out and put into each part; None where it is not on this machine.

    Raises:
        RunDirError: the corpus is damaged.
    """
    folder = results.corpus_dir(fingerprint)
    if not folder.exists():
        return None
    manifest = read_record(folder / MANIFEST, Manifest)
    if manifest is None or manifest.fingerprint != fingerprint:
        raise RunDirError(f"{folder / MANIFEST}: is missing, or is that of another corpus")
    for name, digest in manifest.sha256.items():
        check_sha256(folder / name, digest, "delete the folder, and training prepares it again")
    return manifest.report
