"""What the commands do to a grid: submit what is missing, submit again what failed, cancel."""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobs import policy
from jobs.grids.grid import ExpandedGrid, reuse_completed, trained_on_others
from jobs.grids.rounds import grow
from jobs.launcher import Launcher, LaunchOptions, open_launcher
from jobs.local.queue import LocalQueue
from jobs.slurm.grid_jobs import GridJobs, Place
from jobs.slurm.launcher import SlurmLauncher
from jobs.slurm.submissions import read_submissions
from jobs.status.grid_status import RunStatus, describe_held, describe_unknown, read_grid_status
from jobs.status.selection import run_configs
from jobs.wanted import CodeChoice, later_rungs, with_pauses
from sentiment.config import RunConfig
from sentiment.console import Say
from sentiment.errors import LockedError, NoSlurmError, RunDirError, SentimentError
from sentiment.runs.attempts import ProcessLock
from sentiment.runs.records import GridPlan, Tries
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import read_rungs
from sentiment.runs.state import UNKNOWN


@dataclass(frozen=True)
class GridSession:
    """A grid, its jobs and its launcher, while no other command submits or cancels anything of the grid."""

    results: Results
    plan: GridPlan
    jobs: GridJobs
    launcher: Launcher
    code: CodeChoice
    left_out: list[str] = field(default_factory=list)
    """Ids of the runs that were not submitted, since their own files are damaged or their state is not known."""

    @property
    def rows(self) -> list[RunStatus]:
        """The states of the grid's runs."""
        return read_grid_status(self.results, self.plan, self.jobs).rows

    def submit(self, grid: ExpandedGrid, say: Say) -> None:
        """Submit runs that are neither completed nor wait nor run; those completed in other grids are copied.

        Raises:
            SentimentError: the launcher refuses. The grid is as it was before, so that its file may be changed.
        """
        before = self.results.read_grid(self.plan.name)
        self.results.write_grid(grid.plan)
        try:
            self._submit_missing(grid, say)
        except SentimentError:
            if before:
                self.results.write_grid(before)
            elif not read_submissions(self.results, self.plan.name):
                self.results.grid_file(self.plan.name).unlink()
            raise

    def _submit_missing(self, grid: ExpandedGrid, say: Say) -> None:
        reuse_completed(self.results, grid)
        if replaced := trained_on_others(self.results, grid):
            say(
                f"{len(replaced)} completed runs were trained on other tweets, vectors or ELMo weights than are here "
                f"now: move {self.results.run_dir(replaced[0], self.plan.name).path} and the like away to train anew"
            )
        rows = self.rows
        for line in describe_held(self.plan.name, rows):
            say(line)
        self._leave_unknown(rows, say)
        configs = dict(zip((run.run_id for run in grid.plan.runs), grid.configs, strict=True))
        trials = [(row, configs[row.run_id]) for row in rows if row.run_id in configs]
        missing = [one for one in trials if policy.submit(one[0]) == "submits"]
        rungs = read_rungs(self.results, self.plan)
        self._forget_tries(missing)
        if rungs is None:
            self._submit(missing, {}, say)
            return
        late = [row.run_id for row, _ in missing if rungs.is_decided(row.run_id)]
        if late:
            say(
                f"{len(late)} of {len(rows)} runs had not got to the end of their rung when it was ranked, and do "
                f"not go on; `python -m jobs rerun {self.plan.name}` trains them to that end all the same"
            )
        self._submit([one for one in missing if one[0].run_id not in late], {}, say, trials)

    def rerun(self, causes: Sequence[str], run_ids: set[str], say: Say) -> None:
        """Submit again what ended without a result, and release what is held.

        Args:
            causes: as in `jobs.policy.rerun`.
            run_ids: of the runs meant; all if empty.
        """
        rows = self.rows
        meant = [row for row in rows if not run_ids or row.run_id in run_ids]
        actions = {row.run_id: policy.rerun(row, causes, bool(run_ids)) for row in meant}
        self._leave_unknown(meant, say)
        try:
            if not causes or "held" in causes:
                self.launcher.release([row for row in meant if actions[row.run_id] == "releases"])
        finally:  # one that an administrator holds is no reason to leave out the others
            wanted = self._readable([row for row in meant if actions[row.run_id] == "submits"], say)
            self._forget_tries(wanted)
            rungs = read_rungs(self.results, self.plan)
            # The rungs that follow wait for what is submitted now, unless that is decided without it.
            rechained = rungs and any(not rungs.is_decided(row.run_id) for row, _ in wanted)
            planned = {run.run_id for run in self.plan.runs}
            trials = [row for row in rows if row.run_id in planned] if rechained else []
            configs = run_configs(self.results, self.plan, {row.run_id for row in trials}, self.jobs.places)
            self._submit(wanted, self.jobs.places, say, [(row, configs[row.run_id]) for row in trials])

    def _leave_unknown(self, rows: Sequence[RunStatus], say: Say) -> None:
        for line in describe_unknown(rows):
            say(line)
        self.left_out.extend(row.run_id for row in rows if row.state == UNKNOWN)

    def _forget_tries(self, runs: Sequence[tuple[RunStatus, RunConfig]]) -> None:
        """Somebody wants them: what failed too often may be tried again as often."""
        for row, _ in runs:
            run_dir = self.results.run_dir(row.run_id, self.plan.name)
            if run_dir.tries_file.exists():
                run_dir.write_record(Tries(step=0, number=0, job=None))

    def _readable(self, rows: Sequence[RunStatus], say: Say) -> list[tuple[RunStatus, RunConfig]]:
        """Runs with their configurations; those whose own cannot be read are told and left out."""

        def read(some: Sequence[RunStatus]) -> list[tuple[RunStatus, RunConfig]]:
            found = run_configs(self.results, self.plan, [row.run_id for row in some], self.jobs.places)
            return [(row, found[row.run_id]) for row in some]

        try:
            return read(rows)  # at once: those of a submission are in one file
        except RunDirError:
            readable: list[tuple[RunStatus, RunConfig]] = []
            for row in rows:
                try:
                    readable += read([row])
                except RunDirError as error:
                    say(f"left out: {error}")
                    self.left_out.append(row.run_id)
            return readable

    def can_be_trained(self, row: RunStatus, say: Say) -> bool:
        """Whether the run's own `config.json` can be read, if it has begun; if not, its task could only fail."""
        run_dir = self.results.run_dir(row.run_id, self.plan.name)
        try:
            if run_dir.config_file.exists():
                run_dir.read_config()
        except RunDirError as error:
            say(f"left out: {error}; move {run_dir.path} away to begin it anew")
            self.left_out.append(row.run_id)
            return False
        return True

    def submit_next_part(self, run_ids: Set[str], say: Say) -> None:
        """Submit runs, whatever became of them before, with the later rungs of their search."""
        rungs, rows = read_rungs(self.results, self.plan), self.rows
        planned = {run.run_id for run in self.plan.runs} if rungs else set()
        configs = run_configs(self.results, self.plan, run_ids | planned, self.jobs.places)
        runs, trials = ([(row, configs[row.run_id]) for row in rows if row.run_id in ids] for ids in (run_ids, planned))
        self._submit(runs, self.jobs.places, say, trials)

    def _submit(
        self,
        runs: Sequence[tuple[RunStatus, RunConfig]],
        places: Mapping[str, Place],
        say: Say,
        trials: Sequence[tuple[RunStatus, RunConfig]] = (),
    ) -> None:
        """Submit runs.

        Args:
            trials: of a search, all of its runs, if the rungs after the current one are to follow.
        """
        runs = [one for one in runs if self.can_be_trained(one[0], say)]
        wanted, rungs = self.code.choose(runs, self.plan.name, places, say), read_rungs(self.results, self.plan)
        if rungs is None:
            self.launcher.submit(wanted)
            return
        candidates = self.code.choose(trials, self.plan.name, places, lambda _line: None)
        self.launcher.submit(with_pauses(wanted, rungs), later_rungs(rungs, candidates) if trials else None)


@contextmanager
def open_session(
    results: Results, plan: GridPlan, launcher: Launcher, code: CodeChoice | None = None
) -> Iterator[GridSession]:
    """Lock the grid and ask what is queued.

    Raises:
        LockedError: another command submits or cancels something of this grid.
        SlurmError: Slurm is to be used, but there is none, or it does not answer.
    """
    folder = results.slurm / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessLock(folder / "lock", "submits or cancels"):
        yield GridSession(results, plan, launcher.read_jobs(), launcher, code or CodeChoice(results))


def submit_grid(results: Results, grid: ExpandedGrid, options: LaunchOptions) -> int:
    """Submit a grid's missing runs, on this machine one round of a search after another; the command's exit code."""
    with open_launcher(results, grid.plan, options) as launcher:
        while True:
            with open_session(results, grid.plan, launcher, options.code_choice(results)) as session:
                session.submit(grid, options.say)
            code, grown = launcher.wait() or int(bool(session.left_out)), grow(grid.plan, results)
            if not options.local or code not in (0, 1) or grown is None:
                return code
            plan, configs = grown
            options.say(f"the next round: {len(configs)} trials, suggested by {len(grid.plan.runs)}")
            grid = replace(grid, plan=plan, configs=[*grid.configs, *configs])
            launcher.plan = plan


def rerun_grid(
    results: Results, plan: GridPlan, causes: Sequence[str], run_ids: set[str], options: LaunchOptions
) -> int:
    """Submit again what ended without a result, as `GridSession.rerun` chooses it; the command's exit code."""
    with open_launcher(results, plan, options) as launcher:
        with open_session(results, plan, launcher, options.code_choice(results)) as session:
            session.rerun(causes, run_ids, options.say)
        return launcher.wait() or int(bool(session.left_out))


def cancel_grid(results: Results, plan: GridPlan, run_ids: set[str], say: Say) -> None:
    """Cancel the runs of a grid, or some of them, wherever they wait or run.

    Args:
        run_ids: of the runs meant; all, and the grid's other jobs, if empty.

    Raises:
        LockedError: another command submits or cancels something of this grid.
        SlurmError: Slurm does not answer, or there is none although runs were submitted to it.
    """
    queue = LocalQueue.of(results, plan.name)
    queued = {run_id for run_id, task in queue.read().items() if task.in_queue}
    cancelled = sorted(queued & run_ids if run_ids else queued)
    queue.cancel(cancelled)
    if read_submissions(results, plan.name):
        try:
            cancelled += _cancel_in_slurm(results, plan, run_ids, say)
        except NoSlurmError:
            if not cancelled:
                raise
    names = f": {' '.join(cancelled)}" if run_ids and cancelled else ""
    say(f"grid {plan.name}: {len(cancelled)} run{'' if len(cancelled) == 1 else 's'} cancelled{names}")


def _cancel_in_slurm(results: Results, plan: GridPlan, run_ids: set[str], say: Say) -> list[str]:
    launcher = SlurmLauncher(results, plan, Path(), say)
    with ExitStack() as stack:
        try:
            stack.enter_context(open_session(results, plan, launcher))
        except LockedError:
            raise
        except (RunDirError, OSError) as error:  # a full disk is when cancelling matters most
            say(f"goes on without the grid's lock: {error}")
            launcher.look()
        rows = read_grid_status(results, plan, launcher.jobs).rows
        cancelled = launcher.cancel(rows, run_ids) if run_ids else launcher.cancel_all(rows)
        meant = [row for row in rows if not run_ids or row.run_id in run_ids]
        for line in describe_unknown(meant):
            say(f"grid {plan.name}: not cancelled: {line}")
    return cancelled
