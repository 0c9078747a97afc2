"""Run directories as values, in whatever state they are; what cannot be read is named, and stops nothing."""

import json
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from report.statistics import Flags, Values
from sentiment.config import RunConfig
from sentiment.config_file import dotted, yaml_text
from sentiment.console import Progress, silent
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.records import (
    PREDICTION_COLUMNS,
    THRESHOLD,
    Count,
    GridPlan,
    Metrics,
    Part,
    PlannedRun,
    Record,
    Result,
    RunRecord,
    Share,
)
from sentiment.runs.run_dir import SINGLE, TWEETS_FILE, Results, RunDir, check_file, read_rows, read_whole
from sentiment.runs.state import LOST, RUNNING, Rungs, RunProgress, RunState, Standing, judge, read_progress, read_rungs

T = TypeVar("T")
Answerer = Literal["network", "both", "baseline", "lexicon"]
# Where a result has the scores of each.
FIELD: dict[Answerer, str] = {"network": "metrics", "both": "both", "baseline": "baseline", "lexicon": "lexicon"}
_COLUMNS: dict[str, Answerer] = {**PREDICTION_COLUMNS, "lexicon": "lexicon"}


@dataclass(frozen=True)
class CompletedRun:
    """A completed run, with all that it wrote down.

    Attributes:
        parameters: what distinguishes it within its grid, by dotted name; empty outside of grids.
        folds: the runs of all folds that this one stands for, in place of a directory of its own.
    """

    run_dir: RunDir
    parameters: dict[str, Any]
    config: RunConfig
    record: RunRecord
    result: Result
    folds: tuple["CompletedRun", ...] = ()

    @property
    def run_id(self) -> str:
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
        encoder = self.result.encoder or self.record.encoder
        return encoder is not None and encoder.random

    def measured(self, part: Part, model: Answerer = "network") -> Metrics:
        found: dict[Part, Metrics] = getattr(self.result, FIELD[model])
        return found[part]


@dataclass(frozen=True)
class Run:
    """A run that a grid plans or a directory shows, in whatever state.

    Attributes:
        grid: None for a single run.
        state: as `sentiment status` judges it where no queue is asked.
        damage: what of its directory cannot be read, in a line; None if all can.
        planned: its row in the grid's plan; None if no plan names it.
    """

    grid: str | None
    run_dir: RunDir
    state: RunState
    damage: str | None
    record: RunRecord | None
    completed: CompletedRun | None
    planned: PlannedRun | None

    @property
    def run_id(self) -> str:
        return self.run_dir.path.name

    @property
    def result(self) -> Result | None:
        return self.completed.result if self.completed else None


@dataclass(frozen=True)
class Grid:
    """The runs of one folder, in the order of their plan, and the question that they answer.

    Attributes:
        plan: None if it is missing or cannot be read.
        completed: its completed runs; of several folds of one configuration one, once they are pooled.
        damage: why the plan or a ranking cannot be read, in a line.
        rungs: those of a search that goes in rungs.
        notes: what somebody wrote of it in Markdown, in `notes.md` beside its runs.
    """

    name: str
    plan: GridPlan | None
    runs: list[Run]
    completed: list[CompletedRun]
    damage: str | None = None
    rungs: Rungs | None = None
    notes: str = ""


@dataclass(frozen=True)
class Study:
    """Everything that there is to report.

    Attributes:
        single: the runs outside of grids.
        problems: what cannot be read, by name.
    """

    results: Results
    grids: list[Grid]
    single: Grid
    problems: list[str]

    @property
    def runs(self) -> list[Run]:
        return [run for grid in (*self.grids, self.single) for run in grid.runs]

    @property
    def completed(self) -> list[CompletedRun]:
        return [run for grid in (*self.grids, self.single) for run in grid.completed]


def load_study(results: Results, names: list[str], progress: Progress = silent) -> Study:
    """Read the runs of the grids `names`; all runs if there are no names.

    Args:
        names: may contain `single`, for the runs outside of grids.

    Raises:
        UsageError: there is no such grid.
        RunDirError: there is nothing to report.
    """
    found = sorted(path.name for path in results.runs.iterdir() if path.is_dir()) if results.runs.is_dir() else []
    if unknown := [name for name in names if name not in found]:
        raise UsageError(f"{unknown[0]}: is no grid here; {results.runs} has {', '.join(found) or 'no grid'}")
    chosen, folders = names or found, []
    for place, name in enumerate(chosen):
        progress("reading grids", place, len(chosen))
        folders.append(_load_grid(results, name))
    problems = [one for grid in folders for one in (grid.damage, *(run.damage for run in grid.runs)) if one]
    if not any(grid.runs for grid in folders):
        lines = "".join(f"\n{problem}" for problem in problems)
        raise RunDirError(f"{results.runs}: holds no run to report yet; `make run` trains one{lines}")
    single = next((grid for grid in folders if grid.name == SINGLE), Grid(SINGLE, None, [], []))
    grids = [grid for grid in folders if grid.name != SINGLE and grid.runs]
    return Study(results, grids, single, problems)


def read_each(runs: Iterable[CompletedRun], read: Callable[[CompletedRun], T | None]) -> tuple[dict[str, T], list[str]]:
    """What `read` finds of each run, by run id, and a line for each run whose files cannot be read."""
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


def _load_grid(results: Results, name: str) -> Grid:
    """The planned runs in the order of the plan, then those of which there is only a directory."""
    plan, rungs, damage = None, None, None
    try:
        plan = None if name == SINGLE else results.read_grid(name)
        rungs = read_rungs(results, plan) if plan else None
    except RunDirError as error:
        damage = _first_line(error)
    planned = {run.run_id: run for run in plan.runs} if plan else {}
    standings = rungs.standings if rungs else {}
    folder, notes = results.runs / name, results.runs / name / "notes.md"
    found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    runs = [
        _load_run(results.run_dir(run_id, name), plan, planned.get(run_id), standings.get(run_id))
        for run_id in dict.fromkeys([*planned, *found])
    ]
    said = notes.read_text(encoding="utf-8", errors="replace") if notes.is_file() else ""
    return Grid(name, plan, runs, [run.completed for run in runs if run.completed], damage, rungs, said)


def _load_run(run_dir: RunDir, plan: GridPlan | None, planned: PlannedRun | None, standing: Standing | None) -> Run:
    progress, record, completed = read_progress(run_dir, plan), None, None
    if run_dir.path.is_dir():
        try:
            config, record, result = read_whole(run_dir)
            if result and record:
                parameters = planned.parameters if planned else {}
                completed = CompletedRun(run_dir, parameters, config, record, result)
        except (RunDirError, OSError) as error:
            line = _first_line(error)
            progress = replace(progress, damage=line if str(run_dir.path) in line else f"{run_dir.path}: {line}")
    # A result without the other files cannot be reported, so such a run counts as damaged, not as completed.
    progress = replace(progress, completed=completed is not None)
    folder = run_dir.path.parent.name
    grid, state = None if folder == SINGLE else folder, _told(progress, judge(progress, standing))
    return Run(grid, run_dir, state, progress.damage, record, completed, planned)


def _told(progress: RunProgress, state: RunState) -> RunState:
    """How far a running run is; and of one on another machine, whose lock may not reach here, no more than is known."""
    last = progress.last_attempt
    if state.state == RUNNING and progress.epoch:
        score = "" if progress.score is None else f", best so far {progress.score:.3f}"
        return replace(state, reason=f"after epoch {progress.epoch}{score}")
    if state.state == LOST and last and last.reason is None and last.host != socket.gethostname():
        return RunState("NOT_HEARD_OF", f"its process on {last.host} can't be seen from here")
    return state


def _first_line(error: Exception) -> str:
    """The line that names the file; pydantic's further lines are for those who mend it."""
    return str(error).splitlines()[0]


def read_curve(run: CompletedRun) -> list[dict[str, Any]]:
    """The rows of a run's epochs, each with `epoch`, and by part (`train`, `validation`) the metrics.

    Raises:
        RunDirError: the metric log cannot be read, is damaged, or holds no epoch.
    """
    path = run.run_dir.metrics_file
    check_file(path, run.result)
    try:
        epochs, _ = run.run_dir.read_epochs()
        _ = [
            row[part][name] for row in epochs for part in ("train", "validation") for name in ("loss", "accuracy", "f1")
        ]
    except (KeyError, TypeError) as error:
        raise RunDirError(f"{path}: is damaged: {error!r}") from None
    if not epochs:
        raise RunDirError(f"{path}: holds no epoch")
    return epochs


_ROUNDED = 1.5
# Of tweets in a corpus, which is named by its fingerprint.
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """What one run, its baseline and the lexicon say of one part, each array of shape (n,).

    Attributes:
        corpus: the fingerprint of the corpus that holds the tweets at these rows.
        labels: whether each tweet is positive.
        said: calibrated probabilities of positive; what VADER's lexicon says on their scale.
    """

    corpus: str
    rows: Places
    labels: Flags
    said: dict[Answerer, Values]

    def right(self, model: Answerer) -> Flags:
        return np.equal(self.said[model] >= THRESHOLD, self.labels)


class AttentionSample(Record):
    """A test tweet, and the weight of each of its tokens in each hop, of shape (hops, tokens)."""

    row: Count
    label: int
    score: Share
    tokens: list[str]
    weights: list[list[Share]]

    @property
    def is_right(self) -> bool:
        return (self.score >= THRESHOLD) == (self.label == 1)


def read_scores(run: CompletedRun, part: Part) -> Scores | None:
    """What a run says of a part; None if it has no such part. Of several folds only the test parts, as one.

    Raises:
        RunDirError: the file is missing or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if run.folds:
        return _of_folds(run) if part == "test" else None
    path = run.run_dir.predictions_file
    check_file(path, run.result)
    try:
        table = pq.ParquetFile(path).read()
        table = table.filter(pc.equal(table["part"].cast(pa.string()), part))
        types = {"row": pa.int64(), "label": pa.int8()} | dict.fromkeys(_COLUMNS, pa.float64())
        columns = {name: table[name].cast(of).to_numpy() for name, of in types.items()}
    except (OSError, pa.ArrowException, KeyError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    if not table.num_rows:
        if part in run.result.metrics:
            raise RunDirError(f"{path}: is damaged: it holds no {part} tweets")
        return None
    said = {model: columns[name] for name, model in _COLUMNS.items()}
    scores = Scores(run.record.data_fingerprint, columns["row"], columns["label"] == 1, said)
    _check_scores(scores, columns["label"], path, run.result.metrics.get(part))
    return scores


def _of_folds(run: CompletedRun) -> Scores:
    """A tweet has the same place in the corpora of all folds, unless `data.train_rows` leaves out others in each.

    Then no single corpus holds them, and only runs of the very same folds have equal places.
    """
    folds = [one for fold in run.folds if (one := read_scores(fold, "test"))]
    limited = run.config.data.train_rows is not None
    corpus = f"folds {' '.join(one.corpus for one in folds)}" if limited else folds[0].corpus
    rows, labels = (np.concatenate([getattr(one, name) for one in folds]) for name in ("rows", "labels"))
    said = {model: np.concatenate([one.said[model] for one in folds]) for model in folds[0].said}
    return Scores(corpus, rows, labels, said)


def _check_scores(scores: Scores, labels: npt.NDArray[Any], path: Path, metrics: Metrics | None) -> None:
    """Refuse what are no probabilities of labelled tweets, or not those that the result was measured on."""
    for values in scores.said.values():
        if not ((values >= 0) & (values <= 1)).all():  # false for NaN as well
            raise RunDirError(f"{path}: is damaged: a score is no probability")
    if scores.rows.min() < 0 or not np.isin(labels, (0, 1)).all():
        raise RunDirError(f"{path}: is damaged: a row or a label is not valid")
    # Scores are rounded when they are stored, so that one at the threshold may count otherwise.
    right = int(scores.right("network").sum())
    if metrics is None or metrics.n != len(labels) or abs(right - metrics.accuracy * metrics.n) > _ROUNDED:
        raise RunDirError(f"{path}: does not belong to this run's result: its scores are others")


def read_attention(run: CompletedRun) -> list[AttentionSample]:
    """The sample tweets of an attention model, without those that have no tokens or weights of another shape.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    path = run.run_dir.attention_file
    check_file(path, run.result)
    try:
        samples = [AttentionSample.model_validate(row) for row in read_rows(path)]
    except ValidationError as error:
        raise RunDirError(f"{path}: is damaged: {error.errors()[0]['msg']}") from None
    if not samples:
        raise RunDirError(f"{path}: is missing or empty")
    return [one for one in samples if one.tokens and {len(hop) for hop in one.weights} == {len(one.tokens)}]


def read_tweets(corpus: str, rows: Places, results: Results) -> pd.DataFrame | None:
    """The `text`, `tokens` (their number) and `label` of tweets; None where their corpus can't be read here."""
    table = _read(corpus, rows, results, ["text", "tokens", "label"])
    return None if table is None else table.to_pandas()


def read_identities(corpus: str, rows: Places, results: Results) -> Any:
    """For each tweet a pyarrow text that is the same in every corpus with that tweet.

    The text is made of id, label and text. Cleaning changes none of these, and a corpus holds each text once. The id
    alone would not do: it may be no more than a line's number, which stands for another tweet once the file is edited.

    Returns:
        None where the corpus is not on this machine or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _read(corpus, rows, results, ["id", "label", "text"])
    if table is None:
        return None
    return pc.binary_join_element_wise(table["id"], table["label"].cast(pa.string()), table["text"], "\0")


def read_counts(run: CompletedRun, results: Results) -> dict[str, Any] | None:
    """How many tweets the corpus kept, dropped and put into each part; None where it is not on this machine."""
    manifest = results.corpus_dir(run.record.data_fingerprint) / "manifest.json"
    try:
        counts = json.loads(manifest.read_text(encoding="utf-8"))["report"]
        duplicates = sum(rows for why, rows in counts["left_out"].items() if why.startswith("duplicates"))
        return {name: counts[name] for name in ("read", "kept", "parts")} | {"duplicates": duplicates}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _read(corpus: str, rows: Places, results: Results, columns: list[str]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(results.corpus_dir(corpus) / TWEETS_FILE).read(columns=columns)
        return table.select(columns).take(pa.array(rows))
    except (OSError, pa.ArrowException, KeyError):
        return None
