"""The program knows its own code: copies that edits don't reach, and runs that no two versions compute in silence."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.errors import CheckpointError
from sentiment.files import ROOT
from sentiment.runs import code_version
from sentiment.runs.code_version import (
    CodeVersion,
    code_of,
    freeze_code,
    imported_files,
    running_code,
    start_command,
    web_address,
)
from sentiment.runs.run_dir import Results, RunDir, read_record
from sentiment.runs.start_copy import find_damage
from sentiment.training.stop import Stop
from tests.conftest import MakeExperiment
from tests.small_runs import Experiment, StopWhen, digest_of, invented_tweets, write_tweets

TRAINER = "sentiment/training/trainer.py"
ELMO = ("sentiment.encoders.elmo", "sentiment.encoders.shards")
CORPUS, BASELINE = "sentiment.data.corpus", "sentiment.models.baseline"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the packages, as if this process had been started from them."""
    folder = tmp_path / "clone"
    for package in ("sentiment", "jobs", "report"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    monkeypatch.setattr(code_version, "ROOT", folder)
    _forget()
    yield folder
    _forget()


def _forget() -> None:
    running_code.cache_clear()
    code_of.cache_clear()


def _edit(program: Path, name: str = TRAINER) -> None:
    with open(program / name, "a", encoding="utf-8") as file:
        file.write("\nEDITED = True\n")
    _forget()


def _begun(experiment: MakeExperiment) -> Experiment:
    run = experiment()
    assert run.attempt(StopWhen(lambda question: question > 9)) == Stop("signal", "SIGTERM")
    return run


def test_copy_holds_all_files_of_the_packages_and_is_made_once_for_each_code(program: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    code = freeze_code(results)
    copied = {path.relative_to(results.code / code) for path in (results.code / code).rglob("*") if path.is_file()}
    files = {path.relative_to(program) for path in program.rglob("*.*") if path.suffix not in (".pyc", ".md")}
    assert copied == files | {Path("code.json")}
    before = (results.code / code / TRAINER).stat().st_ino
    training = running_code().training
    _edit(program, "sentiment/README.md")
    assert freeze_code(results) == code
    assert (results.code / code / TRAINER).stat().st_ino == before
    for name in ("report/build.py", TRAINER):
        _edit(program, name)
        assert (running_code().training != training) is (name == TRAINER)
        assert (results.code / freeze_code(results) / name).read_text().endswith("EDITED = True\n")
        assert "EDITED" not in (results.code / code / name).read_text()


TRAINS = """
import sys
from pathlib import Path
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext
config = resolve({"data": {"source": sys.argv[2]}, "training": {"epochs": 1}, "model": {"hidden_size": 2}}, {}, "here")
results = Results(Path(sys.argv[1]))
run_experiment(RunContext(config, results, results.run_dir(config.run_id)))
print(*(module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "sentiment"))
"""


@pytest.mark.more
def test_all_that_a_training_process_has_imported_is_in_the_hash_of_its_code(tmp_path: Path) -> None:
    tweets = write_tweets(tmp_path / "tweets.csv", invented_tweets(200))
    command = [sys.executable, "-c", TRAINS, tmp_path, tweets]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert list(tmp_path.rglob("result.json")), done.stderr
    used = {Path(name).relative_to(ROOT).as_posix() for name in done.stdout.split()}
    known = running_code().training_files.keys()
    assert len(used) > 40
    assert used <= known, used - known


@pytest.mark.slow
def test_each_module_that_training_imports_changes_its_hash_and_no_other_one(program: Path) -> None:
    contents = {path: (program / path).read_bytes() for path in running_code().files}
    trained = imported_files(["sentiment.training.experiment"], contents)
    assert {"sentiment/data/text.py", "sentiment/console.py", "sentiment/data/stop_words.txt"} <= trained.keys()
    for path, content in [*contents.items()][::10]:
        edited = imported_files(["sentiment.training.experiment"], contents | {path: content + b"\n# edited\n"})
        assert (edited != trained) is (path in trained), path
    others = contents.keys() - trained.keys()
    assert {"sentiment/predicting/files.py", "sentiment/api.py", "report/build.py", "jobs/study.py"} <= others


def _files_of(*modules: str) -> set[str]:
    """The source files, each of whose edits makes other code of what these modules compute."""
    contents = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in ROOT.glob("sentiment/**/*.py")}
    return {*imported_files(modules, contents)}


def test_vectors_of_elmo_which_take_hours_are_lost_by_edits_of_what_computes_them_alone() -> None:
    modules = {f"sentiment/encoders/{name}.py" for name in ("__init__", "elmo", "elmo_files", "shards")}
    assert _files_of(*ELMO) == modules | {"sentiment/__init__.py", "sentiment/tokens.py"}


def test_code_of_corpora_and_baselines_includes_what_tokenises() -> None:
    of_corpora, of_baselines = (_files_of(module) for module in (CORPUS, BASELINE))
    names = ("text", "preparation", "table", "table_files", "rows", "sources", "copies")
    tokenising = {f"sentiment/data/{name}.py" for name in names}
    assert tokenising | {"sentiment/console.py"} <= of_corpora < of_baselines
    assert {"sentiment/models/ngrams.py", "sentiment/models/lexicon.py"} <= of_baselines - of_corpora
    assert not {path for path in of_baselines if "encoders/" in path or "training/" in path}


IMPORTS = {
    "import sentiment.a\nsentiment.a.name()": True,
    "from sentiment import a\na.name()": True,
    "from sentiment.a import name as other\nother()": True,
    "def later():\n    from sentiment.a import name\n    return name()": True,
    "from sentiment.a import Error\ntry:\n    later()\nexcept Error:\n    pass": True,
    "from sentiment.a import Error\nraise Error('wrong')": False,
    "if TYPE_CHECKING:\n    from sentiment.a import name\ndef later(x: 'name'): ...": False,
    "# from sentiment.a import name": False,
}


@pytest.mark.parametrize("source", IMPORTS)
def test_imports_are_followed_that_can_change_what_a_module_computes(source: str) -> None:
    files = {"sentiment/__init__.py": b"", "sentiment/a.py": b"", "sentiment/b.py": source.encode()}
    assert ("sentiment/a.py" in imported_files(["sentiment.b"], files)) is IMPORTS[source]


def test_data_belong_to_the_package_that_they_lie_in() -> None:
    packages = ("sentiment", "sentiment/a", "sentiment/c")
    files = {f"{package}/__init__.py": b"" for package in packages} | {"sentiment/a/b.py": b""}
    data = {"sentiment/a/words.txt": b"", "sentiment/a/below/tweets.csv": b"", "sentiment/c/words.txt": b""}
    found = imported_files(["sentiment.a.b"], files | data)
    assert found.keys() & data.keys() == {"sentiment/a/words.txt", "sentiment/a/below/tweets.csv"}


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


def test_checkout_that_belongs_to_somebody_else_has_its_commit(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, or on a Windows drive under WSL, where git refuses it."""
    _commit_all(program)
    commit = running_code().git_commit
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    running_code.cache_clear()
    assert commit
    assert running_code().git_commit == commit


def test_repository_around_an_installed_program_is_somebody_elses(program: Path) -> None:
    _commit_all(program.parent)
    assert running_code().git_commit is None


def test_what_editors_and_file_managers_leave_behind_is_no_code(program: Path) -> None:
    before = running_code()
    left = ".DS_Store .trainer.py.swp .#trainer.py trainer.py~ #trainer.py# trainer.py.orig __pycache__/t.pyc"
    for path in (program / "sentiment" / "training" / name for name in left.split()):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0")
        running_code.cache_clear()
        assert running_code() == before, path


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


def test_address_of_a_repository_holds_no_credentials() -> None:
    for remote, address in (
        ("git@github.com:me/tweets.git", "https://github.com/me/tweets"),
        ("https://me:secret@gitlab.org/group/me/tweets.git", "https://gitlab.org/group/me/tweets"),
        ("https://gitlab.org/me/tweets?private_token=secret", "https://gitlab.org/me/tweets"),
        ("ssh://git@host.org:2222/me/tweets/", "https://host.org/me/tweets"),
        ("ssh://host.org/me/tweets/.git", "https://host.org/me/tweets"),
    ):
        assert web_address(remote) == address
    none = ["/home/me/tweets", "C:\\me\\tweets", "https://host/)[x](y", "https://[host/x", "ssh://host/.git", ""]
    for remote in (*none, "file://host/me/tweets", "https://host/x y"):
        assert web_address(remote) is None, remote


@given(st.from_regex("(|ssh://|https://|ext::)(me:)?secret@[ab.:/~?#@ -]{0,12}", fullmatch=True))
def test_no_address_that_is_recorded_holds_a_credential(remote: str) -> None:
    assert "secret" not in (web_address(remote) or "")
