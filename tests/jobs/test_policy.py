"""Every combination of facts about a run, held against the tables of states and of actions and what they promise."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from jobs import policy
from jobs.status.grid_state import GridView, exit_code
from sentiment.runs.halving import TrialPlace
from sentiment.runs.state import NEVER_SUBMITTED, Phase, RunProgress, RunState, TaskView, judge
from tests.jobs.submitted import a_failure, a_row, attempt_of

_ENDINGS = {
    "TIMEOUT": {"reason": "deadline", "detail": "5 s left"},
    "STOPPED": {"reason": "signal", "detail": "SIGTERM"},
    "LOST": {"reason": "signal", "detail": "SIGHUP"},
    "FAILED": {"reason": "failed", "detail": "why"},
    "PLANNED": {"reason": "paused", "detail": ""},
}
ENDED_ATTEMPTS = [attempt_of("7_3", end="2026-03-04T11:30:00+00:00", **ending) for ending in _ENDINGS.values()]
ATTEMPTS = [None, attempt_of("7_3"), *ENDED_ATTEMPTS]
FAILURES = [None, a_failure("7_3"), a_failure("7_3", "KilledError", retry=True), a_failure("7_3", "MemoryError")]
TRIALS = [None, TrialPlace(0, 1, None, 6), TrialPlace(0, 1, 4, 6), TrialPlace(1, 3, None, 2)]
_ENDED = ["", "FAILED", "OUT_OF_MEMORY", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "LOST", "CANCELLED"]
TASK_STATES = {
    "none": [""],
    "unknown": [""],
    "queued": ["PENDING", "HELD", "RUNNING", "COMPLETING", "SUSPENDED"],
    "ended": _ENDED,
}


class Case(NamedTuple):
    """All that a state is decided from."""

    progress: RunProgress
    trial: TrialPlace | None = None
    task: TaskView = NEVER_SUBMITTED


def _cases() -> Iterator[Case]:
    yield Case(RunProgress(completed=True))
    yield Case(RunProgress(completed=True, damage="x", locked=True), None, TaskView(is_cancelled=True))
    yes_no = (False, True)
    phases = [(phase, state) for phase in get_args(Phase) for state in TASK_STATES[phase]]
    for damage, failure, attempt, locked in product((None, "run.json: is damaged"), FAILURES, ATTEMPTS, yes_no):
        epoch = None if damage else 1
        progress = RunProgress(last_attempt=attempt, failure=failure, epoch=epoch, damage=damage, locked=locked)
        for trial, (phase, state), cancelled, retry in product(TRIALS, phases, yes_no, yes_no):
            yield Case(progress, trial, TaskView(phase, state, "why", is_cancelled=cancelled, may_retry=retry))


def _paused(case: Case) -> bool:
    return case.trial is not None and case.progress.has_paused(case.trial.epochs)


def _ranked(case: Case) -> bool:
    return case.trial is not None and case.trial.rank is not None


def _in_queue(case: Case) -> bool:
    return case.task.phase == "queued"


# The lines of the table of states, in its order.
LINES: list[Callable[[Case], bool]] = [
    lambda case: case.progress.completed,
    lambda case: case.progress.locked and case.task.is_cancelled,
    lambda case: case.progress.locked,
    lambda case: (_paused(case) or case.task.is_cancelled) and _ranked(case) and not _in_queue(case),
    lambda case: case.task.is_cancelled,
    lambda case: case.progress.failure is not None,
    lambda case: _paused(case) and not _ranked(case),
    lambda case: case.task.phase == "unknown",
    lambda case: _in_queue(case) and case.task.state == "RUNNING",
    _in_queue,
    lambda case: case.progress.damage is not None,
    lambda case: case.task.state != "",
    lambda case: case.progress.last_attempt is not None,
    lambda _case: True,
]


def _table(text: str | None, columns: int) -> list[list[str]]:
    """The cells of each line below the table's head; empty ones at the end of a line are left out there."""
    lines = [line.strip() for line in (text or "").splitlines()]
    first = next(number for number, line in enumerate(lines) if line.startswith("---|"))
    body = lines[first + 1 : lines.index("", first)]
    cells = [[cell.strip() for cell in line.split("|")] for line in body]
    return [(line + [""] * columns)[:columns] for line in cells]


STATES = _table(judge.__doc__, 3)
ACTIONS = _table(policy.__doc__, 6)


def _allowed(cell: str, case: Case) -> set[str]:
    """The states that a cell of the table allows."""
    if cell == "as the queue says":
        return {case.task.state}
    if cell == "as it failed":
        lacked_memory = case.progress.failure and case.progress.failure.error in ("KilledError", "MemoryError")
        return {"OUT_OF_MEMORY" if lacked_memory else "FAILED"}
    if cell == "as it ended":
        return {case.task.state} if case.task.state else {"FAILED", "TIMEOUT", "STOPPED", "LOST", "PLANNED"}
    if cell == "RUNNING or SUSPENDED":
        return {"SUSPENDED" if case.task.state == "SUSPENDED" else "RUNNING"}
    return {cell}


@pytest.fixture(scope="module")
def judged() -> list[tuple[Case, RunState]]:
    return [(case, judge(*case)) for case in _cases()]


def test_table_names_the_state_of_every_case(judged: list[tuple[Case, RunState]]) -> None:
    assert [line[0] for line in STATES] == [str(number) for number in range(1, len(LINES) + 1)]
    used = set()
    for case, state in judged:
        number = next(number for number, fits in enumerate(LINES) if fits(case))
        assert state.state in _allowed(STATES[number][2], case), (STATES[number], state, case)
        used.add(number)
    assert used == {*range(len(LINES))}


def test_run_outside_a_queue_is_as_its_newest_attempt_left_it() -> None:
    states = [judge(RunProgress(last_attempt=attempt)).state for attempt in ATTEMPTS]
    assert states == ["PLANNED", "LOST", *_ENDINGS]


def test_table_names_what_is_done_with_a_run_in_every_state(judged: list[tuple[Case, RunState]]) -> None:
    lines = {name.strip(): cells for names, *cells in ACTIONS for name in names.removesuffix(" ...").split(",")}
    for state in {state for _, state in judged}:
        other = ["", "", "cancels", "", ""] if state.active else lines["FAILED"]
        submit, rerun, cancel, work, end = lines.get(state.state, other)
        assert policy.submit(state) == submit, state
        named = policy.rerun(state, is_named=True)
        assert (policy.rerun(state) or ("if named" if named else "")) == rerun, state
        assert (policy.cancel(state), policy.worker_action(state)) == (cancel, work), state
        assert (policy.final_job_action(state) == "submits") == (end == "if interrupted" and state.interrupted), state


def _submits(state: RunState) -> bool:
    asked = [policy.submit(state), policy.final_job_action(state)]
    asked += [policy.rerun(state, named) for named in (False, True)]
    return "submits" in asked


def _may_be_trained(case: Case) -> bool:
    """Whether any process trains the run, or may begin to by itself."""
    if case.progress.locked:
        return True
    # A task takes none that was cancelled, that failed in its array, or that is at the end of its rung.
    is_left = (
        case.task.is_cancelled
        or case.progress.failure is not None
        or (_paused(case) and not (_ranked(case) and _in_queue(case)))
    )
    return not is_left and (_in_queue(case) or case.task.phase == "unknown")


def test_no_run_gets_a_second_task_and_none_that_is_completed_is_given_up(judged: list[tuple[Case, RunState]]) -> None:
    for case, state in judged:
        if case.progress.completed:
            assert (state.state, _submits(state), policy.cancel(state)) == ("COMPLETED", False, ""), case
        elif _may_be_trained(case):
            assert not _submits(state), (state, case)


def test_final_job_retries_only_what_was_submitted_and_interrupted(judged: list[tuple[Case, RunState]]) -> None:
    for case, state in judged:
        if policy.final_job_action(state):
            failure = case.progress.failure
            assert failure.retry if failure else case.task.may_retry and case.task.phase == "ended", (state, case)
            assert policy.submit(state) == "submits"
            assert case.task.phase != "none"
            assert not case.task.is_cancelled
            assert not _may_be_trained(case)
    retried = {state.state for _, state in judged if policy.final_job_action(state)}
    assert retried == {*_ENDED, "PLANNED"} - {"", "CANCELLED"}


def test_what_is_not_done_waits_runs_or_has_a_command_that_helps(judged: list[tuple[Case, RunState]]) -> None:
    for case, state in judged:
        if state.active or state.state in ("COMPLETED", "PRUNED"):
            assert policy.resume_command(state) == ""
        elif state.state == "UNKNOWN":
            assert state.reason, case
        else:
            assert state.reason or state.state == "PLANNED", (state, case)
            command = policy.resume_command(state)
            assert {"submit": policy.submit, "rerun": policy.rerun}[command](state), (state, case)


def test_exit_code_of_status_is_about_all_runs_and_jobs() -> None:
    codes = {"": 0, "COMPLETED PRUNED": 0, "PLANNED HELD": 1, "CANCELLED COMPLETED": 1, "PLANNED": 3, "STOPPED": 3}
    codes |= {"COMPLETED FAILED RUNNING": 3, "UNKNOWN LOST": 3, "PAUSED COMPLETED": 3}
    views = {}
    for states, code in codes.items():
        views[states] = GridView("g", "", [a_row(state, active=state == "RUNNING") for state in states.split()])
        assert exit_code([views[states]]) == code, states
    planned, running = views["PLANNED"], views["COMPLETED FAILED RUNNING"]
    without_report, damaged = replace(planned, failed_kinds=["report"]), GridView("other", "", [], damage="is cut off")
    cases = [[without_report], [planned, damaged], [without_report, running], [damaged, running]]
    assert [exit_code(grids) for grids in cases] == [1, 1, 3, 3]


def test_readme_names_the_commands_that_make_each_state_go_on() -> None:
    readme = (Path(policy.__file__).parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^([A-Z_, ]+)(?: \.\.\.)? \| .+ \| (.+)$", readme, re.MULTILINE)
    assert len(rows) == 10
    for state, commands in ((state, commands) for states, commands in rows for state in states.split(", ")):
        run = RunState(state, active=commands == "needs no command")
        said = "`submit`" in commands, "`rerun`" in commands
        assert said == (bool(policy.submit(run)), bool(policy.rerun(run))), state
        if "`rerun RUN`" in commands:
            assert policy.rerun(run, is_named=True) == "submits", state
