"""Every command that the program prints runs as it stands: in its folder, with its names, files and options."""

import csv
import re
import shlex
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import typer

from jobs.requested import write_request
from sentiment.__main__ import app
from sentiment.files import ROOT
from sentiment.runs.run_dir import Results, RunDir
from tests.commands import invoke
from tests.jobs.grid_files import a_request, load_grid, write_base, write_grid
from tests.jobs.submitted import a_failure, submitted
from tests.small_runs import invented_tweets, write_tweets

pytestmark = pytest.mark.slow

COMMAND = re.compile(r"`(sentiment [^`]+)`|(?:^|  |: )(sentiment [a-z]+ [^`\n]+)$", re.MULTILINE)
# What takes long, or is for the user to fill in, is resolved by the parser alone, and so are its files.
_ONLY_PARSED = {"train", "submit", "rerun", "data", "prepare", "report"}


@pytest.fixture
def results(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """A results folder of this name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    return Results(Path(request.param))


@pytest.fixture
def desk(results: Results, trained: RunDir, tweets_file: Path) -> RunDir:
    """A completed run; a grid on this machine of which a run failed and the other has not begun; and some tables."""
    run_dir = results.run_dir(trained.read_config().run_id)
    shutil.copytree(trained.path, run_dir.path)
    file = write_grid(write_base(Path("configs"), tweets_file), {"seed": [11, 12]})
    grid = load_grid(file, results)
    results.write_grid(grid.plan)
    write_request(results, a_request(file, local=True))
    failed, waiting = (results.run_dir(config.run_id, "some") for config in grid.configs)
    folder = submitted(results, "train", "local1", [failed.path.name, waiting.path.name], grid="some", local=True)
    failed.create(grid.configs[0])
    failed.write_record(a_failure("local1_0"))
    folder.run_log(failed.path.name).parent.mkdir(parents=True, exist_ok=True)
    folder.run_log(failed.path.name).write_text("Traceback\n")
    rows = invented_tweets(120, seed=8)
    write_tweets(Path("mine.csv"), rows)
    write_tweets(Path("texts.csv"), [[text] for _, text in rows], ["text"])
    write_tweets(Path("answers.csv"), [[text, "positive"] for _, text in rows], ["text", "label"])
    return run_dir


def _options(results: Results) -> list[str]:
    return ["--results", str(results.root)]


SITUATIONS: dict[str, Callable[[RunDir], list[str]]] = {
    "trained": lambda run: ["train", str(run.config_file)],
    "evaluated": lambda run: ["evaluate", "last", "--data", "mine.csv"],
    "sheet to choose": lambda run: ["evaluate", "last", "--data", "texts.csv", "--sheet", "which.csv"],
    "shares": lambda run: ["share", "last", "texts.csv"],
    "sheet of shares": lambda run: ["share", "last", "texts.csv", "--sheet", "sample.csv"],
    "sheet for a person": lambda run: ["add", "--of", "mine.csv", "--sheet", "person.csv"],
    "answers added": lambda run: ["add", "llm", "answers.csv", "--of", "mine.csv"],
    "exported": lambda run: ["export", "last", "model.zip"],
    "no model": lambda run: ["predict", "model.zip", "nice"],
    "unknown run": lambda run: ["predict", "nosuch", "nice"],
    "run that has not begun": lambda run: ["evaluate", run.results.read_grid("some").runs[1].run_id],
    "run that failed": lambda run: ["evaluate", run.results.read_grid("some").runs[0].run_id],
    "grid that failed": lambda run: ["status"],
    "grid to be planned": lambda run: ["submit", "vader", "--dry-run"],
    "grid file as a run": lambda run: ["train", "configs/some.yaml"],
    "grid whose runs changed": lambda run: ["submit", "some", "--set", "seed=13", "--local"],
}


# The default folder, where one function leaves the option out of all commands, and another folder.
_PLACES = [("results", situation) for situation in ("trained", "sheet to choose", "grid that failed")]
_PLACES += [("elsewhere/my results", situation) for situation in SITUATIONS]


@pytest.mark.parametrize(("results", "situation"), _PLACES, indirect=["results"])
def test_printed_command_runs_as_it_stands(desk: RunDir, results: Results, situation: str) -> None:
    words = SITUATIONS[situation](desk)
    printed = invoke(*words, *_options(results)).output
    commands = [shlex.split(backticked or plain)[1:] for backticked, plain in COMMAND.findall(printed)]
    assert commands, printed
    for command in commands:
        _label(word for word in command if word.endswith(".csv"))
        if command[0] in _ONLY_PARSED:
            _resolve(command, results)
        else:
            done = invoke(*command)
            assert done.exit_code in (0, 1, 3), (command, done.output)
            assert "error: " not in done.output, (command, done.output)


def _label(tables: Iterable[str]) -> None:
    """Do what a person does with a sheet before the next command: label its tweets."""
    for table in tables:
        with open(table, encoding="utf-8", newline="") as file:
            rows = [*csv.DictReader(file)]
        if "label" in rows[0]:
            for number, row in enumerate(rows):
                row["label"] = row["label"] or ("negative", "positive")[number % 2]
            write_tweets(Path(table), [[*row.values()] for row in rows], [*rows[0]])


def _resolve(arguments: list[str], results: Results) -> None:
    """Let the real parser read a command, and look for the files and grids that it names."""
    command = typer.main.get_command(app).commands[arguments[0]]
    given = command.make_context(arguments[0], arguments[1:]).params
    if arguments[0] not in ("data", "prepare"):
        assert Path(given["results"]) == results.root
    for name in given.get("grids") or given.get("targets") or []:
        assert (
            results.read_grid(str(name)) or Path(name).is_file() or (ROOT / "configs/grids" / f"{name}.yaml").is_file()
        )
    for word in given.get("words") or []:
        assert Path(word).is_file() or (ROOT / word).is_file()
