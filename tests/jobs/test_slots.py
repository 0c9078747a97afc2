"""Slots of a search in Slurm: tasks whose runs a ranking decides, and the files that say where rungs are."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.grid_jobs import GridJobs
from jobs.grids.grid import ExpandedGrid, load_grid
from jobs.job_kinds import steps_saved
from jobs.plan import Launch, RunRequest, plan_slurm_jobs, request_runs
from jobs.policy import needs_attention
from jobs.slurm.commands import Job
from jobs.slurm.resources import ClusterFile, Resources
from jobs.status.grid_state import RunStatus, read_grid_status
from jobs.submissions import Submission, SubmissionDir, new_submission, record_submission
from jobs.tasks.attempt import Outcome, attempt_run, mark_started, record_failure
from jobs.tasks.task import perform
from jobs.tasks.worker import ProcessPool, Worker
from sentiment.errors import SentimentError
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import StalledAttempts
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.stop import RunContext, Stop, StopRequest
from tests.jobs.grid_files import halving, refusal, write_grid
from tests.jobs.submitted import (
    DiedError,
    a_session,
    attempt_of,
    in_task,
    queued,
    rungs_of,
    write_attempts,
    write_epochs,
)

pytestmark = pytest.mark.usefixtures("no_slurm")
HALVING = halving(min_iter=1, eta=2)
TRIALS = {"seed": [1, 2, 3, 4], "training.epochs": 5}


@pytest.fixture
def grid(base: Path, results: Results) -> ExpandedGrid:
    """Four trials: two of them to epoch 2, one of these to epoch 4, and that to epoch 5."""
    grid = load_grid(write_grid(base, TRIALS, **HALVING), results)
    results.write_grid(grid.plan)
    return grid


DIVERGED = -1.0


def _write_epochs(run_dir: RunDir, score: float, epochs: int, first_step: int = 0) -> None:
    write_attempts(run_dir, attempt_of("7_0", reason="paused", first_step=first_step, last_step=9 * epochs))
    write_epochs(run_dir, [score] * epochs)


def _log(results: Results, grid: ExpandedGrid, *scores: float | None) -> None:
    """Let trials end in this rung with these scores; those without one do not end."""
    for run, score in zip(grid.plan.runs, scores, strict=True):
        run_dir = results.run_dir(run.run_id, grid.plan.name)
        if score == DIVERGED:
            record_failure(run_dir, SentimentError("the loss is nan"))
        elif score is not None:
            _write_epochs(run_dir, score, 1)


def _planned(results: Results, grid: ExpandedGrid, **resources: Any) -> list[Submission]:
    rungs = rungs_of(results, grid.plan)
    rows = [RunStatus("PLANNED", grid="some", run_id=config.run_id) for config in grid.configs]
    trials = request_runs(rows, {config.run_id: config for config in grid.configs}, rungs)
    file = ClusterFile(defaults=Resources(**resources))
    return plan_slurm_jobs(Launch(trials, trials, rungs), grid.plan.name, results, file, GridJobs(()))


def _submitted(results: Results, job: Submission, job_id: str = "9") -> SubmissionDir:
    folder = record_submission(new_submission(results, "some", job, None))
    folder.write_receipt(job_id)
    return folder


def _decide(folder: SubmissionDir, task: int) -> Outcome | None:
    return Worker(folder, task, StopRequest())._finish_previous_rung()


def _slots(results: Results, grid: ExpandedGrid, **resources: Any) -> Submission:
    return next(job for job in _planned(results, grid, **resources) if job.rung == 1)


def test_trials_and_rungs_are_fixed_once_a_ranking_is_written(base: Path, results: Results, grid: ExpandedGrid) -> None:
    more = TRIALS | {"seed": [1, 2, 3, 4, 5]}
    assert load_grid(write_grid(base, more, **HALVING), results).plan.halving
    _log(results, grid, 0.6, 0.7, DIVERGED, DIVERGED)
    rungs_of(results, grid.plan).rank_current()
    load_grid(write_grid(base, TRIALS, **HALVING), results)
    told = refusal(load_grid, write_grid(base, more, **HALVING), results)
    assert ("the number of trials (4, now 5) changed" in told, "rung-0.json" in told) == (True, True)
    assert "early_terminate or " in refusal(load_grid, write_grid(base, TRIALS), results)


def test_chain_has_an_array_for_each_later_rung(results: Results, grid: ExpandedGrid) -> None:
    _data, named, *later, report = _planned(results, grid)
    assert (named.rung, named.epochs, len(named.tasks), named.by_ranking) == (0, 1, 4, False)
    assert [(one.rung, one.epochs, one.tasks) for one in later] == [(1, 2, [[], []]), (2, 4, [[]]), (3, None, [[]])]
    assert all(one.by_ranking and one.configs == grid.configs for one in later)
    assert report.kind == "report"
    assert _slots(results, grid, at_once=2).tasks == [[]]
    assert _slots(results, grid, tasks=8).tasks == [[], []]


def test_pruned_trial_that_is_asked_for_is_trained_to_its_end(results: Results, grid: ExpandedGrid) -> None:
    configs = {config.run_id: config for config in grid.configs}
    first, second, *_ = configs
    rows = [RunStatus("PRUNED", grid="some", run_id=first), RunStatus("PLANNED", grid="some", run_id=second)]
    pruned, planned = request_runs(rows, configs, rungs_of(results, grid.plan))
    assert [(run.rung, run.epochs) for run in (pruned, planned)] == [(None, None), (0, 1)]


def test_slots_have_the_trials_of_the_ranking_once_it_is_written(results: Results, grid: ExpandedGrid) -> None:
    folder = _submitted(results, _slots(results, grid))
    assert folder.waits_for_ranking
    assert folder.tasks == [[], []]
    _log(results, grid, 0.6, 0.7, DIVERGED, 0.8)
    assert _decide(folder, 1) is None
    best, second = grid.plan.runs[3].run_id, grid.plan.runs[1].run_id
    assert folder.tasks == [[best], [second]]
    assert GridJobs([folder], ()).tasks == {best: (folder, 0), second: (folder, 1)}
    _log(results, grid, None, None, 0.9, None)
    assert _decide(folder, 0) is None
    assert SubmissionDir(folder.path).tasks == [[best], [second]]


def test_slot_looks_again_or_fails(results: Results, grid: ExpandedGrid, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _submitted(results, _slots(results, grid))
    trained = results.run_dir(grid.plan.runs[2].run_id, "some")
    trained.path.mkdir(parents=True)
    _log(results, grid, DIVERGED, DIVERGED, None, DIVERGED)
    with ProcessLock(trained.lock_file):
        assert _decide(folder, 0) is Outcome.RETRY_LATER
    assert "rung 0 is unfinished: " in capsys.readouterr().out
    _log(results, grid, None, None, DIVERGED, None)
    assert _decide(folder, 0) is Outcome.FAILED
    assert "none of its 4 trials reached the end of epoch 1" in capsys.readouterr().out


def test_slot_leaves_a_trial_to_another_slot_whose_lock_it_cannot_see(
    results: Results, grid: ExpandedGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_task(monkeypatch, "9")
    monkeypatch.setattr("jobs.slurm.read_queue", lambda: [Job("some-x", "9", 1, "RUNNING")])
    monkeypatch.setattr(Worker, "_train_runs", lambda *_: pytest.fail("it takes the trial from the other slot"))
    folder = _submitted(results, _slots(results, grid))
    _log(results, grid, 0.6, 0.7, None, 0.8)
    trained = results.run_dir(grid.plan.runs[2].run_id, "some")
    write_attempts(trained, attempt_of("9_1"))
    trained.write_record(StalledAttempts(step=0, number=1, job="9_1"))
    assert _decide(folder, 0) is Outcome.RETRY_LATER


def test_slot_that_is_requeued_before_it_has_ranked_ranks_later(results: Results, grid: ExpandedGrid) -> None:
    folder = _submitted(results, _slots(results, grid))
    _log(results, grid, 0.6, 0.7, None, 0.8)
    mark_started(results.run_dir(grid.plan.runs[2].run_id, "some"))  # which a process was about to begin
    assert Worker(folder, 0, StopRequest(end=0.0)).run() is Outcome.OUT_OF_TIME
    assert folder.waits_for_ranking
    _log(results, grid, None, None, 0.9, None)
    assert _decide(folder, 0) is None
    assert folder.tasks == [[grid.plan.runs[2].run_id], [grid.plan.runs[3].run_id]]


def test_cancelled_trial_has_ended(results: Results, grid: ExpandedGrid) -> None:
    rung = next(job for job in _planned(results, grid) if job.rung == 0)
    _submitted(results, rung, "8").mark_cancelled([grid.plan.runs[2].run_id])
    _log(results, grid, 0.6, 0.7, None, 0.8)
    assert _decide(_submitted(results, _slots(results, grid)), 0) is None
    last = rungs_of(results, grid.plan).rankings[0].trials[-1]
    assert (last.run_id, last.why) == (grid.plan.runs[2].run_id, "cancelled")


Rankings = list[list[tuple[str, float | None]]]
Deaths = dict[tuple[int, int], list[str]]
"""By the index of a trial and the rung: how its first attempts die, with their task or alone."""


@dataclass
class _World:
    """Where a search is trained in this process, as slots and attempts do it; what dies, and when, is given."""

    results: Results
    grid: ExpandedGrid
    deaths: Deaths

    def train(self, run: RunContext) -> Stop:
        """In place of `run_experiment`."""
        run_dir, epochs = run.run_dir, run.stop.pause_after
        run.on_begin(run_dir)
        index = self.grid.configs.index(run.config)
        rungs, before = rungs_of(self.results, self.grid.plan), steps_saved(run_dir)
        rung = rungs.last if epochs is None else rungs.halving.epochs.index(epochs)
        if deaths := self.deaths.get((index, rung)):
            run_dir.path.mkdir(parents=True, exist_ok=True)
            raise DiedError(deaths.pop())
        if index == 2 and rung == 1:
            raise SentimentError("the loss is nan")
        _write_epochs(run_dir, 0.5 + index / 100, epochs or 5, before)
        if epochs is None:
            run_dir.result_file.write_text("{}")
        return Stop("paused", "")

    def processes(self, _at_once: int, stop: StopRequest, _cancelled: object) -> ProcessPool:
        """In place of `ProcessPool`."""
        return _InThisProcess(1, stop, set, self)

    def search(self, order: Random) -> Rankings:
        jobs = [job for job in _planned(self.results, self.grid) if job.rung is not None]
        folders = [_submitted(self.results, job, str(number)) for number, job in enumerate(jobs)]
        for _ in range(20):  # the first chain, and those that the job that ends the grid submits
            for folder in folders:
                tasks = [*range(len(folder.submission.tasks))]
                for task in order.sample(tasks, len(tasks)):
                    with contextlib.suppress(DiedError):
                        perform(SubmissionDir(folder.path), task, StopRequest())
            rungs = rungs_of(self.results, self.grid.plan)
            if rungs.current == rungs.last and self.results.run_dir(rungs.trials(rungs.last)[0], "some").completed:
                break
        return [[(trial.run_id, trial.value) for trial in ranking.trials] for ranking in rungs.rankings]


@dataclass
class _InThisProcess(ProcessPool):
    """One process after another, and each is this one."""

    world: _World
    ended: dict[str, int] = field(default_factory=dict)

    @property
    def running(self) -> int:
        return len(self.ended)

    def start(self, name: str, work: Callable[[], int], device: str = "auto") -> None:
        (config,) = (one for one in self.world.grid.configs if one.run_id == name)
        run_dir = self.world.results.run_dir(name, "some")
        try:
            self.ended[name] = attempt_run(config, run_dir, self.stop, Resources())
        except DiedError as died:
            if died.args[0] == "with its task":
                raise
            self.ended[name] = -9

    def collect(self) -> dict[str, int]:
        ended, self.ended = self.ended, {}
        return ended


_KINDS = st.sampled_from(["with its task", "alone"])
_DEATHS = st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.lists(_KINDS, max_size=2))


@pytest.mark.slow
def test_no_death_counts(base: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(deaths: Deaths, order: Random) -> Rankings:
        results = Results(tmp_path_factory.mktemp("search"))
        results.write_grid(grid.plan)
        world = _World(results, grid, {where: [*dying] for where, dying in deaths.items()})
        monkeypatch.setattr("sentiment.training.experiment.run_experiment", world.train)
        monkeypatch.setattr("jobs.tasks.worker.ProcessPool", world.processes)
        monkeypatch.setattr("jobs.tasks.worker._LIBRARIES", ())
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            return world.search(order)

    grid = load_grid(write_grid(base, TRIALS, **HALVING), Results(base.parent / "results"))
    calm = search({}, Random(0))
    assert [len(ranking) for ranking in calm] == [4, 2, 1]

    @given(deaths=_DEATHS, order=st.randoms(use_true_random=False))
    @settings(max_examples=15, deadline=None)
    def check(deaths: Deaths, order: Random) -> None:
        assert search(deaths, order) == calm

    check()


def test_paused_trial_waits_as_long_as_slots_are_queued(results: Results, grid: ExpandedGrid) -> None:
    folder = _submitted(results, _slots(results, grid))
    _log(results, grid, 0.6, 0.7, None, 0.8)
    waiting = queued(folder, None, "Dependency")

    def states(*queue: Job) -> list[str]:
        rows = read_grid_status(results, grid.plan, GridJobs([folder], queue)).rows
        assert not any(needs_attention(row) for row in rows)
        return [row.state for row in rows]

    assert states(waiting) == ["PENDING", "PENDING", "PLANNED", "PENDING"]
    assert states() == ["PAUSED", "PAUSED", "PLANNED", "PAUSED"]
    rungs_of(results, grid.plan).rank_current({grid.plan.runs[2].run_id})
    assert states(waiting)[0] == "PRUNED"


def test_tasks_that_wait_are_not_submitted_twice(results: Results, grid: ExpandedGrid) -> None:
    folders = [_submitted(results, job, str(job.rung)) for job in _planned(results, grid) if job.by_ranking]
    queue = [queued(one, 0, "None") for one in folders]
    wanted = [RunRequest(RunStatus("PLANNED", grid="some", run_id=grid.configs[0].run_id), grid.configs[0])]

    def needed(wanted: list[RunRequest], queue: list[Job]) -> bool:
        launch = Launch(wanted, (), rungs_of(results, grid.plan))
        return a_session(results, GridJobs(folders, queue), grid.plan).needs_later_rungs(launch)

    assert not needed([], queue)
    assert needed(wanted, queue)  # they are to wait for this one too
    assert needed([], queue[1:])
    assert not needed(wanted, [queued(folders[0], 0, "None", "RUNNING"), *queue[1:]])
