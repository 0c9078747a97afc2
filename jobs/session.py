"""What the commands do to a grid: submit what is missing, submit again what failed, cancel; in a queue or here."""

import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

from jobs import policy
from jobs.grid_jobs import GridJobs, read_jobs, settle_jobs
from jobs.grids.grid import ExpandedGrid, reuse_completed, trained_on_old_inputs
from jobs.grids.rounds import plan_next_round
from jobs.here import Here, gpus_here
from jobs.plan import CodeChoice, WantedRun, plan_here, plan_jobs, ranked_next, with_pauses
from jobs.slurm import commands as queue
from jobs.slurm.resources import ClusterFile, read_cluster
from jobs.slurm.sbatch import submit_chain
from jobs.status import RunStatus, describe_held, describe_unknown, read_grid_status
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.console import Say
from sentiment.errors import ConfigError, NoSlurmError, SentimentError
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.code_version import start_command
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import GridPlan, Tries
from sentiment.runs.run_dir import Results
from sentiment.runs.state import CANCELLED, PAUSED, PLANNED, RUNNING, UNKNOWN, read_rungs

Run = tuple[RunStatus, RunConfig]

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LaunchOptions:
    """What the command line says about how to execute runs, here (`local`) or by a queue, with its cluster's file.

    Attributes:
        at_once: on this machine: how many runs at a time; None takes one for each GPU, or one.
    """

    cluster: Path | ClusterFile = field(default_factory=ClusterFile)
    local: bool = False
    at_once: int | None = None
    say: Say = print
    new_code: bool = False

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
        unknown: how many runs were not submitted, since their state is not known.
        exit_code: of the command.
    """

    results: Results
    plan: GridPlan
    jobs: GridJobs
    options: LaunchOptions
    here: Here | None = None
    unknown: int = 0
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
        if replaced := trained_on_old_inputs(self.results, grid):
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
        """Submit again what ended without a result, and release what is held; no ids mean all runs."""
        meant = [row for row in self.rows if not run_ids or row.run_id in run_ids]
        actions = {row.run_id: policy.rerun(row, causes, bool(run_ids)) for row in meant}
        self._leave_unknown(meant)
        try:
            if not causes or "held" in causes:
                self._release([row for row in meant if actions[row.run_id] == "releases"], bool(run_ids))
        finally:  # one that an administrator holds is no reason to leave out the others
            wanted = self._configured([row for row in meant if actions[row.run_id] == "submits"])
            self._forget_tries(wanted)
            self._launch_again(wanted)

    def go_on(self) -> bool:
        """Submit what is to follow when a grid has ended; False if nothing is.

        That is what has begun and has not ended, since it was killed or ran out of something, with the later rungs of
        its search; or, when all has ended, the next round of a search that goes in rounds.
        """
        rows = self.rows
        again = [row for row in rows if policy.end(row)]
        for row in again:
            self.say(f"{row.run_id} has not ended, and is tried again: {row.state} {row.reason}".rstrip())
        if self.plan.rounds and not again and not any(row.active or row.state == PAUSED for row in rows):
            if grown := plan_next_round(self.plan, self.results):
                self.say(f"the next round: {len(grown[1])} trials, suggested by {len(self.plan.runs)}")
                self.plan = grown[0]
                self.results.write_grid(self.plan)
            again = [row for row in self.rows if row.state == PLANNED and row.run_id not in self.jobs.places]
        if again:
            self._launch_again(self._configured(again))
        return bool(again)

    def _leave_unknown(self, rows: Sequence[RunStatus]) -> None:
        for line in describe_unknown(rows):
            self.say(line)
        self.unknown = sum(row.state == UNKNOWN for row in rows)

    def _forget_tries(self, runs: Sequence[Run]) -> None:
        for row, _ in runs:
            run_dir = self.results.run_dir(row.run_id, self.plan.name)
            if run_dir.tries_file.exists():
                run_dir.write_record(Tries(step=0, number=0, job=None))

    def _configured(self, rows: Sequence[RunStatus]) -> list[Run]:
        """Runs with their configurations: as last submitted, else as begun, else as the plan says."""
        places, base = self.jobs.places, self.plan.base
        found: dict[str, RunConfig] = {}
        for folder in {places[row.run_id][0] for row in rows if row.run_id in places}:
            found.update(folder.configs)
        planned = {run.run_id: run.parameters for run in self.plan.runs}
        for run_id in (row.run_id for row in rows if row.run_id not in found):
            run_dir = self.results.run_dir(run_id, self.plan.name)
            begun = run_dir.config_file.exists()
            found[run_id] = run_dir.read_config() if begun else resolve(read_yaml(Path(base)), planned[run_id], base)
            if found[run_id].run_id != run_id:
                raise ConfigError(
                    f"{run_dir.config_file if begun else base}: gives run {found[run_id].run_id}, not {run_id} of grid "
                    f"{self.plan.name}; bring back its file, or `sentiment submit {self.plan.name}` says what changed"
                )
        return [(row, found[row.run_id]) for row in rows]

    def _launch_again(self, runs: Sequence[Run]) -> None:
        """Submit runs with their code; the rungs that follow wait for them, unless that is decided without them."""
        rungs = read_rungs(self.results, self.plan)
        trials: list[Run] = []
        if rungs and any(not rungs.is_decided(row.run_id) for row, _ in runs):
            planned = {run.run_id for run in self.plan.runs}
            trials = self._configured([row for row in self.rows if row.run_id in planned])
        self._launch(runs, True, trials)

    def _launch(self, runs: Sequence[Run], again: bool, trials: Sequence[Run]) -> None:
        """Submit runs; of a search with all of its trials, if the rungs after the current one are to follow."""
        wanted, candidates = self._code.choose(runs, self.jobs.places, again, self.say), list[WantedRun]()
        if rungs := read_rungs(self.results, self.plan):
            wanted = with_pauses(wanted, rungs)
            candidates = ranked_next(self._code.choose(trials, self.jobs.places, again, lambda _line: None), rungs)
        (self._accept_here if self.here else self._submit_to_queue)(wanted, candidates)
        for run in wanted:  # older tasks that still work off runs are not to begin again with these
            if run.row.run_id in self.jobs.places:
                self.jobs.places[run.row.run_id][0].mark_cancelled([run.row.run_id])

    def _accept_here(self, wanted: Sequence[WantedRun], candidates: Sequence[WantedRun]) -> None:
        if elsewhere := [run for run in candidates if run.row.active]:
            self.say(f"{len(elsewhere)} trials of this rung are trained elsewhere, where the next rungs follow")
            candidates = []
        if self.here and (wanted or candidates):
            self.say(f"{len(wanted)} of {len(self.plan.runs)} runs to do")
            at_once = self.options.at_once or max(len(gpus_here()), 1)
            self.here.accept(plan_here(wanted, candidates, read_rungs(self.results, self.plan), at_once))
        else:
            self.say("nothing to do")

    def _submit_to_queue(self, wanted: Sequence[WantedRun], candidates: Sequence[WantedRun]) -> None:
        candidates = candidates if self._needs_slots(wanted) else []
        if not wanted and not candidates and not self.jobs.lacks_final_job:
            self.say("nothing to submit")
            return
        planned = plan_jobs(wanted, candidates, self.plan, self.results, self.options.file, self.jobs)
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

    def _needs_slots(self, wanted: Sequence[WantedRun]) -> bool:
        """Not if tasks of all later rungs wait already, and for nothing else than before.

        Those that have begun are about to rank the current rung: what is submitted for it now comes too late.
        """
        rungs = read_rungs(self.results, self.plan)
        slots = {folder.submission.name: folder.submission.rung for folder in self.jobs.waiting_slots}
        begun = any(job.state == RUNNING for job in self.jobs.queue or () if job.name in slots)
        there = rungs is not None and {*rungs.later} <= {*slots.values()}
        return not begun and (bool(wanted) or not there)

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
        """Cancel runs (no ids: all that the grid has in the queue); the ids of those that would have gone on.

        They are marked, which the tasks that train them heed. A task that has not begun is taken from the queue if
        nothing else is left of its share, and an array of which nothing is left.
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
        for folder, found in marks.items():
            folder.mark_cancelled(found)
        queue.cancel(address for address in ended if not address.startswith(LOCAL_JOB_PREFIX))
        return list(cancelled)


@contextmanager
def open_session(
    results: Results, plan: GridPlan, options: LaunchOptions, here: Here | None = None
) -> Iterator[GridSession]:
    """Lock the grid and ask what is queued; a LockedError if another command submits or cancels something of it."""
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
    return _carry_out(results, plan, options, lambda session: session.rerun(causes, run_ids))


def _carry_out(results: Results, plan: GridPlan, options: LaunchOptions, order: Callable[[GridSession], object]) -> int:
    if not options.local:
        with open_session(results, plan, options) as session:
            order(session)
        return session.exit_code or int(bool(session.unknown))
    with Here(results, plan.name, options.say) as here:
        with open_session(results, plan, options, here) as session:
            order(session)
        unknown = session.unknown
        here.work_off()
        more = bool(here.run_ids)
        while more and not here.stop.reason():
            with open_session(results, session.plan, options, here) as session:
                more = session.go_on()
            here.work_off()
        return _conclude(session, here) or int(bool(unknown))


def _conclude(session: GridSession, here: Here) -> int:
    if here.stop.reason():
        return policy.EXIT_RUNNING
    (session.jobs,) = read_jobs(session.results, [session.plan.name])
    rows = [row for row in session.rows if row.run_id in here.run_ids]
    if any(row.state not in (CANCELLED, PLANNED) for row in rows):
        log = session.results.slurm / session.plan.name / "report.log"
        with open(log, "wb") as output:
            built = build_report(session.results, here.stop.reason, output)
        session.say(f"report: {session.results.report / 'report.html'}" if built else f"report: FAILED; see {log}")
    if any(map(policy.needs_somebody, rows)):
        session.say(f"next: `sentiment rerun {session.plan.name} --local` repeats what failed")
    if any(row.state == CANCELLED for row in rows):
        return policy.EXIT_RUNNING
    return policy.EXIT_FAILED if any(policy.helps(row) for row in rows) else 0


def build_report(results: Results, stopped: Callable[[], object], output: IO[bytes] | None) -> bool:
    """Build the report of all results, by a process of its own, which a reason to stop ends; whether it is built."""
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
    """Cancel some runs of a grid, wherever they wait or run, or all of them and its other jobs, if none is named."""
    local = all(folder.submission.here for folder in read_submissions(results, plan.name))
    options = LaunchOptions(say=say, local=local)
    with open_session(results, plan, options) as session:
        cancelled = session.cancel(run_ids)
        names = f": {' '.join(cancelled)}" if run_ids and cancelled else ""
        say(f"grid {plan.name}: {len(cancelled)} run{'' if len(cancelled) == 1 else 's'} cancelled{names}")
        for line in describe_unknown(row for row in session.rows if not run_ids or row.run_id in run_ids):
            say(f"grid {plan.name}: not cancelled: {line}")
