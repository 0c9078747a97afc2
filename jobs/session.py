"""What the commands do to a grid: submit what is missing, submit again what failed, cancel; in a queue or here."""

import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

from jobs import policy
from jobs.grid_jobs import GridJobs, read_jobs, settle_jobs
from jobs.grids.grid import ExpandedGrid, reuse_completed, trained_on_others
from jobs.grids.rounds import grow
from jobs.here import Here, gpus_here
from jobs.plan import CodeChoice, LaterRungs, WantedRun, later_rungs, plan_here, plan_jobs, with_pauses
from jobs.slurm import commands as queue
from jobs.slurm.resources import ClusterFile, read_cluster
from jobs.slurm.sbatch import submit_chain
from jobs.status import RunStatus, describe_held, describe_unknown, read_grid_status, run_configs
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.config import RunConfig
from sentiment.console import Console, Progress, Say, silent
from sentiment.errors import LockedError, NoSlurmError, RunDirError, SentimentError, SlurmError
from sentiment.processes import HERE
from sentiment.runs.attempts import ProcessLock
from sentiment.runs.code_version import start_command
from sentiment.runs.records import GridPlan, Tries
from sentiment.runs.run_dir import Results
from sentiment.runs.state import CANCELLED, PAUSED, PLANNED, RUNNING, UNKNOWN, read_rungs

Run = tuple[RunStatus, RunConfig]

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LaunchOptions:
    """What the command line says about how to execute runs.

    Attributes:
        cluster: what jobs may use: a file, or what it says.
        local: whether to use this machine instead of a queue.
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
        if isinstance(self.cluster, ClusterFile):
            return self.cluster
        return ClusterFile() if self.local and not self.cluster.is_file() else read_cluster(self.cluster)


@dataclass
class GridSession:
    """A grid and its jobs, while no other command submits or cancels anything of the grid.

    Attributes:
        here: what works off jobs on this machine; None if a queue does.
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
        return self.options.say

    @property
    def rows(self) -> list[RunStatus]:
        return read_grid_status(self.results, self.plan, self.jobs).rows

    @cached_property
    def _code(self) -> CodeChoice:
        return CodeChoice(self.results, self.options.new_code)

    def submit(self, grid: ExpandedGrid) -> None:
        """Submit runs that are neither completed nor wait nor run; those completed in other grids are copied."""
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
        rungs = read_rungs(self.results, self.plan)
        late = [one for one in missing if rungs and rungs.is_decided(one[0].run_id)]
        if late:
            self.say(
                f"{len(late)} of {len(rows)} runs missed the ranking of their rung; to train them to its end "
                f"anyway: `sentiment rerun {self.plan.name}`"
            )
        self._forget_tries(missing)
        self._launch([one for one in missing if one not in late], False, trials)

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
                self._release([row for row in meant if actions[row.run_id] == "releases"], bool(run_ids))
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
        (self._accept_here if self.here else self._submit_to_queue)(wanted, later)
        for run in wanted:  # older tasks that still work off runs are not to begin again with these
            if run.row.run_id in self.jobs.places:
                self.jobs.places[run.row.run_id][0].cancel([run.row.run_id])

    def _accept_here(self, wanted: Sequence[WantedRun], later: LaterRungs | None) -> None:
        if later and (elsewhere := [run for run in later.candidates if run.row.active]):
            self.say(f"{len(elsewhere)} trials of this rung are trained elsewhere, where the next rungs follow")
            later = None
        if self.here and (wanted or later):
            self.say(f"{len(wanted)} of {len(self.plan.runs)} runs to do")
            self.here.accept(plan_here(wanted, self.options.at_once or max(len(gpus_here()), 1), later))
        else:
            self.say("nothing to do")

    def _submit_to_queue(self, wanted: Sequence[WantedRun], later: LaterRungs | None) -> None:
        later = self._if_needed(wanted, later)
        if not wanted and not later and not self.jobs.lacks_final_job:
            self.say("nothing to submit")
            return
        planned = plan_jobs(wanted, self.results, self.options.file, self.plan.name, self.jobs, later)
        accepted, refused = submit_chain(self.results, self.plan.name, planned, self.jobs)
        self.say(f"{len(wanted)} of {len(self.plan.runs)} runs submitted")
        for folder in accepted:
            tasks = len(folder.submission.tasks)
            rung = f" of rung {folder.submission.rung}" if folder.submission.rung is not None else ""
            self.say(f"  {folder.submission.kind:6} job {folder.job_id}, {tasks} tasks{rung}   {folder.path}")
        if refused:
            self.exit_code = refused.exit_code
            self.say(f"training goes on, but its report was refused: {refused}")
            self.say("the next `submit` or `rerun` submits it, and `make report` builds it here")

    def _if_needed(self, wanted: Sequence[WantedRun], later: LaterRungs | None) -> LaterRungs | None:
        """The later rungs, unless their tasks wait already, and for nothing else than before.

        Those that have begun are about to rank the current rung: what is submitted for it now comes too late.
        """
        if later is None:
            return None
        slots = {folder.submission.name: folder.submission.rung for folder in self.jobs.waiting_slots}
        begun = any(job.state == RUNNING for job in self.jobs.queue or () if job.name in slots)
        there = {*later.numbers} <= {*slots.values()}
        return None if begun or (there and not wanted) else later

    def _release(self, rows: Sequence[RunStatus], named: bool) -> None:
        """Release all held jobs of the grid or, if runs are named, those of arrays that have them and of services."""
        if self.here:  # what the queue holds is left to it
            for line in describe_held(self.plan.name, rows):
                self.say(line)
            return
        meant = {self.jobs.places[row.run_id][0] for row in rows}
        others = [one for one in self.jobs.submissions if not (named and one.submission.job_kind.trains_runs)]
        names = {one.submission.name for one in (*meant, *others)}
        released = [job.address for job in self.jobs.queue or () if job.held and job.name in names]
        queue.release(released)
        if released:
            self.say(f"{len(released)} held job{'s' if len(released) > 1 else ''} released: {' '.join(released)}")

    def cancel(self, run_ids: set[str]) -> list[str]:
        """Cancel runs; the ids of those that would have gone on.

        They are marked, which the tasks that train them heed. A task that has not begun is taken from the queue if
        nothing else is left of its share, and an array of which nothing is left.

        Args:
            run_ids: of the runs meant; if empty, all that the grid has in the queue, other jobs and what newer ones
                have replaced too.
        """
        going_on = {row.run_id for row in self.rows if policy.cancel(row)}
        others = going_on - run_ids if run_ids else set[str]()
        marks: dict[SubmissionDir, set[str]] = defaultdict(set)
        ended: dict[str, None] = {}
        cancelled: dict[str, None] = {}
        for (folder, task), job in self.jobs.active_tasks.items():
            meant = [run_id for run_id in folder.run_ids if run_id in going_on and run_id not in others]
            cancelled |= dict.fromkeys(meant)
            marks[folder].update(meant if run_ids else [*meant, folder.submission.id])
            left = others.intersection(folder.run_ids if job.state == RUNNING else folder.tasks[task])
            if not run_ids or (meant and not left and (job.state == RUNNING or {*folder.tasks[task]} & {*meant})):
                ended[job.address] = None
        try:
            for folder, found in marks.items():
                folder.cancel(found)
        except OSError as error:
            self.say(f"cannot write down that they are cancelled, but tells the queue: {error}")
        queue.cancel(address for address in ended if not address.startswith(HERE))
        return list(cancelled)


@contextmanager
def open_session(
    results: Results, plan: GridPlan, options: LaunchOptions, here: Here | None = None
) -> Iterator[GridSession]:
    """Lock the grid and ask what is queued.

    Raises:
        LockedError: another command submits or cancels something of this grid.
        SlurmError: a queue is to be used, but there is none, or it does not answer.
    """
    folder = results.slurm / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessLock(folder / "lock", "submits or cancels"):
        try:
            jobs = read_jobs(results, [plan.name])[0] if options.local else settle_jobs(results, plan.name)
        except NoSlurmError as error:
            raise NoSlurmError(f"{error}; `sentiment submit {plan.name} --local` runs the grid here and now") from None
        yield GridSession(results, plan, jobs, options, here)


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
        return _conclude(session, here) or int(bool(left_out))


def _conclude(session: GridSession, here: Here) -> int:
    """Build the report; the exit code by what became of the runs, however that goes."""
    if here.stop.reason():
        return policy.EXIT_RUNNING
    (session.jobs,) = read_jobs(session.results, [session.plan.name])
    rows = [row for row in session.rows if row.run_id in here.run_ids]
    if any(row.state not in (CANCELLED, PLANNED) for row in rows):
        log = session.results.slurm / session.plan.name / "report.log"
        session.options.progress("the report", 0, None)
        with open(log, "wb") as output:
            built = build_report(session.results, here.stop.reason, output)
        session.say(f"report: {session.results.report / 'report.html'}" if built else f"report: FAILED; see {log}")
    if any(map(policy.needs_somebody, rows)):
        session.say(f"next: `sentiment rerun {session.plan.name} --local` repeats what failed")
    if any(row.state == CANCELLED for row in rows):
        return policy.EXIT_RUNNING
    return policy.EXIT_FAILED if any(policy.helps(row) for row in rows) else 0


def build_report(results: Results, stopped: Callable[[], object], output: IO[bytes] | None) -> bool:
    """Build the report of all results; whether it could be built.

    It has a process of its own, since `jobs` does not import `report`.

    Args:
        stopped: a reason to stop, which ends it, or None.
        output: where it prints; None is the output of this process.
    """
    process = subprocess.Popen(  # noqa: S603
        [*start_command("report"), "--results", str(results.root)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    while process.poll() is None:
        if stopped():
            process.terminate()
        time.sleep(_POLL_SECONDS)
    return process.returncode == 0


def cancel_grid(results: Results, plan: GridPlan, run_ids: set[str], say: Say) -> None:
    """Cancel the runs of a grid, or some of them, wherever they wait or run.

    Args:
        run_ids: of the runs meant; all, and the grid's other jobs, if empty.

    Raises:
        LockedError: another command submits or cancels something of this grid.
        SlurmError: the queue does not answer, or there is none although runs were submitted to it.
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
        for line in describe_unknown(row for row in session.rows if not run_ids or row.run_id in run_ids):
            say(f"grid {plan.name}: not cancelled: {line}")
