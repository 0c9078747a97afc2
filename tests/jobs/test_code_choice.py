"""Which version of the program computes a run: what began it, what it was submitted with, or what is here now."""

import hashlib
import os
import shlex
import sys
from pathlib import Path

import pytest

from jobs.slurm.grid_jobs import Place
from jobs.slurm.resources import Resources
from jobs.slurm.sbatch import directives
from jobs.slurm.submissions import new_submission, write_intent
from jobs.status.grid_status import RunStatus
from jobs.wanted import CodeChoice, WantedRun
from sentiment.config_file import resolve
from sentiment.files import write_json
from sentiment.runs.code_version import START, CodeVersion, freeze_code, running_code
from sentiment.runs.records import Attempt, RunRecord
from sentiment.runs.run_dir import Results
from tests.jobs.submitted import a_job

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


def _begin(results: Results, code: str, steps: int = 7) -> None:
    """A run that has saved steps which some code computed."""
    run_dir = results.run_dir(CONFIG.run_id, GRID)
    run_dir.create(CONFIG)
    attempt = Attempt(
        host="h",
        pid=1,
        job=None,
        restart_count=0,
        code=code,
        environment="e",
        device="cpu",
        threads=1,
        first_step=0,
        last_step=steps,
        start="2026-01-01T00:00:00+00:00",
    )
    run_dir.write_record(
        RunRecord(
            run_id=CONFIG.run_id,
            config_fingerprint="c",
            data_fingerprint="d",
            dataset="table",
            git_commit=None,
            git_dirty=None,
            versions={},
            command=[],
            attempts=[attempt],
        )
    )


def _submitted(results: Results, code: str | None) -> dict[str, Place]:
    job = a_job("train", [[CONFIG.run_id]], [CONFIG], Resources(), 1, code)
    return {CONFIG.run_id: (write_intent(new_submission(results, GRID, job, 90, None)), 0)}


def _row() -> RunStatus:
    values: dict[str, object] = dict.fromkeys(RunStatus.__dataclass_fields__)
    return RunStatus(**(values | {"grid": GRID, "run_id": CONFIG.run_id, "state": "FAILED", "active": False}))  # type: ignore[arg-type]


def _chosen(choice: CodeChoice, places: dict[str, Place] | None = None) -> tuple[WantedRun, list[str]]:
    said: list[str] = []
    (run,) = choice.choose([(_row(), CONFIG)], GRID, places or {}, said.append)
    return run, said


def test_run_that_never_began_is_computed_by_the_code_of_now_which_is_copied(results: Results) -> None:
    run, said = _chosen(CodeChoice(results))
    assert run.code == running_code().id
    assert (results.code / run.code / "sentiment" / "training" / "trainer.py").is_file()
    assert said == []


def test_run_that_has_begun_goes_on_with_the_code_that_began_it(results: Results) -> None:
    _begin(results, OLD.training)
    old = _keep(results, OLD)
    run, said = _chosen(CodeChoice(results), _submitted(results, _keep(results, OLDER)))
    assert run.code == old
    assert said == [
        f"1 run keeps the code that it began or was submitted with, {results.code / old}; --new-code takes that of now"
    ]


@pytest.mark.parametrize(("code", "steps"), [(OLD.training, 7), (running_code().training, 7)])
def test_begun_run_whose_code_is_not_kept_gets_that_of_now(results: Results, code: str, steps: int) -> None:
    _begin(results, code, steps)
    run, _ = _chosen(CodeChoice(results))
    assert run.code == running_code().id


def test_copy_whose_record_is_damaged_does_not_hide_another_one(results: Results) -> None:
    _begin(results, OLD.training)
    old, damaged = _keep(results, OLD), results.code / "0123456789abcdef"
    damaged.mkdir()
    (damaged / "code.json").write_text("{")
    assert _chosen(CodeChoice(results))[0].code == old


def test_run_without_saved_steps_has_not_begun(results: Results) -> None:
    _begin(results, OLD.training, steps=0)
    _keep(results, OLD)
    assert _chosen(CodeChoice(results))[0].code == running_code().id


def test_rerun_of_a_run_that_never_began_keeps_the_code_that_it_was_submitted_with(results: Results) -> None:
    old = _keep(results, OLD)
    assert _chosen(CodeChoice(results), _submitted(results, old))[0].code == old


def test_copy_is_compared_once_for_all_runs_that_were_submitted_with_it(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, compared = _submitted(results, _keep(results, OLD)), []
    monkeypatch.setattr("jobs.wanted.is_whole", lambda folder: compared.append(folder.name) or True)
    runs = CodeChoice(results).choose([(_row(), CONFIG)] * 9, GRID, places, lambda _line: None)
    assert {run.code for run in runs} == {OLD.id}
    assert compared == [OLD.id]


@pytest.mark.parametrize("code", [None, "0123456789abcdef"])
def test_submission_whose_code_is_gone_or_unknown_is_repeated_with_that_of_now(
    results: Results, code: str | None
) -> None:
    assert _chosen(CodeChoice(results), _submitted(results, code))[0].code == running_code().id


def test_new_code_is_taken_on_request_and_the_task_begins_anew(results: Results) -> None:
    _begin(results, OLD.training)
    _keep(results, OLD)
    run, said = _chosen(CodeChoice(results, new_code=True))
    assert (run.code, run.config.runtime.other_code, said) == (running_code().id, "restart", [])
    assert run.config.run_id == CONFIG.run_id


def test_damaged_record_of_a_run_is_left_to_its_task(results: Results) -> None:
    _begin(results, OLD.training)
    results.run_dir(CONFIG.run_id, GRID).record_file.write_text("{")
    assert _chosen(CodeChoice(results))[0].code == running_code().id


@pytest.mark.parametrize("kind", ["train", "report"])
def test_jobs_are_started_from_their_copy(results: Results, kind: str) -> None:
    code = freeze_code(results)
    job = a_job(kind, [[]], [], Resources(), 1, code)  # type: ignore[arg-type]
    folder = write_intent(new_submission(results, GRID, job, 90, None))
    words = shlex.split(directives(folder.submission)[-1])
    at = words.index(sys.executable)
    copy = results.code.resolve() / code
    assert words[at:] == [
        sys.executable,
        "-u",
        f"{folder.path}/start.py",
        str(copy),
        "jobs.tasks.slurm_task",
        str(folder.path),
    ]
    assert folder.start_file.read_bytes() == START.read_bytes()
