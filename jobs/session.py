"""What the commands do to a grid: submit what is missing, submit again what failed, cancel; on Slurm or here."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jobs import policy
from jobs.grids.grid import ExpandedGrid
from jobs.grids.reuse import reuse_completed, trained_on_others
from jobs.grids.rounds import grow
from jobs.here import Here, gpus_here
from jobs.plan import CodeChoice, LaterRungs, WantedRun, later_rungs, plan_here, plan_jobs, with_pauses
from jobs.slurm import commands as slurm
from jobs.slurm.commands import Job
from jobs.slurm.grid_jobs import GridJobs, Place, read_jobs, settle_jobs
from jobs.slurm.resources import ClusterFile, read_cluster
from jobs.slurm.sbatch import submit_chain
from jobs.slurm.submissions import SubmissionDir, read_submissions
from jobs.status import RunStatus, describe_held, describe_unknown, read_grid_status, run_configs
from jobs.tasks.grid_end import GridEnd
from sentiment.config import RunConfig
from sentiment.console import Console, Progress, Say, silent
from sentiment.errors import LockedError, NoSlurmError, RunDirError, SentimentError, SlurmError
from sentiment.processes import HERE
from sentiment.runs.attempts import ProcessLock
from sentiment.runs.records import GridPlan, Tries
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import read_rungs
from sentiment.runs.state import CANCELLED, PAUSED, PLANNED, RUNNING, UNKNOWN

Run = tuple[RunStatus, RunConfig]


@dataclass(frozen=True)
class LaunchOptions:
    """What the command line says about how to execute runs.

    Attributes:
        cluster: what Slurm's jobs may use: a file, or what it says.
        local: whether to use this machine instead of Slurm.
        at_once: on this machine: how many runs at a time; None takes one for each GPU, or one.
        new_code: as in `jobs.plan.CodeChoice`.
        progress: shows how far a grid on this machine is.
    """

    cluster: Path | ClusterFile = field(default_factory=ClusterFile)
    local: bool = False
    at_once: int | None = None
    say: Say = print
    new_code: bool = False
    progress: Progress = silent

    @property
    def file(self) -> ClusterFile:
        """What the cluster's file says; on this machine there need not be one."""
        if isinstance(self.cluster, ClusterFile):
            return self.cluster
        return ClusterFile() if self.local and not self.cluster.is_file() else read_cluster(self.cluster)


@dataclass
class GridSession:
    """A grid and its jobs, while no other command submits or cancels anything of the grid.

    Attributes:
        here: what works off jobs on this machine; None if Slurm does.
        left_out: ids of the runs that were not submitted, since their files are damaged or their state is not known.
        exit_code: of the command.
    """

    results: Results
    plan: GridPlan
    jobs: GridJobs
    options: LaunchOptions
    here: Here | None = None
    left_out: list[str] = field(default_factory=list)
    exit_code: int = 0

    @property
    def say(self) -> Say:
        """Prints a line."""
        return self.options.say

    @property
    def rows(self) -> list[RunStatus]:
        """The states of the grid's runs."""
        return read_grid_status(self.results, self.plan, self.jobs).rows

    @cached_property
    def _code(self) -> CodeChoice:
        return CodeChoice(self.results, self.options.new_code)

    def submit(self, grid: ExpandedGrid) -> None:
        """Submit runs that are neither completed nor wait nor run; those completed in other grids are copied.

        Raises:
            SentimentError: Slurm refuses. The grid is as it was before, so that its file may be changed.
        """
        before = self.results.read_grid(self.plan.name)
        self.results.write_grid(grid.plan)
        try:
            self._submit_missing(grid)
        except SentimentError:
            if before:
                self.results.write_grid(before)
            elif not read_submissions(self.results, self.plan.name):
                self.results.grid_file(self.plan.name).unlink()
            raise

    def _submit_missing(self, grid: ExpandedGrid) -> None:
        reuse_completed(self.results, grid)
        if replaced := trained_on_others(self.results, grid):
            self.say(
                f"{len(replaced)} completed runs were trained on other tweets, vectors or ELMo weights than are here "
                f"now: move {self.results.run_dir(replaced[0], self.plan.name).path} and the like away to train anew"
            )
        rows = self.rows
        for line in describe_held(self.plan.name, rows):
            self.say(line)
        self._leave_unknown(rows)
        configs = dict(zip((run.run_id for run in grid.plan.runs), grid.configs, strict=True))
        trials = [(row, configs[row.run_id]) for row in rows if row.run_id in configs]
        missing = [one for one in trials if policy.submit(one[0]) == "submits"]
        self._forget_tries(missing)
        if rungs := read_rungs(self.results, self.plan):
            late = [one for one in missing if rungs.is_decided(one[0].run_id)]
            missing = [one for one in missing if one not in late]
            if late:
                self.say(
                    f"{len(late)} of {len(rows)} runs missed the ranking of their rung; to train them to its end "
                    f"anyway: `python -m jobs rerun {self.plan.name}`"
                )
        self._launch(missing, False, trials)

    def rerun(self, causes: Sequence[str], run_ids: set[str]) -> None:
        """Submit again what ended without a result, and release what is held.

        Args:
            causes: as in `jobs.policy.rerun`.
            run_ids: of the runs meant; all if empty.
        """
        meant = [row for row in self.rows if not run_ids or row.run_id in run_ids]
        actions = {row.run_id: policy.rerun(row, causes, bool(run_ids)) for row in meant}
        self._leave_unknown(meant)
        try:
            if not causes or "held" in causes:
                self._release([row for row in meant if actions[row.run_id] == "releases"])
        finally:  # one that an administrator holds is no reason to leave out the others
            wanted = self._readable([row for row in meant if actions[row.run_id] == "submits"])
            self._forget_tries(wanted)
            self._launch_again(wanted)

    def go_on(self) -> bool:
        """Submit what is to follow when a grid has ended; False if nothing is.

        That is what has begun and has not ended, since it was killed or ran out of something, with the later rungs of
        its search; or, when all has ended, the next round of a search that goes in rounds.
        """
        rows = self.rows
        again = [row for row in rows if policy.end(row) and self._can_be_trained(row)]
        for row in again:
            self.say(f"{row.run_id} has not ended, and is tried again: {row.state} {row.reason}".rstrip())
        if self.plan.rounds and not again and not any(row.active or row.state == PAUSED for row in rows):
            if grown := grow(self.plan, self.results):
                self.say(f"the next round: {len(grown[1])} trials, suggested by {len(self.plan.runs)}")
                self.plan = grown[0]
                self.results.write_grid(self.plan)
            again = [row for row in self.rows if row.state == PLANNED and row.run_id not in self.jobs.places]
        if again:
            self._launch_again(self._readable(again))
        return bool(again)

    def _leave_unknown(self, rows: Sequence[RunStatus]) -> None:
        for line in describe_unknown(rows):
            self.say(line)
        self.left_out.extend(row.run_id for row in rows if row.state == UNKNOWN)

    def _forget_tries(self, runs: Sequence[Run]) -> None:
        """Somebody wants them: what failed too often may be tried again as often."""
        for row, _ in runs:
            run_dir = self.results.run_dir(row.run_id, self.plan.name)
            if run_dir.tries_file.exists():
                run_dir.write_record(Tries(step=0, number=0, job=None))

    def _readable(self, rows: Sequence[RunStatus]) -> list[Run]:
        """Runs with their configurations; those whose own cannot be read are told and left out."""
        rows = [row for row in rows if self._can_be_trained(row)]
        found, mistakes = run_configs(self.results, self.plan, [row.run_id for row in rows], self.jobs.places)
        for run_id, mistake in mistakes.items():
            self.say(f"left out: {mistake}")
            self.left_out.append(run_id)
        return [(row, found[row.run_id]) for row in rows if row.run_id in found]

    def _can_be_trained(self, row: RunStatus) -> bool:
        """Whether the run's own `config.json` can be read, if it has begun; if not, its task could only fail."""
        run_dir = self.results.run_dir(row.run_id, self.plan.name)
        try:
            if run_dir.config_file.exists():
                run_dir.read_config()
        except RunDirError as error:
            if row.run_id not in self.left_out:
                self.say(f"left out: {error}; move {run_dir.path} away to begin it anew")
                self.left_out.append(row.run_id)
            return False
        return True

    def _launch_again(self, runs: Sequence[Run]) -> None:
        """Submit runs with their code; the rungs that follow wait for them, unless that is decided without them."""
        rungs = read_rungs(self.results, self.plan)
        trials: list[Run] = []
        if rungs and any(not rungs.is_decided(row.run_id) for row, _ in runs):
            planned = {run.run_id for run in self.plan.runs}
            trials = self._readable([row for row in self.rows if row.run_id in planned])
        self._launch(runs, True, trials)

    def _launch(self, runs: Sequence[Run], again: bool, trials: Sequence[Run]) -> None:
        """Submit runs.

        Args:
            again: as for `CodeChoice.choose`.
            trials: of a search, all of its runs, if the rungs after the current one are to follow.
        """
        runs = [one for one in runs if self._can_be_trained(one[0])]
        wanted, later = self._code.choose(runs, self.jobs.places, again, self.say), None
        if rungs := read_rungs(self.results, self.plan):
            wanted = with_pauses(wanted, rungs)
            candidates = self._code.choose(trials, self.jobs.places, again, lambda _line: None)
            later = later_rungs(rungs, candidates) if trials else None
        submitted = self._accept_here(wanted, later) if self.here else self._submit_to_slurm(wanted, later)
        for run_id in submitted:  # older tasks that still work off runs together are not to begin again with these
            if run_id in self.jobs.places and self.jobs.places[run_id][0].submission.pooled:
                self.jobs.places[run_id][0].cancel([run_id])

    def _accept_here(self, wanted: Sequence[WantedRun], later: LaterRungs | None) -> list[str]:
        if later and (elsewhere := [run for run in later.candidates if run.row.active]):
            self.say(f"{len(elsewhere)} trials of this rung are trained elsewhere, where the next rungs follow")
            later = None
        if not wanted and not later:
            self.say("nothing to do")
            return []
        self.say(f"{len(wanted)} of {len(self.plan.runs)} runs to do")
        at_once = self.options.at_once or max(len(gpus_here()), 1)
        if self.here:
            self.here.accept(plan_here(wanted, at_once, later))
        return [run.row.run_id for run in wanted]

    def _submit_to_slurm(self, wanted: Sequence[WantedRun], later: LaterRungs | None) -> list[str]:
        later = self._if_needed(wanted, later)
        if not wanted and not later and not self.jobs.lacks_final_job:
            self.say("nothing to submit")
            return []
        planned = plan_jobs(wanted, self.results, self.options.file, self.plan.name, self.jobs, later)
        chain = submit_chain(self.results, self.plan.name, planned, self.jobs)
        self.say(f"{len(wanted)} of {len(self.plan.runs)} runs submitted")
        for folder in chain.accepted:
            tasks = len(folder.submission.tasks)
            rung = f" of rung {folder.submission.rung}" if folder.submission.rung is not None else ""
            self.say(f"  {folder.submission.kind:6} job {folder.job_id}, {tasks} tasks{rung}   {folder.path}")
        if chain.refused_report:
            self.exit_code = chain.refused_report.exit_code
            self.say(f"training goes on, but its report was refused: {chain.refused_report}")
            self.say("the next `submit` or `rerun` submits it, and `make report` builds it here")
        return [run.row.run_id for run in wanted]

    def _if_needed(self, wanted: Sequence[WantedRun], later: LaterRungs | None) -> LaterRungs | None:
        """The later rungs, unless their tasks wait already, and for nothing else than before.

        Those that have begun are about to rank the current rung: what is submitted for it now comes too late.
        """
        run_ids = {run.row.run_id for run in wanted}
        others = [run.row.run_id for run in (later.candidates if later else ()) if run.row.run_id not in run_ids]
        if dying := [run_id for run_id in others if self._is_dying(run_id)]:
            self.say(
                f"{len(dying)} cancelled trials are still ending; the same command submits them when they have ended"
            )
            return None
        slots = {folder.submission.name: folder.submission.rung for folder in self.jobs.waiting_slots}
        begun = any(job.state == RUNNING for job in self.jobs.queue or () if job.name in slots)
        there = later is not None and {*later.numbers} <= {*slots.values()}
        return None if begun or (there and not wanted) else later

    def _is_dying(self, run_id: str) -> bool:
        """Whether the run was cancelled, and is still in the queue: a ranking must not come before it goes on."""
        task = self.jobs.queued(run_id, self.jobs.place(run_id))
        return task.cancelled and task.in_queue

    def _release(self, rows: Sequence[RunStatus]) -> None:
        """Release held tasks of runs, and the grid's held jobs that have no runs.

        Raises:
            SlurmError: Slurm refuses any of them; the others go on.
        """
        if self.here:  # what Slurm holds is left to it
            for line in describe_held(self.plan.name, rows):
                self.say(line)
            return
        places = [self.jobs.places[row.run_id] for row in rows]
        tasks = {(folder.submission.name, task) for folder, task in places}
        whole = {folder.submission.name for folder, _ in places if folder.submission.pooled}
        whole |= {one.submission.name for one in self.jobs.submissions if not one.submission.job_kind.trains_runs}
        held = (job for job in self.jobs.queue or () if job.held)
        released = [job.address for job in held if (job.name, job.task) in tasks or job.name in whole]
        slurm.release(released)
        if released:
            self.say(f"{len(released)} held job{'s' if len(released) > 1 else ''} released: {' '.join(released)}")

    def cancel(self, run_ids: set[str]) -> list[str]:
        """Cancel runs: their tasks or, where other runs of a task go on, only these runs. The runs' ids.

        They are marked before Slurm is asked, so that a task that is about to be requeued stays cancelled.

        Args:
            run_ids: of the runs meant; if empty, all that the grid has in the queue, other jobs and what newer ones
                have replaced too.
        """
        going_on = {row.run_id for row in self.rows if policy.cancel(row)}
        marks: dict[SubmissionDir, set[int | str]] = defaultdict(set)
        whole: dict[Place, Job] = {}
        cancelled: dict[str, None] = {}
        for (folder, task), job in self.jobs.active_tasks.items():
            trained = [run_id for run_id in folder.runs_of(task) if run_id in going_on]
            meant = [run_id for run_id in trained if not run_ids or run_id in run_ids]
            cancelled |= dict.fromkeys(meant)
            if not run_ids or (meant and meant == trained):
                whole[folder, task] = job
                marks[folder].add(task)
            if folder.submission.pooled:
                marks[folder].update(meant)
        try:
            for folder, found in marks.items():
                folder.cancel(found)
        except OSError as error:
            self.say(f"cannot write down that they are cancelled, but tells Slurm: {error}")
        slurm.cancel(dict.fromkeys(job.address for job in whole.values() if not job.job_id.startswith(HERE)))
        return list(cancelled)


@contextmanager
def open_session(
    results: Results, plan: GridPlan, options: LaunchOptions, here: Here | None = None
) -> Iterator[GridSession]:
    """Lock the grid and ask what is queued.

    Raises:
        LockedError: another command submits or cancels something of this grid.
        SlurmError: Slurm is to be used, but there is none, or it does not answer.
    """
    folder = results.slurm / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessLock(folder / "lock", "submits or cancels"):
        yield GridSession(results, plan, _jobs(results, plan.name, options.local), options, here)


def _jobs(results: Results, grid: str, local: bool) -> GridJobs:
    if local:
        return read_jobs(results, [grid])[0]
    try:
        return settle_jobs(results, grid)
    except NoSlurmError as error:
        here = f"`python -m jobs submit {grid} --local`, or `make submit GRID={grid} LOCAL=1`,"
        raise NoSlurmError(f"{error}; {here} runs the grid here and now") from None


def submit_grid(results: Results, grid: ExpandedGrid, options: LaunchOptions) -> int:
    """Submit a grid's missing runs; the command's exit code."""
    return _carry_out(results, grid.plan, options, lambda session: session.submit(grid))


def rerun_grid(
    results: Results, plan: GridPlan, causes: Sequence[str], run_ids: set[str], options: LaunchOptions
) -> int:
    """Submit again what ended without a result, as `GridSession.rerun` chooses it; the command's exit code."""
    return _carry_out(results, plan, options, lambda session: session.rerun(causes, run_ids))


def _carry_out(results: Results, plan: GridPlan, options: LaunchOptions, order: Callable[[GridSession], object]) -> int:
    if not options.local:
        with open_session(results, plan, options) as session:
            order(session)
        return session.exit_code or int(bool(session.left_out))
    notify = options.file.notify
    with Here(results, plan.name, Console(options.say, options.progress)) as here:
        with open_session(results, plan, options, here) as session:
            order(session)
        left_out = session.left_out
        here.work_off()
        more = bool(here.run_ids)
        while more and not here.stop.reason():
            with open_session(results, session.plan, options, here) as session:
                more = session.go_on()
            here.work_off()
        return _conclude(session, here, notify) or int(bool(left_out))


def _conclude(session: GridSession, here: Here, notify: Sequence[str]) -> int:
    """Build the report and tell somebody; the exit code by what became of the runs, however that goes."""
    if here.stop.reason():
        return policy.EXIT_RUNNING
    session.jobs = _jobs(session.results, session.plan.name, local=True)
    rows = [row for row in session.rows if row.run_id in here.run_ids]
    if any(row.state not in (CANCELLED, PLANNED) for row in rows):
        log = session.results.slurm / session.plan.name / "report.log"
        page = session.results.report / "report.html"
        session.options.progress("the report", 0, None)
        with open(log, "wb") as output:
            end = GridEnd(session.results, session.plan, notify, output, session.say)
            built = end.report(here.stop) == 0
            session.say(f"report: {page}" if built else f"report: FAILED; see {log}")
            end.tell_unless_stopped(here.stop, reported=built)
    if any(map(policy.needs_somebody, rows)):
        session.say(f"next: `python -m jobs rerun {session.plan.name} --local` repeats what failed")
    if any(row.state == CANCELLED for row in rows):
        return policy.EXIT_RUNNING
    return policy.EXIT_FAILED if any(policy.helps(row) for row in rows) else 0


def cancel_grid(results: Results, plan: GridPlan, run_ids: set[str], say: Say) -> None:
    """Cancel the runs of a grid, or some of them, wherever they wait or run.

    Args:
        run_ids: of the runs meant; all, and the grid's other jobs, if empty.

    Raises:
        LockedError: another command submits or cancels something of this grid.
        SlurmError: Slurm does not answer, or there is none although runs were submitted to it.
    """
    local = all(folder.submission.here for folder in read_submissions(results, plan.name))
    options = LaunchOptions(say=say, local=local)
    with ExitStack() as stack:
        try:
            session = stack.enter_context(open_session(results, plan, options))
        except LockedError:
            raise
        except (RunDirError, OSError) as error:  # a full disk is when cancelling matters most
            say(f"goes on without the grid's lock: {error}")
            session = GridSession(results, plan, read_jobs(results, [plan.name])[0], options)
            if session.jobs.queue is None:
                raise SlurmError(session.jobs.unseen) from None
        cancelled = session.cancel(run_ids)
        names = f": {' '.join(cancelled)}" if run_ids and cancelled else ""
        say(f"grid {plan.name}: {len(cancelled)} run{'' if len(cancelled) == 1 else 's'} cancelled{names}")
        meant = [row for row in session.rows if not run_ids or row.run_id in run_ids]
        for line in describe_unknown(meant):
            say(f"grid {plan.name}: not cancelled: {line}")
