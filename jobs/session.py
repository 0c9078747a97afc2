"""Implements submit, rerun and cancel for a grid, on Slurm or on this machine."""

import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

from jobs import policy, slurm
from jobs.grid_jobs import GridJobs, Place, read_jobs, settle_jobs
from jobs.grids.grid import ExpandedGrid, reuse_completed, trained_on_old_inputs
from jobs.grids.rounds import plan_next_round
from jobs.here import Here, gpus_here
from jobs.plan import CodeChoice, Launch, pause_at_rung_end, plan_local_jobs, plan_slurm_jobs, submit_chain
from jobs.slurm.resources import ClusterFile, Resources, exhausted, read_cluster
from jobs.status import GridState, RunStatus, describe_held, describe_unknown, read_grid_state
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.console import Say
from sentiment.errors import EXIT_FAILED, EXIT_UNFINISHED, ConfigError, NoSlurmError, SentimentError, SlurmError
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.code_version import start_command
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import GridPlan, Tries
from sentiment.runs.run_dir import Results
from sentiment.runs.state import CANCELLED, OUT_OF_MEMORY, PAUSED, PLANNED, RUNNING, UNKNOWN

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LaunchOptions:
    """Options of the command that determine where and how runs execute.

    Attributes:
        cluster: the cluster file.
        local: run on this machine instead of Slurm.
        at_once: with `local`, the number of runs at a time; None means one for each GPU, at least one.
    """

    cluster: Path | ClusterFile = field(default_factory=ClusterFile)
    local: bool = False
    at_once: int | None = None
    say: Say = print
    new_code: bool = False

    @property
    def cluster_config(self) -> ClusterFile:
        if isinstance(self.cluster, ClusterFile):
            return self.cluster
        if self.local and not self.cluster.is_file():
            return ClusterFile()
        return read_cluster(self.cluster)


@dataclass
class LockedGrid:
    """A grid and its jobs, under the grid's lock, so that no other command can change them.

    Attributes:
        here: the local runner; None if jobs go to Slurm.
        unknown_count: the number of runs that a command skipped because they are UNKNOWN.
        exit_code: of the command.
    """

    results: Results
    plan: GridPlan
    jobs: GridJobs
    options: LaunchOptions
    here: Here | None = None
    unknown_count: int = 0
    exit_code: int = 0

    @property
    def say(self) -> Say:
        return self.options.say

    def read_state(self) -> GridState:
        return read_grid_state(self.results, self.plan, self.jobs)

    @cached_property
    def _code(self) -> CodeChoice:
        return CodeChoice(self.results, self.options.new_code)

    def submit(self, grid: ExpandedGrid) -> None:
        """Submit runs that are not completed, pending or running; copy results that another grid already has."""
        with self._restore_plan_on_error():
            self.results.write_grid(grid.plan)
            reuse_completed(self.results, grid)
            if outdated := trained_on_old_inputs(self.results, grid):
                self.say(
                    f"{len(outdated)} completed runs were trained on other tweets, vectors or ELMo weights than the "
                    f"current ones; to train them again, move {self.results.run_dir(outdated[0], self.plan.name).path} "
                    "and the like away"
                )
            state = self.read_state()
            self._say_all(describe_held(self.results.command("rerun", self.plan.name), state.rows))
            self._report_unknown(state.rows)
            missing = [row for row in state.planned if policy.submit(row) == "submits"]
            to_submit = [row for row in missing if not state.missed_ranking(row)]
            if len(to_submit) < len(missing):
                missed = len(missing) - len(to_submit)
                self.say(
                    f"{missed} of {len(state.rows)} runs were unfinished when their rung was ranked; "
                    f"`{self.results.command('rerun', self.plan.name)}` trains them to the end of that rung anyway"
                )
            self._reset_retry_counters(missing)
            configs = {config.run_id: config for config in grid.configs}
            self._launch(state, self._without_exhausted(to_submit), state.current_trials(), configs, resubmit=False)

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
        selected = state.named(run_ids)
        self._report_unknown(selected)
        actions = {row.run_id: policy.rerun(row, causes, bool(run_ids)) for row in selected}
        refusal: SlurmError | None = None
        if not causes or "held" in causes:
            try:
                self._release([row for row in selected if actions[row.run_id] == "releases"], bool(run_ids))
            except SlurmError as error:  # such as a job that an administrator holds: the other runs are resubmitted
                refusal = error
        to_resubmit = [row for row in selected if actions[row.run_id] == "submits"]
        self._reset_retry_counters(to_resubmit)
        self._resubmit(state, self._without_exhausted(to_resubmit))
        if refusal:
            raise refusal

    def submit_follow_up(self) -> bool:
        """Submit what follows when all jobs of a grid have ended; whether there was anything.

        These are runs that were started but killed, or that ran out of a resource, with the later rungs of their
        search. If there are none, it is the next round of a Bayesian search.
        """
        state = self.read_state()
        interrupted = self._without_exhausted([row for row in state.rows if policy.end(row)])
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
        unsubmitted = [row for row in state.rows if row.state == PLANNED and row.run_id not in self.jobs.places]
        if unsubmitted:
            self._resubmit(state, unsubmitted)
        return bool(unsubmitted)

    def _without_exhausted(self, rows: Sequence[RunStatus]) -> list[RunStatus]:
        """Return the runs without those that lacked memory and cannot get more; each of these is reported."""
        if self.here or self.options.new_code:
            return list(rows)
        configured = self.options.cluster_config.resources(self.plan.name)
        kept = []
        for row in rows:
            reason = self._why_exhausted(row, configured)
            if reason:
                self.say(f"{row.run_id} is not submitted: {reason}; name another partition, or give --new-code")
                self.exit_code = EXIT_FAILED
            else:
                kept.append(row)
        return kept

    def _why_exhausted(self, row: RunStatus, configured: Resources) -> str | None:
        previous = self.jobs.last_started(row.run_id) if row.state == OUT_OF_MEMORY else None
        if previous is None:
            return None
        return exhausted(configured, previous.submission.resources, self.jobs.limits(configured))

    def _report_unknown(self, rows: Sequence[RunStatus]) -> None:
        self._say_all(describe_unknown(rows))
        self.unknown_count = sum(row.state == UNKNOWN for row in rows)

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.say(line)

    def _reset_retry_counters(self, rows: Sequence[RunStatus]) -> None:
        for row in rows:
            run_dir = self.results.run_dir(row.run_id, self.plan.name)
            if run_dir.tries_file.exists():
                run_dir.write_record(Tries(step=0, number=0, job=None))

    def load_configs(self, run_ids: Iterable[str]) -> dict[str, RunConfig]:
        """The configurations of runs: from the last submission, else from the run's directory, else from the plan.

        Raises:
            ConfigError: a file now gives another run.
        """
        by_submission: dict[SubmissionDir, list[str]] = defaultdict(list)
        configs: dict[str, RunConfig] = {}
        unstarted = []
        for run_id in run_ids:
            run_dir = self.results.run_dir(run_id, self.plan.name)
            if run_id in self.jobs.places:
                by_submission[self.jobs.places[run_id][0]].append(run_id)
            elif run_dir.config_file.exists():
                configs[run_id] = self._checked(run_id, run_dir.read_config(), str(run_dir.config_file))
            else:
                unstarted.append(run_id)
        for folder, submitted_ids in by_submission.items():
            configs.update(folder.read_configs(submitted_ids))
        if unstarted:
            base_values = read_yaml(Path(self.plan.base))
            parameters = {run.run_id: run.parameters for run in self.plan.runs}
            for run_id in unstarted:
                config = resolve(base_values, parameters[run_id], self.plan.base)
                configs[run_id] = self._checked(run_id, config, self.plan.base)
        return configs

    def _checked(self, run_id: str, config: RunConfig, file: str) -> RunConfig:
        if config.run_id == run_id:
            return config
        raise ConfigError(
            f"{file}: now gives run {config.run_id}, not {run_id} of grid {self.plan.name}; restore the file, or run "
            f"`{self.results.command('submit', self.plan.name)}` to see what changed"
        )

    def _resubmit(self, state: GridState, rows: Sequence[RunStatus]) -> None:
        """Resubmit runs with their code, and the later rungs unless the rungs of all these runs are ranked already."""
        trials = state.current_trials() if any(not state.missed_ranking(row) for row in rows) else []
        configs = self.load_configs(dict.fromkeys(row.run_id for row in (*rows, *trials)))
        self._launch(state, rows, trials, configs, resubmit=True)

    def _launch(
        self,
        state: GridState,
        rows: Sequence[RunStatus],
        trials: Sequence[RunStatus],
        configs: Mapping[str, RunConfig],
        *,
        resubmit: bool,
    ) -> None:
        """Have runs executed, and the later rungs of a search if `trials` has those of its current rung."""
        tasks = self.jobs.places
        requests = self._code.choose(rows, configs, tasks, resubmit)
        self._say_all(self._code.describe_earlier(requests))
        trial_requests = self._code.choose(trials, configs, tasks, resubmit)
        if state.rungs:
            requests = pause_at_rung_end(requests, state.rungs)
            trial_requests = pause_at_rung_end(trial_requests, state.rungs)
        launch = Launch(requests, trial_requests, state.rungs)
        refused_ids = set[str]()
        if self.here:
            self._run_here(self.here, launch)
        else:
            refused_ids = self._submit_to_slurm(launch)
        self._cancel_in_earlier_arrays(row.run_id for row in rows if row.run_id not in refused_ids)

    def _cancel_in_earlier_arrays(self, run_ids: Iterable[str]) -> None:
        """Mark runs as cancelled in their last submission, whose tasks may still be running."""
        marks: dict[SubmissionDir, list[str]] = defaultdict(list)
        for run_id in run_ids:
            if run_id in self.jobs.places:
                marks[self.jobs.places[run_id][0]].append(run_id)
        for folder, marked_ids in marks.items():
            folder.mark_cancelled(marked_ids)

    def _run_here(self, here: Here, launch: Launch) -> None:
        active = [trial for trial in launch.trials if trial.row.active]
        if active:
            self.say(f"{len(active)} trials of this rung are pending or running; their jobs train the later rungs")
            launch = Launch(launch.runs, (), launch.rungs)
        if not launch.runs and not launch.trials:
            self.say("nothing to run")
            return
        self.say(f"running {len(launch.runs)} of {len(self.plan.runs)} runs")
        at_once = self.options.at_once or max(len(gpus_here()), 1)
        here.accept(plan_local_jobs(launch, at_once))

    def _submit_to_slurm(self, launch: Launch) -> set[str]:
        """Submit the jobs of some runs, and return the ids of the runs that Slurm refused."""
        if not self.needs_later_rungs(launch):
            launch = Launch(launch.runs, (), launch.rungs)
        if not launch.runs and not launch.trials and not self.jobs.lacks_final_job:
            self.say("nothing to submit")
            return set()
        planned = plan_slurm_jobs(launch, self.plan.name, self.results, self.options.cluster_config, self.jobs)
        chain = submit_chain(self.results, self.plan.name, planned, self.jobs)
        refused_ids = chain.refused_run_ids
        self.say(f"{len(launch.runs) - len(refused_ids)} of {len(self.plan.runs)} runs submitted")
        for folder in chain.accepted:
            submission = folder.submission
            rung = "" if submission.rung is None else f" of rung {submission.rung}"
            self.say(f"  {submission.kind:6} job {folder.job_id}, {len(submission.tasks)} tasks{rung}   {folder.path}")
        for job, error in chain.refused:
            self.exit_code = error.exit_code
            if job.job_kind.final:
                self.say(f"the training jobs were submitted, but the report's was refused: {error}")
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
        pending = self.jobs.waiting_slots
        names = {folder.submission.name for folder in pending}
        if any(job.state == RUNNING and job.name in names for job in self.jobs.queue or ()):
            return False
        all_pending = {*launch.rungs.later} <= {folder.submission.rung for folder in pending}
        return bool(launch.runs) or not all_pending

    def _release(self, rows: Sequence[RunStatus], named: bool) -> None:
        """Release all held jobs of the grid; if runs are named, those of their arrays and of non-training jobs."""
        if self.here:  # held jobs of Slurm are not touched
            self._say_all(describe_held(self.results.command("rerun", self.plan.name), rows))
            return
        folders = {self.jobs.places[row.run_id][0] for row in rows}
        for folder in self.jobs.submissions:
            if not named or not folder.submission.job_kind.trains_runs:
                folders.add(folder)
        names = {folder.submission.name for folder in folders}
        held = [job.address for job in self.jobs.queue or () if job.held and job.name in names]
        slurm.release(held)
        if held:
            self.say(f"{len(held)} held job{'s' if len(held) > 1 else ''} released: {' '.join(held)}")

    def cancel(self, run_ids: set[str]) -> list[str]:
        """Cancel runs (no ids: all that the grid has in the queue), and return the ids of those that were active.

        Each run is marked in its submissions: a task that trains it sees the mark, saves and stops. A task is also
        cancelled in Slurm when no other run is left to it.
        """
        active_ids = {row.run_id for row in self.read_state().rows if policy.cancel(row)}
        kept_ids = active_ids - run_ids if run_ids else set[str]()
        to_cancel = active_ids - kept_ids
        marks: dict[SubmissionDir, set[str]] = defaultdict(set)
        to_scancel = []
        cancelled: dict[str, None] = {}
        for (folder, task), job in self.jobs.active_tasks.items():
            marked = [run_id for run_id in folder.run_ids if run_id in to_cancel]
            cancelled |= dict.fromkeys(marked)
            marks[folder].update(marked)
            if not run_ids:
                marks[folder].add(folder.submission.id)
            if not run_ids or _only_cancelled_left((folder, task), job.state == RUNNING, marked, kept_ids):
                to_scancel.append(job.address)
        for folder, ids in marks.items():
            folder.mark_cancelled(ids)
        slurm.cancel(address for address in dict.fromkeys(to_scancel) if not address.startswith(LOCAL_JOB_PREFIX))
        return list(cancelled)


def _only_cancelled_left(place: Place, runs: bool, marked: Collection[str], kept_ids: Collection[str]) -> bool:
    """Whether nothing but cancelled runs is left to a task; one that runs may take any run of its array."""
    folder, task = place
    if runs:
        return bool(marked) and not any(run_id in kept_ids for run_id in folder.run_ids)
    own = folder.tasks[task]
    return any(run_id in marked for run_id in own) and not any(run_id in kept_ids for run_id in own)


@contextmanager
def lock_grid(
    results: Results, plan: GridPlan, options: LaunchOptions, here: Here | None = None
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
        yield LockedGrid(results, plan, jobs, options, here)


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
    return grid.exit_code or (EXIT_FAILED if grid.unknown_count else 0)


def _run_local_grid(
    results: Results, plan: GridPlan, options: LaunchOptions, action: Callable[[LockedGrid], object]
) -> int:
    with Here(results, plan.name, options.say) as here:
        with lock_grid(results, plan, options, here) as grid:
            action(grid)
        unknown_count = grid.unknown_count
        here.work_off()
        unfinished = bool(here.run_ids)
        while unfinished and not here.stop.reason():
            with lock_grid(results, grid.plan, options, here) as grid:
                unfinished = grid.submit_follow_up()
            here.work_off()
        return _report_local_result(grid, here) or (EXIT_FAILED if unknown_count else 0)


def _report_local_result(grid: LockedGrid, here: Here) -> int:
    """Build the report, say what to do about failures, and return the exit code."""
    if here.stop.reason():
        return EXIT_UNFINISHED
    (grid.jobs,) = read_jobs(grid.results, [grid.plan.name])
    rows = [row for row in grid.read_state().rows if row.run_id in here.run_ids]
    if any(row.state not in (CANCELLED, PLANNED) for row in rows):  # the command has trained something
        log = grid.results.slurm / grid.plan.name / "report.log"
        with open(log, "wb") as output:
            built = build_report(grid.results, here.stop.reason, output)
        grid.say(f"report: {grid.results.report / 'report.html'}" if built else f"report: FAILED; see {log}")
    if any(map(policy.needs_attention, rows)):
        grid.say(f"to retry what failed: `{grid.results.command('rerun', grid.plan.name, '--local')}`")
    if any(row.state == CANCELLED for row in rows):
        return EXIT_UNFINISHED
    return EXIT_FAILED if any(policy.resume_command(row) for row in rows) else 0


def build_report(results: Results, stop_requested: Callable[[], object], output: IO[bytes] | None) -> bool:
    """Build the report in a subprocess, terminating it if a stop is requested; whether it was built."""
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
    no_slurm_jobs = all(folder.submission.here for folder in read_submissions(results, plan.name))
    options = LaunchOptions(say=say, local=no_slurm_jobs)  # without jobs in Slurm it need not be there
    with lock_grid(results, plan, options) as grid:
        cancelled = grid.cancel(run_ids)
        names = f": {' '.join(cancelled)}" if run_ids and cancelled else ""
        say(f"grid {plan.name}: {len(cancelled)} run{'' if len(cancelled) == 1 else 's'} cancelled{names}")
        left = [row for row in grid.read_state().named(run_ids) if row.run_id not in cancelled]
        for line in describe_unknown(left):
            say(f"grid {plan.name}: not cancelled: {line}")
