"""Implements submit, rerun and cancel for a grid, on Slurm or on this machine."""

import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from jobs import policy, slurm
from jobs.grid_jobs import GridJobs, read_jobs, settle_jobs
from jobs.grids.grid import ExpandedGrid, reuse_completed, trained_on_old_inputs
from jobs.grids.rounds import plan_next_round
from jobs.local_runner import LocalRunner, visible_gpus
from jobs.plan import Launch, earlier_code, plan_local_jobs, plan_slurm_jobs, request_runs, submit_chain
from jobs.slurm.resources import ClusterFile, why_no_more_memory
from jobs.status.grid_state import GridRows, RunStatus, describe_held, describe_unknown, read_grid_state
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.console import Say, plural
from sentiment.errors import EXIT_FAILED, EXIT_UNFINISHED, ConfigError, NoSlurmError, SentimentError
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.code_version import freeze_code, running_code, start_command
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import GridPlan, StalledAttempts
from sentiment.runs.run_dir import Results
from sentiment.runs.state import CANCELLED, OUT_OF_MEMORY, PAUSED, PLANNED, RUNNING

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LaunchOptions:
    """Options of the command that determine where and how runs execute.

    Attributes:
        cluster: the resources of jobs in Slurm.
        local: run on this machine instead of Slurm.
        at_once: with `local`, the number of runs at a time; None means one for each GPU, at least one.
    """

    cluster: ClusterFile = field(default_factory=ClusterFile)
    local: bool = False
    at_once: int | None = None
    say: Say = print
    new_code: bool = False


@dataclass
class LockedGrid:
    """A grid and its jobs, under the grid's lock, so that no other command can change them.

    Attributes:
        runner: the local runner; None if jobs go to Slurm.
        exit_code: the exit code of the command.
    """

    results: Results
    plan: GridPlan
    jobs: GridJobs
    options: LaunchOptions
    runner: LocalRunner | None = None
    exit_code: int = 0

    @property
    def say(self) -> Say:
        return self.options.say

    def read_state(self) -> GridRows:
        return read_grid_state(self.results, self.plan, self.jobs)

    def submit(self, grid: ExpandedGrid) -> None:
        """Submit the runs that `policy.submit` names; copy results that another grid already has."""
        with self._restore_plan_on_error():
            self.results.write_grid(grid.plan)
            reuse_completed(self.results, grid)
            outdated = trained_on_old_inputs(self.results, grid)
            if outdated:
                self.say(
                    f"{len(outdated)} completed runs were trained on other tweets, vectors or encoder weights than the "
                    "current ones; to train them again, move their directories away, such as "
                    f"{self.results.run_dir(outdated[0], self.plan.name).path}"
                )
            state = self.read_state()
            self._report_held(state.rows)
            self._report_unknown(state.rows)
            too_late = [row for row in state.rows if policy.submit(row) == "submits" and state.missed_ranking(row)]
            if too_late:
                self.say(
                    f"{len(too_late)} of {len(state.rows)} runs were unfinished when their rung was ranked; "
                    f"`{self.results.command('rerun', self.plan.name)}` trains them to the end of that rung"
                )
            self._reset_retry_counters(state.to_submit)
            configs = {config.run_id: config for config in grid.configs}
            self._launch(
                state,
                self._without_oversized(state.to_submit),
                state.current_trials(),
                configs,
                resubmit=False,
            )

    @contextmanager
    def _restore_plan_on_error(self) -> Iterator[None]:
        previous = self.results.read_grid(self.plan.name)
        try:
            yield
        except SentimentError:
            if previous:
                self.results.write_grid(previous)
            elif not read_submissions(self.results, self.plan.name):
                self.results.grid_file(self.plan.name).unlink()
            raise

    def rerun(self, causes: Sequence[str], run_ids: set[str]) -> None:
        """Resubmit runs that ended without a result, and release held jobs; no ids mean all runs."""
        state = self.read_state()
        selected = state.rows_of(run_ids)
        self._report_unknown(selected)
        to_resubmit = [row for row in selected if policy.rerun(row, causes, bool(run_ids)) == "submits"]
        self._reset_retry_counters(to_resubmit)
        self._resubmit(state, self._without_oversized(to_resubmit))
        if self.runner:  # held jobs of Slurm are not touched
            self._report_held(selected)
        elif not causes or "held" in causes:
            self._release_held()

    def submit_follow_up(self) -> bool:
        """Submit what follows when all jobs of a grid have ended; return whether anything was submitted.

        These are runs that were started but killed, or that ran out of a resource, with the later rungs of their
        search. If there are none, it is the next round of a Bayesian search.
        """
        state = self.read_state()
        interrupted = self._without_oversized([row for row in state.rows if policy.final_job_action(row)])
        for row in interrupted:
            self.say(f"{row.run_id} is retried after {row.state} {row.reason}".rstrip())
        if interrupted:
            self._resubmit(state, interrupted)
            return True
        if not self.plan.rounds or any(row.active or row.state == PAUSED for row in state.rows):
            return False
        if next_round := plan_next_round(self.plan, self.results):
            plan, configs = next_round
            self.say(f"next round: {len(configs)} trials, suggested from the results of {len(self.plan.runs)}")
            self.plan = plan
            self.results.write_grid(plan)
            state = self.read_state()
        unsubmitted = [row for row in state.rows if row.state == PLANNED and row.run_id not in self.jobs.tasks]
        if unsubmitted:
            self._resubmit(state, unsubmitted)
        return bool(unsubmitted)

    def _without_oversized(self, rows: Sequence[RunStatus]) -> list[RunStatus]:
        """Return the runs without those that lacked memory and cannot get more; each of these is reported."""
        if self.runner or self.options.new_code:
            return list(rows)
        configured = self.options.cluster.resources(self.plan.name)
        kept = []
        for row in rows:
            previous = self.jobs.last_started(row.run_id) if row.state == OUT_OF_MEMORY else None
            reason = None
            if previous:
                reason = why_no_more_memory(configured, previous.submission.resources, self.jobs.limits(configured))
            if reason is None:
                kept.append(row)
            else:
                self.say(f"{row.run_id} is not submitted: {reason}; name another partition, or give --new-code")
                self.exit_code = EXIT_FAILED
        return kept

    def _report_held(self, rows: Sequence[RunStatus]) -> None:
        for line in describe_held(self.results, self.plan.name, rows):
            self.say(line)

    def _report_unknown(self, rows: Sequence[RunStatus]) -> None:
        """Say which runs are UNKNOWN: the command cannot do anything with them."""
        for line in describe_unknown(rows):
            self.say(line)
            self.exit_code = EXIT_FAILED

    def _reset_retry_counters(self, rows: Sequence[RunStatus]) -> None:
        for row in rows:
            run_dir = self.results.run_dir(row.run_id, self.plan.name)
            if run_dir.tries_file.exists():
                run_dir.write_record(StalledAttempts(step=0, number=0, job=None))

    def load_configs(self, run_ids: Collection[str]) -> dict[str, RunConfig]:
        """Read the configurations of runs: from the last submission or, if a run was never submitted, from the plan.

        Raises:
            ConfigError: the plan's file of the base run now gives another run.
        """
        unsubmitted = [run_id for run_id in run_ids if run_id not in self.jobs.tasks]
        configs: dict[str, RunConfig] = {}
        base_values = read_yaml(Path(self.plan.base)) if unsubmitted else {}
        parameters = {run.run_id: run.parameters for run in self.plan.runs}
        for run_id in unsubmitted:
            config = resolve(base_values, parameters[run_id], self.plan.base)
            if config.run_id != run_id:
                raise ConfigError(
                    f"{self.plan.base}: now gives run {config.run_id}, not {run_id} of grid {self.plan.name}; restore "
                    f"the file, or run `{self.results.command('submit', self.plan.name)}` to see what changed"
                )
            configs[run_id] = config
        for folder, submitted_ids in self.jobs.by_submission(run_ids).items():
            configs.update(folder.read_configs(submitted_ids))
        return configs

    def _resubmit(self, state: GridRows, rows: Sequence[RunStatus]) -> None:
        """Resubmit runs with their code; also submit jobs for later rungs, unless all these runs' rungs are ranked."""
        trials = state.current_trials() if any(not state.missed_ranking(row) for row in rows) else []
        configs = self.load_configs(dict.fromkeys(row.run_id for row in (*rows, *trials)))
        self._launch(state, rows, trials, configs, resubmit=True)

    def _launch(
        self,
        state: GridRows,
        rows: Sequence[RunStatus],
        trials: Sequence[RunStatus],
        configs: Mapping[str, RunConfig],
        *,
        resubmit: bool,
    ) -> None:
        """Submit runs, or train them here; also the later rungs of a search, for the `trials` of its current rung."""
        if self.options.new_code:
            configs = {run_id: _with_restart_allowed(config) for run_id, config in configs.items()}
        runs = request_runs(rows, configs, state.rungs)
        requested_trials = request_runs(trials, configs, state.rungs)
        code = self._choose_code((*rows, *trials), resubmit) if rows or trials else None
        launch = Launch(runs, requested_trials, state.rungs, code)
        refused_ids = set[str]()
        if self.runner:
            self._run_locally(self.runner, launch)
        else:
            refused_ids = self._submit_to_slurm(launch)
        self._cancel_in_earlier_arrays(row.run_id for row in rows if row.run_id not in refused_ids)

    def _choose_code(self, rows: Sequence[RunStatus], resubmit: bool) -> str:
        """Return the id of the code snapshot for some runs; copy the current code unless they keep an earlier one."""
        earlier = None if self.options.new_code else earlier_code(self.results, rows, self.jobs, resubmit)
        if earlier and earlier != running_code().id:
            self.say(
                f"the runs keep their earlier code, {self.results.code / earlier}; --new-code restarts them with the "
                "current code"
            )
        return earlier or freeze_code(self.results)

    def _cancel_in_earlier_arrays(self, run_ids: Iterable[str]) -> None:
        """Mark runs as cancelled in their last submission, whose tasks may still be running."""
        for folder, marked_ids in self.jobs.by_submission(run_ids).items():
            folder.mark_cancelled(marked_ids)

    def _run_locally(self, runner: LocalRunner, launch: Launch) -> None:
        active = [trial for trial in launch.trials if trial.row.active]
        if active:
            self.say(f"{len(active)} trials of this rung are pending or running; their jobs train the later rungs")
            launch = replace(launch, trials=())
        if not launch.runs and not launch.trials:
            self.say("nothing to run")
            return
        self.say(f"running {len(launch.runs)} of {len(self.plan.runs)} runs")
        at_once = self.options.at_once or max(len(visible_gpus()), 1)
        runner.accept(plan_local_jobs(launch, at_once))

    def _submit_to_slurm(self, launch: Launch) -> set[str]:
        """Submit the jobs of some runs, and return the ids of the runs that Slurm refused."""
        if not self.needs_later_rungs(launch):
            launch = replace(launch, trials=())
        if not launch.runs and not launch.trials and not self.jobs.lacks_final_job:
            self.say("nothing to submit")
            return set()
        planned = plan_slurm_jobs(launch, self.plan.name, self.results, self.options.cluster, self.jobs)
        chain = submit_chain(self.results, self.plan.name, planned, self.jobs)
        refused_ids = {run_id for job, _ in chain.refused for task in job.tasks for run_id in task}
        self.say(f"{len(launch.runs) - len(refused_ids)} of {len(self.plan.runs)} runs submitted")
        for folder in chain.accepted:
            job = folder.submission
            rung = "" if job.rung is None else f" of rung {job.rung}"
            self.say(f"  {job.kind:6} job {folder.job_id}, {plural(len(job.tasks), 'task')}{rung}   {folder.path}")
        for job, error in chain.refused:
            self.exit_code = error.exit_code
            if job.job_kind.final:
                self.say(
                    f"the training jobs were submitted, but the final job, which retries runs, was refused: {error}"
                )
                self.say(f"`{self.results.command('report')}` builds the report on this machine")
            else:
                run_ids = " ".join(run_id for task in job.tasks for run_id in task)
                self.say(f"not submitted, because Slurm refused {job.resources.describe()}: {run_ids}: {error}")
        if chain.not_cancelled:
            self.say(f"jobs that these replace were not cancelled, and may run as well: {chain.not_cancelled}")
        return refused_ids

    def needs_later_rungs(self, launch: Launch) -> bool:
        """Whether jobs for the later rungs must be submitted.

        Not if they are all pending and no run is added to the current rung; nor if one of them is running: it is about
        to rank the current rung, so that new runs would be too late.
        """
        if launch.rungs is None:
            return False
        pending = self.jobs.unranked_arrays
        names = {folder.name for folder in pending}
        if any(job.state == RUNNING and job.name in names for job in self.jobs.queue):
            return False
        all_pending = {*launch.rungs.later} <= {folder.submission.rung for folder in pending}
        return bool(launch.runs) or not all_pending

    def _release_held(self) -> None:
        """Release all held jobs of the grid."""
        names = {folder.name for folder in self.jobs.submissions}
        held = [job.address for job in self.jobs.queue if job.held and job.name in names]
        slurm.release(held)
        if held:
            self.say(f"held jobs released: {' '.join(held)}")

    def cancel(self, run_ids: set[str]) -> list[str]:
        """Cancel runs (no ids: all that the grid has in the queue), and return the ids of those that were active.

        Each run is marked in its submissions: a task that trains it sees the mark, saves and stops. A task is also
        cancelled in Slurm when no other run is left to it.
        """
        active_ids = [row.run_id for row in self.read_state().rows if policy.cancel(row)]
        to_cancel = {run_id for run_id in active_ids if not run_ids or run_id in run_ids}
        kept_ids = {*active_ids} - to_cancel
        marks: dict[SubmissionDir, set[str]] = defaultdict(set)
        to_scancel: dict[str, None] = {}
        for (folder, task), job in self.jobs.active_tasks.items():
            marks[folder].update(to_cancel.intersection(folder.run_ids))
            # A running task may take any run of its array.
            task_ids = folder.run_ids if job.state == RUNNING else folder.tasks[task]
            if not run_ids:
                marks[folder].add(folder.path.name)
                to_scancel[job.address] = None
            elif kept_ids.isdisjoint(task_ids) and not to_cancel.isdisjoint(task_ids):
                to_scancel[job.address] = None
        for folder, ids in marks.items():
            folder.mark_cancelled(ids)
        slurm.cancel(address for address in to_scancel if not address.startswith(LOCAL_JOB_PREFIX))
        cancelled_ids = set[str]().union(*marks.values())
        return [run_id for run_id in active_ids if run_id in cancelled_ids]


def _with_restart_allowed(config: RunConfig) -> RunConfig:
    runtime = config.runtime.model_copy(update={"other_code": "restart"})
    return config.model_copy(update={"runtime": runtime})


@contextmanager
def lock_grid(
    results: Results, plan: GridPlan, options: LaunchOptions, runner: LocalRunner | None = None
) -> Iterator[LockedGrid]:
    """Lock a grid and read its jobs.

    Raises:
        LockedError: another command submits or cancels something of this grid.
        NoSlurmError: there is no Slurm here, and the grid is not to run on this machine.
    """
    folder = results.slurm / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessLock(folder / "lock", "submits or cancels"):
        try:
            jobs = read_jobs(results, [plan.name])[0] if options.local else settle_jobs(results, plan.name)
        except NoSlurmError as error:
            raise NoSlurmError(
                f"{error}; `{results.command('submit', plan.name, '--local')}` runs the grid on this machine"
            ) from None
        yield LockedGrid(results, plan, jobs, options, runner)


def submit_grid(results: Results, grid: ExpandedGrid, options: LaunchOptions) -> int:
    """Submit a grid's unfinished runs and return the exit code."""
    return _run_command(results, grid.plan, options, lambda locked: locked.submit(grid))


def rerun_grid(
    results: Results, plan: GridPlan, causes: Sequence[str], run_ids: set[str], options: LaunchOptions
) -> int:
    """Resubmit runs that ended without a result, and return the exit code."""
    return _run_command(results, plan, options, lambda locked: locked.rerun(causes, run_ids))


def _run_command(
    results: Results, plan: GridPlan, options: LaunchOptions, action: Callable[[LockedGrid], object]
) -> int:
    if options.local:
        return _run_local_grid(results, plan, options, action)
    with lock_grid(results, plan, options) as grid:
        slurm.check_requirements()
        action(grid)
    return grid.exit_code


def _run_local_grid(
    results: Results, plan: GridPlan, options: LaunchOptions, action: Callable[[LockedGrid], object]
) -> int:
    with LocalRunner(results, plan.name, options.say) as runner:
        with lock_grid(results, plan, options, runner) as grid:
            action(grid)
        exit_code = grid.exit_code
        runner.run_all()
        unfinished = bool(runner.run_ids)
        while unfinished and not runner.stop.reason():
            with lock_grid(results, grid.plan, options, runner) as grid:
                unfinished = grid.submit_follow_up()
            runner.run_all()
        return _report_local_result(grid, runner) or exit_code


def _report_local_result(grid: LockedGrid, runner: LocalRunner) -> int:
    """Build the report, say what to do about failures, and return the exit code."""
    if runner.stop.reason():
        return EXIT_UNFINISHED
    (grid.jobs,) = read_jobs(grid.results, [grid.plan.name])
    rows = [row for row in grid.read_state().rows if row.run_id in runner.run_ids]
    built = True
    if any(row.state not in (CANCELLED, PLANNED) for row in rows):  # the command has trained something
        log = grid.results.slurm / grid.plan.name / "report.log"
        with open(log, "wb") as output:
            built = build_report(grid.results, runner.stop.reason, output)
        grid.say(f"report: {grid.results.report / 'report.html'}" if built else f"report: FAILED; see {log}")
    if any(map(policy.needs_attention, rows)):
        grid.say(f"to retry what failed: `{grid.results.command('rerun', grid.plan.name, '--local')}`")
    if any(row.state == CANCELLED for row in rows):
        return EXIT_UNFINISHED
    has_failed = not built or any(policy.resume_command(row) for row in rows)
    return EXIT_FAILED if has_failed else 0


def build_report(results: Results, stop_requested: Callable[[], object], output: IO[bytes] | None) -> bool:
    """Build the report in a subprocess, terminating it if a stop is requested; return whether it was built."""
    process = subprocess.Popen(  # noqa: S603
        [*start_command("report"), "--results", str(results.root)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    while process.poll() is None:
        if stop_requested():
            process.terminate()
        time.sleep(_POLL_SECONDS)
    return process.returncode == 0


def cancel_grid(results: Results, plan: GridPlan, run_ids: set[str], say: Say) -> None:
    """Cancel the given runs; with an empty set all runs and the grid's other jobs."""
    no_slurm_jobs = all(folder.submission.local for folder in read_submissions(results, plan.name))
    options = LaunchOptions(say=say, local=no_slurm_jobs)  # Slurm is needed only if the grid has jobs there
    with lock_grid(results, plan, options) as grid:
        cancelled = grid.cancel(run_ids)
        names = f": {' '.join(cancelled)}" if run_ids and cancelled else ""
        say(f"grid {plan.name}: {plural(len(cancelled), 'run')} cancelled{names}")
        left = [row for row in grid.read_state().rows_of(run_ids) if row.run_id not in cancelled]
        for line in describe_unknown(left):
            say(f"grid {plan.name}: not cancelled: {line}")
