"""What the READMEs say is so: their commands exist and take these options, those that can be run here are run."""

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sentiment.__main__ import app
from sentiment.config_file import load_config
from sentiment.files import ROOT
from sentiment.model import load
from sentiment.runs.run_dir import RunDir
from tests.readme_commands import READMES, ReadmeCommand, python_blocks, readme_commands
from tests.small_runs import invented_tweets

COMMANDS = readme_commands()
COMMAND_NAMES = typer.main.get_command(app).commands  # type: ignore[attr-defined]
ACT_AT_ONCE = {"--version", "--install-completion", "--show-completion"}  # also while they are only parsed
PLACEHOLDERS = {"RUN_DIR", "RUN_ID", "RUN", "GRID", "MODEL", "NAME", "DIR", "FILE", "FILE.zip", "MODEL.zip"}


def _id(command: ReadmeCommand) -> str:
    return f"{command.place}: {' '.join(command.words)}"[:120]


def _check(arguments: list[str]) -> None:
    """Refuse what the program's parser would refuse, without running anything."""
    command = typer.main.get_command(app)
    context = command.make_context("sentiment", list(arguments))
    while words := [*getattr(context, "_protected_args", ()), *context.args] if hasattr(command, "commands") else []:
        name, command, rest = command.resolve_command(context, words)
        context = command.make_context(name, rest, parent=context)


def test_readmes_hold_commands_of_all_programs() -> None:
    assert {command.program.split(".")[0] for command in COMMANDS if command.program} >= {"sentiment", "make", "tests"}
    assert len(COMMANDS) > 50
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if one.program == "sentiment" and one.arguments[0] not in ACT_AT_ONCE], ids=_id
)
def test_command_takes_the_options_that_the_readme_gives_it(command: ReadmeCommand) -> None:
    _check(["--help"] if command.arguments[-1] in ("...", "COMMAND") else command.arguments)
    for word in command.arguments[1:]:
        if command.arguments[0] == "submit" and not word.startswith("-"):
            assert word in PLACEHOLDERS or word.isdigit() or (ROOT / "configs" / "grids" / f"{word}.yaml").exists()
        if word.startswith("configs/"):
            assert (ROOT / word).exists()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that is installed already, with a Python that only writes its arguments down."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    for name in (".ci", "configs", "tests/benchmarks"):
        shutil.copytree(ROOT / name, folder / name)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nfor word; do printf "%s\\036" "$word"; done >> said; echo >> said\n')
    python.chmod(0o755)
    for tool in ("sentiment", "ruff", "mypy"):
        shutil.copy(python, python.with_name(tool))
    for name in ("installed", "installed-dev"):
        (folder / ".venv" / name).touch()
    return folder


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.program == "make"], ids=_id)
def test_make_starts_commands_that_exist(clone: Path, command: ReadmeCommand) -> None:
    if command.arguments[0] in ("clean", "setup"):
        assert f"\n{command.arguments[0]}: " in (clone / "Makefile").read_text(encoding="utf-8")
        return
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(["make", *command.arguments], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = clone / "said"
    started = [line.split("\036")[:-1] for line in said.read_text().split("\n")[:-1]] if said.exists() else []
    said.unlink(missing_ok=True)
    for words in started:
        if words[0] in COMMAND_NAMES:
            _check(words)
        for word in words:
            if (file := ROOT / "configs" / "runs" / f"{word}.yaml").is_file():
                load_config(file, [after for before, after in pairwise(words) if before == "--set"])


@pytest.mark.parametrize("command", [one for one in COMMANDS if str(one.program).startswith("tests.")], ids=_id)
def test_benchmark_that_gives_a_figure_exists(command: ReadmeCommand) -> None:
    module = ROOT / str(command.program).replace(".", "/")
    assert module.with_suffix(".py").exists() or (module / "__main__.py").exists()


RUN_HERE = ("predict", "evaluate", "export", "show", "data", "status", "report")
NOT_HERE = {"sentiment140", "--log", "rnn"}


def _here(command: ReadmeCommand) -> bool:
    return command.program == "sentiment" and command.arguments[0] in RUN_HERE and not NOT_HERE & {*command.arguments}


@pytest.fixture(scope="module")
def desk(trained: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run, its exported model, and the tables that the READMEs speak of."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "configs").symlink_to(ROOT / "configs")
    shutil.copytree(trained.path, folder / "results" / "runs" / "single" / trained.path.name)
    words = {0: "sad", 1: "happy"}
    rows = "".join(f'"{text}",{words[label]}\n' for label, text in invented_tweets(400))
    (folder / "tweets.csv").write_text(f"tweet,mood\n{rows}", encoding="utf-8")
    plain = "".join(f'"{text}",{label}\n' for label, text in invented_tweets(60, seed=8))
    (folder / "other.csv").write_text(f"text,label\n{plain}", encoding="utf-8")
    done = CliRunner().invoke(app, ["export", str(trained.path), str(folder / "model.zip")])
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.parametrize("command", [one for one in COMMANDS if _here(one)], ids=_id)
def test_command_does_here_what_the_readme_says(
    desk: Path, trained: RunDir, monkeypatch: pytest.MonkeyPatch, command: ReadmeCommand
) -> None:
    monkeypatch.chdir(desk)
    run_dir = f"results/runs/single/{trained.path.name}"
    words = [re.sub("^(RUN_DIR|MODEL|RUN)$", run_dir, word) for word in command.arguments]
    if "--file" in words:
        words += ["--text-column", "tweet"]
    done = CliRunner().invoke(app, words, input="what a lovely day\n")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(("place", "block"), [one for one in python_blocks() if "import load" in one[1]])
def test_python_of_a_readme_runs(
    desk: Path, trained: RunDir, monkeypatch: pytest.MonkeyPatch, place: str, block: str
) -> None:
    monkeypatch.chdir(desk)
    code = block.replace("results/runs/single/RUN_ID", f"results/runs/single/{trained.path.name}")
    monkeypatch.setattr("sentiment.train", lambda *_, **__: load(trained.path), raising=False)
    exec(compile(code, place, "exec"), {})


def test_grid_of_the_readme_is_a_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "configs" / "README.md").read_text(encoding="utf-8")
    (grid,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.yaml").write_text(grid, encoding="utf-8")
    monkeypatch.chdir(ROOT)
    words = ["submit", str(tmp_path / "mine.yaml"), "--dry-run", "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, grid.count("\n")) == (0, 12), done.output
    assert "12 runs" in done.output


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_readme_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert "://" in target or (path.parent / target).exists(), target


def test_versions_are_one() -> None:
    done = subprocess.run([sys.executable, "-m", "sentiment", "--version"], capture_output=True, text=True, cwd=ROOT)
    release = done.stdout.split()[-1].partition(".dev")[0]
    assert f"version: {release}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {release}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
