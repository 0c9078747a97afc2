"""What the READMEs say is so; make passes on what it is given, and nothing in it is run, split or lost."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from sentiment.__main__ import app
from sentiment.api import load
from sentiment.files import ROOT
from sentiment.predicting.stored import EXAMPLE, open_stored
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext
from tests.commands import invoke, succeed
from tests.small_runs import invented_tweets, load_config, write_tweets

FOLDERS = ("configs", "jobs", "sentiment", "report", "results", "tests")
READMES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [
        ROOT / "README.md",
        ROOT / ".github" / "CONTRIBUTING.md",
        *sorted(one for folder in FOLDERS for one in (ROOT / folder).rglob("README.md")),
    ]
}
COMMAND_NAMES = typer.main.get_command(app).commands
ACT_AT_ONCE = {"--version", "--install-completion", "--show-completion"}  # also while they are only parsed
PLACEHOLDERS = {"mine", "RUN", "GRID", "MODEL", "NAME", "DIR", "FILE", "FILE.zip", "MODEL.zip"}


def _commands(program: str) -> Iterator[list[str]]:
    """The arguments of all commands that begin so: lines of blocks without a language, and words in backticks."""
    for text in READMES.values():
        blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        for line in [*"".join(blocks).splitlines(), *re.findall(r"`([^`\n]+)`", prose)]:
            command = re.sub(r"\s+<\s+\S+$", "", re.sub(r"\s{2,}#.*$|\s+#\s.*$", "", line)).strip()
            if command.startswith(program):
                words = shlex.split(command.removeprefix(program).split(" && ")[0])
                if words:
                    yield words


SENTIMENT, MAKE = [*_commands("sentiment ")], [*_commands("make ")]
MODULES = [words[0] for words in _commands("python -m ") if words[0].startswith("tests")]


def _check(arguments: list[str]) -> None:
    """Refuse what the program's parser would refuse, without running anything."""
    command = typer.main.get_command(app)
    context = command.make_context("sentiment", list(arguments))
    while words := [*getattr(context, "_protected_args", ()), *context.args] if hasattr(command, "commands") else []:
        name, command, rest = command.resolve_command(context, words)
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("words", [one for one in SENTIMENT if one[0] not in ACT_AT_ONCE], ids=" ".join)
def test_command_takes_the_options_that_the_readme_gives_it(words: list[str]) -> None:
    _check(["--help"] if words[-1] in ("...", "COMMAND") else words)
    for word in words[1:]:
        if words[0] == "submit" and not word.startswith("-"):
            files = [ROOT / "configs" / folder / f"{word}.yaml" for folder in ("grids", "studies")]
            assert word in PLACEHOLDERS or word.isdigit() or any(file.exists() for file in files)
        assert not word.startswith("configs/") or (ROOT / word).exists()


def test_readmes_are_short_their_links_lead_somewhere_and_their_modules_exist() -> None:
    assert len(READMES["README.md"].splitlines()) <= 150
    assert min(len(SENTIMENT), len(MAKE), 5 * len(MODULES)) > 10
    for place, text in READMES.items():
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert "://" in target or ((ROOT / place).parent / target).exists(), (place, target)
        for named in re.findall(r"`((?:sentiment|jobs|report|tests)/[^`]*)`", text):
            assert (ROOT / named).exists(), (place, named)
    for module in MODULES:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@pytest.fixture(scope="module")
def desk(trained: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory, with a trained run, its exported model, and the tables that the READMEs speak of."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "configs").symlink_to(ROOT / "configs")
    shutil.copytree(trained.path, folder / "results" / "runs" / "single" / trained.path.name)
    words = {0: "sad", 1: "happy"}
    rows = [(text, words[label]) for label, text in invented_tweets(400)]
    write_tweets(folder / "tweets.csv", rows, ("tweet", "mood"))
    write_tweets(folder / "other.csv", invented_tweets(60, seed=8))
    succeed("export", trained.path, folder / "model.zip")
    return folder


# A report is drawn where reports are tested.
RUN_HERE, NOT_HERE = {"predict", "evaluate", "export", "data", "status"}, {"sentiment140", "--log", "rnn"}


@pytest.mark.parametrize("words", [one for one in SENTIMENT if one[0] in RUN_HERE and not NOT_HERE & {*one}])
def test_command_does_here_what_the_readme_says(
    desk: Path, trained: RunDir, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(desk)
    words = [re.sub("^(MODEL|RUN)$", trained.path.name, word) for word in words]
    if "--file" in words:
        words += ["--text-column", "tweet"]
    succeed(*words, input="what a lovely day\n")


@pytest.mark.parametrize("place", [place for place, text in READMES.items() if "from sentiment import" in text])
def test_python_of_a_readme_runs(desk: Path, trained: RunDir, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(desk)
    for trains in ("train", "SentimentClassifier.fit"):
        monkeypatch.setattr(f"sentiment.api.{trains}", lambda *_, **__: load(trained.path))
    for block in re.findall(r"^```python\n(.*?)^```", READMES[place], re.MULTILINE | re.DOTALL):
        if "from sentiment import" in block:
            exec(compile(block, place, "exec"), {"texts": ["fine"], "labels": ["positive"]})


def test_grid_of_the_readme_is_a_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, hypotheses = re.findall(r"^```yaml\n(.*?)^```", READMES["configs/README.md"], re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.yaml").write_text(grid + hypotheses, encoding="utf-8")
    monkeypatch.chdir(ROOT)
    done = invoke("submit", tmp_path / "mine.yaml", "--dry-run", "--results", tmp_path / "results")
    assert (done.exit_code, grid.count("\n"), "12 runs" in done.output) == (0, 12, True), done.output
    assert "hypotheses: what the runs are likely to show of them is told once the tweets are prepared" in done.output


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone that is installed already, with programs that only write their arguments down."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in (".ci", "configs", "tests/benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "sentiment", "ruff", "mypy"):
        program = tmp_path / ".venv" / "bin" / name
        program.write_text('#!/bin/sh\nfor word; do printf "%s\\036" "$word"; done >> said; echo >> said\n')
        program.chmod(0o755)
    for name in ("pyproject.toml", ".venv/installed", ".venv/installed-dev"):
        (tmp_path / name).touch()
    return tmp_path


def _run(clone: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Make, without what an outer make has left in the environment, its variables among them."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(["make", *arguments], cwd=clone, env=environment, capture_output=True, text=True)


def _make(clone: Path, *arguments: str) -> list[list[str]]:
    done = _run(clone, *arguments)
    assert done.returncode == 0, done.stderr
    said = clone / "said"
    lines = said.read_text().split("\n")[:-1] if said.exists() else []
    said.unlink(missing_ok=True)
    return [line.split("\036")[:-1] for line in lines]


def test_make_starts_commands_that_exist(clone: Path) -> None:
    for arguments in MAKE:
        if arguments[0] in ("clean", "setup"):
            assert f"\n{arguments[0]}: " in (clone / "Makefile").read_text(encoding="utf-8")
            continue
        for words in _make(clone, *arguments):
            if words and words[0] in COMMAND_NAMES:
                _check(words)
            for word in words:
                if (file := ROOT / "configs" / "runs" / f"{word}.yaml").is_file():
                    load_config(file, [after for before, after in pairwise(words) if before == "--set"])


AWKWARD = ["my tweets.csv", "jo's.csv", 'a "b".csv', "x; touch bad;", "$HOME.csv", "`touch bad`.csv", "$(touch bad)"]


@pytest.mark.parametrize("name", [*AWKWARD, "*"])
def test_awkward_names_reach_the_command_unchanged(clone: Path, name: str) -> None:
    expected = ["train", name, "--results", name, "--data", name, "--set", "seed=2", "--set", "model.layers=2"]
    given = (f"RUN={name}", f"DATA={name}", f"RESULTS={name}", "SET=seed=2 model.layers=2")
    assert _make(clone, "run", *given) == [expected]
    assert _make(clone, "data", f"DATA={name}")[0][:4] == ["data", name, "--config", "rnn"]
    for target in ("submit", "submit-elmo", "study"):
        *_, words = _make(clone, target, f"DATA={name}")
        assert words[words.index("--data") + 1] == name
    for target in ("status", "rerun", "cancel", "report", "submit"):
        _make(clone, target, f"GRID={name}", f"RESULTS=$(shell {name})")
    assert not (clone / "bad").exists()


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ("seed=2 model.layers=2", ["seed=2", "model.layers=2"]),
        ('data.columns.text="Tweet Text"  seed=2 ', ['data.columns.text="Tweet Text"', "seed=2"]),
        ("data.columns.text=Tweet Text", ["data.columns.text=Tweet Text"]),
        (
            'data.labels={"no": ["0"], "yes": ["1"]} seed=[1, 2]',
            ['data.labels={"no": ["0"], "yes": ["1"]}', "seed=[1, 2]"],
        ),
        ("x=$(touch bad) y=*;touch bad", ["x=$(touch bad)", "y=*;touch bad"]),
        ("", []),
    ],
)
def test_each_change_in_set_is_an_option_whatever_its_value_holds(clone: Path, given: str, changes: list[str]) -> None:
    for target in ("run", "data", "submit", "study"):
        *_, words = _make(clone, target, f"SET={given}")
        assert [after for before, after in pairwise(words) if before == "--set"] == changes
    assert not (clone / "bad").exists()


TAKEN = {
    "RUN": {"run", "data"},
    "SET": {"run", "data", "submit", "submit-elmo", "study"},
    "GRID": {"submit", "status", "rerun", "cancel", "report"},
    "DRY_RUN": {"submit", "submit-elmo", "study"},
    "LOCAL": {"submit", "submit-elmo", "study", "rerun"},
    "BENCH": {"bench"},
    "seed": set[str](),
}
TARGETS = ("help", "test", "clean", "doctor", *set[str]().union(*TAKEN.values()))


@pytest.mark.parametrize("name", TAKEN)
def test_a_variable_that_a_target_would_ignore_is_refused(clone: Path, name: str) -> None:
    for target in sorted({*TARGETS} - TAKEN[name]):
        done = _run(clone, target, f"{name}=1")
        assert done.returncode == 2
        assert f"make {target} has no variable {name}" in done.stderr
        assert not (clone / "said").exists()
    for target in TAKEN[name]:
        assert _make(clone, target, f"{name}=1")


def test_dry_run_in_the_environment_is_not_ignored_either(clone: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DRY_RUN": "1"}
    for target, code in (("cancel", 2), ("rerun", 2), ("submit", 0)):
        assert subprocess.run(["make", target], cwd=clone, env=environment, capture_output=True).returncode == code
    (words,) = (clone / "said").read_text().split("\n")[:-1]
    assert "--dry-run" in words.split("\036")


def test_make_refuses_variables_that_it_does_not_have_and_its_help_fits_80_columns(clone: Path) -> None:
    done = _run(clone, "run", "seed=3")
    assert done.returncode == 2
    assert 'make run has no variable seed; did you mean SET="seed=..."?; it takes RUN' in done.stderr
    assert not (clone / "said").exists()
    help = _run(clone).stdout
    assert max(map(len, help.splitlines())) < 80
    assert "any of: attention" in help
    assert "`. .venv/bin/activate` puts `sentiment` on your PATH" in _run(clone, "setup").stdout


README = READMES["README.md"]
SHOWN = re.findall(r"^(positive|negative) +[\d.]+ %  (.+)$", README, re.MULTILINE)


def test_each_sentence_that_readme_has_predicted_is_shown_with_its_label() -> None:
    (command,) = re.findall(r'^sentiment predict last (".*")$', README, re.MULTILINE)
    assert [tweet for _, tweet in SHOWN] == re.findall(r'"(.*?)"', command)
    assert EXAMPLE in dict(map(reversed, SHOWN))
    assert f"\nrun {load_config(ROOT / 'configs' / 'runs' / 'rnn.yaml').run_id} " in README


@pytest.mark.more
def test_examples_are_right_by_what_make_run_recommends(tmp_path: Path) -> None:
    config = load_config(ROOT / "configs" / "runs" / "rnn.yaml")
    results = Results(tmp_path)
    run_dir = results.run_dir(config.run_id)
    command = [sys.executable, "-m", "sentiment", "data", "vader", "--results", str(tmp_path)]
    fetched = subprocess.run(command, capture_output=True, text=True)  # outside of this process, which is offline
    if fetched.returncode:
        pytest.skip(f"the tweets cannot be fetched: {fetched.stderr.strip()}")
    run_experiment(RunContext(config, results, run_dir))
    model = open_stored(run_dir.path).model()
    tweets = [tweet for _, tweet in SHOWN]
    said = dict(zip(tweets, (model.classify_texts(tweets).probabilities[:, 1] >= 0.5).tolist(), strict=True))
    assert said == {tweet: label == "positive" for label, tweet in SHOWN}
