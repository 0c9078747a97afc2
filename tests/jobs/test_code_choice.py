"""Which version of the program computes a run: what began it, what it was submitted with, or what is here now."""

import hashlib
import os
import shlex
import sys
from pathlib import Path

import pytest

from jobs.grid_jobs import Place
from jobs.plan import CodeChoice, WantedRun
from jobs.slurm.resources import Resources
from jobs.slurm.sbatch import directives
from jobs.status import RunStatus
from jobs.submissions import new_submission, write_intent
from sentiment.config_file import resolve
from sentiment.files import write_json
from sentiment.runs.code_version import START, CodeVersion, freeze_code, running_code
from sentiment.runs.run_dir import Results
from tests.jobs.submitted import a_job, a_row, attempt_of, write_attempts

GRID = "g"
CONFIG = resolve({}, {}, "a test")
TRAINER = "sentiment/training/trainer.py"
TEXTS = {hashlib.sha256(text).hexdigest(): text for text in (b"an older one", b"the first")}
OLD, OLDER = (CodeVersion(git_commit=None, git_dirty=None, files={TRAINER: digest}) for digest in TEXTS)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


def _keep(results: Results, version: CodeVersion, age: float = 0) -> str:
    """Put a copy of some code into the results."""
    folder = results.code / version.id
    (folder / TRAINER).parent.mkdir(parents=True)
    (folder / TRAINER).write_bytes(TEXTS.get(version.files.get(TRAINER, ""), b""))
    write_json(folder / "code.json", version.model_dump(mode="json"))
    os.utime(folder, (folder.stat().st_mtime - age,) * 2)
    return version.id


def _begin(results: Results) -> None:
    """A run that has saved steps."""
    run_dir = results.run_dir(CONFIG.run_id, GRID)
    run_dir.create(CONFIG)
    write_attempts(run_dir, attempt_of(None, last_step=7))


def _submitted(results: Results, code: str | None) -> dict[str, Place]:
    job = a_job("train", [[CONFIG.run_id]], [CONFIG], Resources(), 1, code)
    return {CONFIG.run_id: (write_intent(new_submission(results, GRID, job, None)), 0)}


def _row() -> RunStatus:
    return a_row("FAILED", run_id=CONFIG.run_id)


def _chosen(choice: CodeChoice, places: dict[str, Place], again: bool = False) -> tuple[WantedRun, list[str]]:
    said: list[str] = []
    (run,) = choice.choose([(_row(), CONFIG)], places, again, said.append)
    return run, said


def test_run_that_never_began_is_computed_by_the_code_of_now_which_is_copied(results: Results) -> None:
    run, said = _chosen(CodeChoice(results), _submitted(results, _keep(results, OLD)))
    assert run.code == running_code().id
    assert (results.code / run.code / "sentiment" / "training" / "trainer.py").is_file()
    assert said == []


@pytest.mark.parametrize("again", [False, True])
def test_run_that_has_begun_and_any_that_is_rerun_keep_the_code_that_they_were_submitted_with(
    results: Results, again: bool
) -> None:
    if not again:
        _begin(results)
    old = _keep(results, OLD)
    run, said = _chosen(CodeChoice(results), _submitted(results, old), again)
    assert run.code == old
    assert said == [f"1 of them with the code of before, {results.code / old}; --new-code takes that of now"]


def test_copy_is_compared_once_for_all_runs_that_were_submitted_with_it(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, compared = _submitted(results, _keep(results, OLD)), []
    monkeypatch.setattr("jobs.plan.find_damage", lambda folder: compared.append(folder.name))
    runs = CodeChoice(results).choose([(_row(), CONFIG)] * 9, places, True, lambda _line: None)
    assert {run.code for run in runs} == {OLD.id}
    assert compared == [OLD.id]


@pytest.mark.parametrize("code", [None, "0123456789abcdef"])
def test_submission_whose_code_is_gone_or_unknown_is_repeated_with_that_of_now(
    results: Results, code: str | None
) -> None:
    assert _chosen(CodeChoice(results), _submitted(results, code), again=True)[0].code == running_code().id


def test_new_code_is_taken_on_request_and_the_task_begins_anew(results: Results) -> None:
    _begin(results)
    run, said = _chosen(CodeChoice(results, new_code=True), _submitted(results, _keep(results, OLD)))
    assert (run.code, run.config.runtime.other_code, said) == (running_code().id, "restart", [])
    assert run.config.run_id == CONFIG.run_id


def test_damaged_record_of_a_run_is_left_to_its_task(results: Results) -> None:
    _begin(results)
    results.run_dir(CONFIG.run_id, GRID).record_file.write_text("{")
    assert _chosen(CodeChoice(results), _submitted(results, _keep(results, OLD)))[0].code == running_code().id


@pytest.mark.parametrize("kind", ["train", "report"])
def test_jobs_are_started_from_their_copy(results: Results, kind: str) -> None:
    code = freeze_code(results)
    job = a_job(kind, [[]], [], Resources(), 1, code)  # type: ignore[arg-type]
    folder = write_intent(new_submission(results, GRID, job, None))
    words = shlex.split(directives(folder.submission)[-1])
    at = words.index(sys.executable)
    copy = results.code.resolve() / code
    assert words[at:] == [
        sys.executable,
        "-u",
        f"{folder.path}/start.py",
        str(copy),
        "jobs.tasks.task",
        str(folder.path),
    ]
    assert folder.start_file.read_bytes() == START.read_bytes()
