"""The program knows its own code: copies that edits don't reach, and runs that no two versions compute in silence."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.errors import CheckpointError
from sentiment.files import ROOT
from sentiment.runs import code_version
from sentiment.runs.code_version import CodeVersion, freeze_code, running_code, start_command, web_address
from sentiment.runs.records import Attempt
from sentiment.runs.run_dir import Results, RunDir, read_record
from sentiment.runs.start_copy import find_damage
from sentiment.training.stop import Stop
from tests.conftest import MakeExperiment
from tests.jobs.submitted import attempt_of
from tests.small_runs import Experiment, StopWhen, digest_of

TRAINER = "sentiment/training/trainer.py"
# What of the program is copied here, and whether an edit of it can change a number.
MATTERS = {
    TRAINER: True,
    "sentiment/data/text.py": True,
    "sentiment/inference/predict.py": False,
    "sentiment/inference/stored.py": False,
    "sentiment/training/tracking.py": False,
    "sentiment/errors.py": True,
    "sentiment/version.py": False,
    "jobs/study.py": False,
    "report/build.py": False,
}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A few files of the packages, as if this process had been started from them."""
    folder = tmp_path / "clone"
    for name in (*MATTERS, *(f"{package}/__init__.py" for package in ("sentiment", "jobs", "report"))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(code_version.ROOT / name, folder / name)
    (folder / "sentiment" / "README.md").touch()
    monkeypatch.setattr(code_version, "ROOT", folder)
    running_code.cache_clear()
    yield folder
    running_code.cache_clear()


def _edit(program: Path, name: str = TRAINER) -> None:
    with open(program / name, "a", encoding="utf-8") as file:
        file.write("\nEDITED = True\n")
    running_code.cache_clear()


def _begun(experiment: MakeExperiment) -> Experiment:
    run = experiment()
    assert run.attempt(StopWhen(lambda question: question > 9)) == Stop("signal", "SIGTERM")
    return run


def test_copy_holds_all_files_of_the_packages_and_is_made_once(program: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    code = freeze_code(results)
    copied = {path.relative_to(results.code / code) for path in (results.code / code).rglob("*") if path.is_file()}
    files = {
        path.relative_to(program)
        for path in program.rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".md")
    }
    assert copied == files | {Path("code.json")}
    before = (results.code / code / TRAINER).stat().st_ino
    assert freeze_code(results) == code
    assert (results.code / code / TRAINER).stat().st_ino == before


@pytest.mark.parametrize("name", MATTERS)
def test_any_edit_makes_a_copy_but_only_some_make_other_training_code(program: Path, tmp_path: Path, name: str) -> None:
    results = Results(tmp_path / "results")
    before, copied = running_code(), freeze_code(results)
    _edit(program, "sentiment/README.md")
    assert freeze_code(results) == copied
    _edit(program, name)
    assert (running_code().training != before.training) is MATTERS[name]
    after = freeze_code(results)
    assert after != copied
    assert (results.code / after / name).read_text().endswith("EDITED = True\n")
    assert "EDITED" not in (results.code / copied / name).read_text()


@pytest.mark.parametrize("lost", ["code.json", "jobs/__init__.py"])
def test_damaged_copy_is_mended_when_it_is_used_again(program: Path, tmp_path: Path, lost: str) -> None:
    results = Results(tmp_path / "results")
    code = freeze_code(results)
    (results.code / code / lost).unlink()
    (results.code / code / TRAINER).write_text("half a fi")
    assert find_damage(results.code / code)
    assert freeze_code(results) == code
    assert not find_damage(results.code / code)
    assert (results.code / code / TRAINER).read_bytes() == (program / TRAINER).read_bytes()


def _commit_all(folder: Path) -> None:
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
        subprocess.run(["git", "-C", str(folder), *identity, *command], check=True)
    running_code.cache_clear()


def test_repository_around_an_installed_program_is_somebody_elses(program: Path) -> None:
    _commit_all(program.parent)
    assert running_code().git_commit is None


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        ".trainer.py.swp",
        ".#trainer.py",
        "trainer.py~",
        "#trainer.py#",
        "trainer.py.orig",
        "__pycache__/t.pyc",
    ],
)
def test_what_editors_and_file_managers_leave_behind_is_no_code(program: Path, name: str) -> None:
    before = running_code()
    left = program / "sentiment" / "training" / name
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"\0")
    running_code.cache_clear()
    assert running_code() == before


def test_copy_knows_the_commit_that_it_was_made_from(program: Path, tmp_path: Path) -> None:
    _commit_all(program)
    commit = running_code().git_commit
    assert re.fullmatch("[0-9a-f]{40}", commit)
    _edit(program)
    results = Results(tmp_path / "r")
    copied = read_record(results.code / freeze_code(results) / "code.json", CodeVersion)
    assert (copied.git_commit, copied.git_dirty) == (commit, True)


@pytest.mark.parametrize("lost", [None, "", "sentiment"])
def test_module_is_imported_from_the_copy_alone_or_refused(program: Path, tmp_path: Path, lost: str | None) -> None:
    """Python would take a package that the copy lacks from elsewhere, in silence."""
    results = Results(tmp_path / "re sults: 1")  # PYTHONPATH would split it
    shown = "import sentiment, jobs, sys; print(sentiment.__file__, jobs.__file__, sys.argv[1:])"
    (program / "jobs" / "__main__.py").write_text(shown)
    copy = results.code / freeze_code(results)
    here = tmp_path / "here"
    (here / "sentiment").mkdir(parents=True)
    (here / "sentiment" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    if lost is not None:
        shutil.move(copy / lost, tmp_path / "away")
    command = [*start_command("jobs", copy), "an argument"]
    done = subprocess.run(command, cwd=here, env=os.environ | {"PYTHONPATH": str(here)}, capture_output=True, text=True)
    if lost is None:
        files = " ".join(str(copy.resolve() / package / "__init__.py") for package in ("sentiment", "jobs"))
        assert (done.returncode, done.stdout) == (0, f"{files} ['an argument']\n"), done.stderr
        return
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith(f"cannot run the code in {copy.resolve()}: ")
    assert "`sentiment rerun GRID --new-code`" in done.stderr


def _told(run: Experiment, choice: str) -> Experiment:
    runtime = run.config.runtime.model_copy(update={"other_code": choice})
    run.config = run.config.model_copy(update={"runtime": runtime})
    return run


def test_run_goes_on_with_other_code_on_request_only_and_says_so(program: Path, experiment: MakeExperiment) -> None:
    run = _begun(experiment)
    first = running_code().training
    _edit(program)
    told = rf"step \d+ was computed by another version .*\(other: {TRAINER}\).*runtime\.other_code"
    with pytest.raises(CheckpointError, match=told):
        run.attempt()
    _told(run, "continue").complete()
    assert [attempt.code for attempt in run.record.attempts] == [first, running_code().training]
    assert run.record.attempts[1].first_step > 0
    assert any("resuming, although step" in line for line in run.said)


def test_run_starts_over_with_other_code_once(program: Path, experiment: MakeExperiment, trained: RunDir) -> None:
    run = _begun(experiment)
    _edit(program)
    assert _told(run, "restart").attempt(StopWhen(lambda question: question > 4))
    assert run.attempt() is None
    assert run.record.attempts[1].first_step == 0
    assert run.record.attempts[2].first_step > 0
    assert digest_of(run.run_dir) == digest_of(trained)


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:me/tweets.git", "https://github.com/me/tweets"),
        ("https://me:secret@gitlab.org/group/me/tweets.git", "https://gitlab.org/group/me/tweets"),
        ("https://gitlab.org/me/tweets?private_token=secret", "https://gitlab.org/me/tweets"),
        ("ssh://git@host.org:2222/me/tweets/", "https://host.org/me/tweets"),
        ("ssh://host.org/me/tweets/.git", "https://host.org/me/tweets"),
        ("/home/me/tweets", None),
        ("file:///home/me/tweets", None),
        ("C:\\me\\tweets", None),
        ("https://host/)[x](y", None),
        ("https://[host/x", None),
        ("ssh://host/.git", None),
        ("", None),
    ],
)
def test_address_of_a_repository_holds_no_credentials(remote: str, address: str | None) -> None:
    assert web_address(remote) == address


REMOTES = st.tuples(
    st.sampled_from(["", "ssh://", "https://", "git://", "file://", "ext::"]),
    st.sampled_from(["", "me@", "me:secret@", "secret@"]),
    st.text("ab.-:[]/~", max_size=8),
    st.text("ab./~%?#@: ", max_size=12),
    st.sampled_from(["", ".git", "/.git", "/", ".git/"]),
)


@settings(max_examples=500)
@given(REMOTES)
def test_any_address_can_be_recorded(parts: tuple[str, ...]) -> None:
    address = web_address("".join(parts))
    recorded = attempt_of(None).model_dump() | {"git_remote": address}
    assert Attempt.model_validate(recorded).git_remote == address
    assert "secret" not in (address or "")


def test_copy_holds_each_kind_of_file_that_the_packages_have() -> None:
    folders = [ROOT / package for package in ("sentiment", "jobs", "report")]
    files = [
        path for folder in folders for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    kinds = {path.suffix for path in files} - {".md", ".png"}
    assert kinds == {Path(name).suffix for name in running_code().files}
