"""Every combination of what a run's directory and a queue can say, held against the table and what it promises."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from jobs import policy
from jobs.policy import CAUSES, JudgedState, QueueReport
from jobs.slurm.commands import ENDED
from sentiment.runs.records import StalledAttempts
from sentiment.runs.rungs import TrialRung
from sentiment.runs.state import RunProgress, RunState
from tests.jobs.submitted import a_failure, attempt_of

OWN, SIBLING, EARLIER, OTHER = "7_3", "7_2", "4_0", "9_0"
"""Jobs: the task that a run was last given to, one that shares runs with it, one that has ended, one in the queue."""

_ENDINGS = [("deadline", "5 s left"), ("signal", "SIGTERM"), ("signal", "SIGHUP"), ("failed", "why"), ("paused", "")]
ATTEMPTS = [
    *(None, attempt_of(OWN), attempt_of(SIBLING, end="2026-03-04T11:30:00+00:00", reason="paused")),
    *(attempt_of(OWN, end="2026-03-04T11:30:00+00:00", reason=reason, detail=detail) for reason, detail in _ENDINGS),
]
LOCKS = [(False, None), (True, None), (True, OTHER), (True, EARLIER)]
FAILURES = [None, a_failure(OWN), a_failure(SIBLING, "KilledError"), a_failure(EARLIER, "MemoryError")]
TRIES = [None, StalledAttempts(step=0, number=1, job=OWN)]
STANDINGS = [None, TrialRung(0, 1, None, 6), TrialRung(0, 1, 4, 6), TrialRung(1, 3, None, 2)]
WORDS = ["FAILED", "OUT_OF_MEMORY", "TIMEOUT", "NODE_FAIL", "LOST", "CANCELLED"]


@dataclass(frozen=True)
class Case:
    """What is known of a run."""

    progress: RunProgress
    queued: QueueReport
    trial_rung: TrialRung | None

    @property
    def paused(self) -> bool:
        return self.trial_rung is not None and self.progress.has_paused(self.trial_rung.epochs)

    @property
    def in_queue(self) -> bool:
        return self.queued.phase in ("waiting", "held", "running")

    @property
    def waits_with_others(self) -> bool:
        return self.in_queue and not self.paused

    @property
    def trained(self) -> bool:
        owner = self.progress.owner_job
        locked = self.progress.locked and (owner is None or self.queued.is_alive(owner))
        return locked or (self.queued.trains_run and not self.progress.failure)

    @property
    def failed_here(self) -> bool:
        failure = self.progress.failure
        return failure is not None and self.queued.job == OWN and failure.job in (OWN, SIBLING)

    @property
    def failed_lately(self) -> bool:
        """Not if the run was submitted again since then, and that submission has ended."""
        failure = self.progress.failure
        return failure is not None and (self.queued.phase != "gone" or self.queued.begun_by(failure.job))

    @property
    def left_rung(self) -> bool:
        attempt = self.progress.last_attempt
        paused = attempt is not None and attempt.reason == "paused"
        return paused and (self.queued.phase == "not_submitted" or attempt.job == self.queued.job)  # type: ignore[union-attr]

    @property
    def word(self) -> str:
        ended = self.queued.ended(self.progress)
        return ended.state if ended else ""


# The lines of the table, in its order.
LINES: list[Callable[[Case], bool]] = [
    lambda one: one.progress.completed,
    lambda one: one.queued.phase == "unanswered" and one.progress.locked,
    lambda one: one.queued.phase == "unanswered" and one.failed_here,
    lambda one: one.queued.phase == "unanswered",
    lambda one: one.trained,
    lambda one: one.waits_with_others and one.queued.cancelled,
    lambda one: one.waits_with_others and one.failed_here,
    lambda one: one.waits_with_others and one.queued.phase == "held",
    lambda one: one.waits_with_others and one.queued.state == "RUNNING",
    lambda one: one.waits_with_others,
    lambda one: one.progress.damage is not None,
    lambda one: one.paused and one.trial_rung is not None and one.trial_rung.rank is not None,
    lambda one: one.queued.cancelled,
    lambda one: one.failed_lately,
    lambda one: one.paused,
    lambda one: one.left_rung,
    lambda one: one.queued.phase == "submitting",
    lambda one: one.queued.phase == "gone" and one.word == "CANCELLED",
    lambda one: one.queued.phase == "gone",
    lambda one: one.progress.last_attempt is not None and one.progress.last_attempt.detail == "SIGTERM",
    lambda one: one.progress.last_attempt is not None,
    lambda _one: True,
]


def _queues() -> Iterator[QueueReport]:
    def lives(job: str) -> bool:
        return job == OTHER

    def begun_by(job: str | None) -> bool:
        return job in (OWN, SIBLING)

    yield from (QueueReport(cancelled=cancelled) for cancelled in (False, True))
    yield QueueReport("submitting", is_alive=lives)
    for cancelled in (False, True):
        task = QueueReport(job=OWN, cancelled=cancelled, is_alive=lives, begun_by=begun_by, reason="why")
        for state in ("RUNNING", "COMPLETING", "SUSPENDED"):
            yield replace(task, phase="running", state=state)
        yield replace(task, phase="waiting", state="PENDING")
        yield replace(task, phase="held", state="PENDING")
        yield replace(task, phase="unanswered")
        yield replace(task, phase="running", state="RUNNING", trains_run=True)
        for word in WORDS:
            yield replace(task, phase="gone", ended=lambda _progress, word=word: RunState(word, "why"))


def _progresses() -> Iterator[RunProgress]:
    yield RunProgress(completed=True)
    yield RunProgress(completed=True, locked=True)
    for (locked, owner), damage, failure, attempt, tries in product(
        LOCKS, (None, "run.json: is damaged"), FAILURES, ATTEMPTS, TRIES
    ):
        known = RunProgress(last_attempt=attempt, failure=failure, epoch=None if damage else 1, stalled=tries)
        yield replace(known, locked=locked, owner_job=owner, damage=damage)


@pytest.fixture(scope="module")
def judged() -> list[tuple[Case, JudgedState]]:
    cases = [Case(*known) for known in product(_progresses(), _queues(), STANDINGS)]
    return [(case, policy.judge(case.progress, case.queued, case.trial_rung)) for case in cases]


def _table() -> list[list[str]]:
    """The cells of each line: number, what is known, state, and what is done by each who asks."""
    lines = [line for line in (policy.__doc__ or "").splitlines() if re.match(r"\d+ \|", line)]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [(line + [""] * 8)[:8] for line in cells]  # empty ones at the end are left out


def _states_of(cell: str, case: Case) -> set[str]:
    """The states that a cell of the table allows."""
    if cell == "as the queue says":
        return {case.queued.state}
    if cell == "as it failed":
        failure = case.progress.failure
        lacked_memory = failure and failure.error in ("KilledError", "MemoryError")
        return {"OUT_OF_MEMORY" if lacked_memory else "FAILED"}
    if cell == "as it ended":
        return {*ENDED, "LOST"} - {"COMPLETED", "CANCELLED"}
    if cell == "RUNNING or SUSPENDED":
        return {"SUSPENDED" if case.queued.state == "SUSPENDED" else "RUNNING"}
    return {cell}


@cache
def _done(state: str, active: bool) -> list[str]:
    verdict = JudgedState(state, active=active)
    assert policy.final_job_action(verdict) == ""
    rerun, named = policy.rerun(verdict), policy.rerun(verdict, is_named=True)
    end = "if begun" if policy.final_job_action(replace(verdict, begun=True)) else ""
    return [policy.submit(verdict), rerun if rerun == named else "if named", policy.cancel(verdict), end]


def test_table_says_what_is_done_in_every_case(judged: list[tuple[Case, JudgedState]]) -> None:
    table, used = _table(), set()
    assert len(table) == len(LINES)
    assert [int(line[0]) for line in table] == [*range(1, len(LINES) + 1)]
    for case, verdict in judged:
        number = next(number for number, fits in enumerate(LINES) if fits(case))
        _, _, state, submit, rerun, cancel, work, end = table[number]
        assert verdict.state in _states_of(state, case), (table[number], verdict, case)
        assert verdict.active or state not in ("as the queue says", "RUNNING or SUSPENDED"), (verdict, case)
        assert _done(verdict.state, verdict.active) == [submit, rerun, cancel, end], (table[number], verdict, case)
        if case.in_queue and case.queued.state == "RUNNING":
            assert policy.worker_action(verdict) == work, (table[number], verdict, case)  # as a task asks
        used.add(number)
    assert used == {*range(len(LINES))}


@cache
def _submits(state: str, active: bool, begun: bool) -> bool:
    verdict = JudgedState(state, "", active, begun)
    asked = [policy.submit(verdict), policy.final_job_action(verdict)]
    asked += [policy.rerun(verdict, causes, named) for causes in ((), (*CAUSES,)) for named in (False, True)]
    return "submits" in asked


def _may_be_trained(case: Case) -> bool:
    """Whether any process trains the run, or may begin to by itself."""
    if case.trained or (case.progress.locked and case.queued.phase == "unanswered"):
        return True
    if case.queued.phase == "unanswered":
        return not case.failed_here
    if not case.in_queue:
        return False
    # A task takes none that was cancelled, that failed in its array, or that is at the end of its rung.
    return not (case.queued.cancelled or case.failed_here or case.paused)


def test_no_run_gets_a_second_task_and_none_that_is_completed_is_given_up(
    judged: list[tuple[Case, JudgedState]],
) -> None:
    for case, verdict in judged:
        submits = _submits(verdict.state, verdict.active, verdict.begun)
        if case.progress.completed:
            assert (verdict.state, submits, policy.cancel(verdict)) == ("COMPLETED", False, ""), case
        elif _may_be_trained(case):
            assert not submits, (verdict, case)


def test_what_is_not_done_waits_runs_or_has_a_command_that_helps(judged: list[tuple[Case, JudgedState]]) -> None:
    for case, verdict in judged:
        if verdict.active or verdict.state in ("COMPLETED", "PRUNED"):
            assert policy.resume_command(verdict) == ""
        elif verdict.state == "UNKNOWN":
            assert verdict.reason, case
        else:
            assert verdict.reason or verdict.state == "PLANNED", (verdict, case)
            command = policy.resume_command(verdict)
            assert {"submit": policy.submit, "rerun": policy.rerun}[command](verdict), (verdict, case)


def test_rerun_takes_what_is_asked_for_and_nothing_that_waits_or_runs() -> None:
    assert set().union(*CAUSES.values()) == {*ENDED, "LOST", "HELD", "PRUNED"} - {"COMPLETED"}
    states = ["COMPLETED", "PLANNED", "FAILED", "TIMEOUT", "LOST", "NODE_FAIL", "OUT_OF_MEMORY", "CANCELLED", "HELD"]
    verdicts = [*map(JudgedState, states), JudgedState("LOST", active=True)]
    failed = ["FAILED", "TIMEOUT", "LOST", "NODE_FAIL", "OUT_OF_MEMORY"]
    asked = {(): [*failed, "HELD"], ("oom", "lost"): failed[2:], ("cancelled",): ["CANCELLED"]}
    for causes, chosen in asked.items():
        assert [one.state for one in verdicts if policy.rerun(one, causes)] == chosen
    assert [one.state for one in verdicts if policy.rerun(one, is_named=True)] == [*failed, "CANCELLED", "HELD"]


def test_exit_code_of_status_is_about_all_runs() -> None:
    codes = {"": 0, "COMPLETED PRUNED": 0, "PLANNED HELD": 1, "CANCELLED COMPLETED": 1, "PLANNED": 3}
    codes |= {"COMPLETED FAILED RUNNING": 3, "UNKNOWN LOST": 3, "PAUSED COMPLETED": 3}
    for states, code in codes.items():
        verdicts = [JudgedState(state, active=state == "RUNNING") for state in states.split()]
        assert policy.exit_code(verdicts) == code, states


def test_readme_names_the_commands_that_make_each_state_go_on() -> None:
    readme = (Path(policy.__file__).parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^([A-Z_, ]+)(?: \.\.\.)? \| .+ \| (.+)$", readme, re.MULTILINE)
    assert len(rows) == 8
    for state, commands in ((state, commands) for states, commands in rows for state in states.split(", ")):
        run = JudgedState(state, active=commands == "needs no command")
        said = "`submit`" in commands, "`rerun`" in commands
        assert said == (bool(policy.submit(run)), bool(policy.rerun(run))), state
        for cause in re.findall(r"--only (\w+)", commands):
            assert policy.rerun(run, [cause]) == "submits", state
