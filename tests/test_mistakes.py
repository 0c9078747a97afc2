"""Mistakes that people make: each is answered by one message that says what to do, never by a traceback.

Which message a table, a configuration or a grid gets is tested where it is made; here, that it reaches the user.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sentiment.config import DataConfig
from sentiment.data.sources import open_source
from sentiment.errors import ConfigError, DataError
from sentiment.files import open_user_file, user_path, write_user_file
from sentiment.runs.run_dir import Results, RunDir
from tests.commands import invoke, refused
from tests.conftest import MakeExperiment
from tests.jobs.submitted import a_plan
from tests.small_runs import StopWhen, invented_tweets, load_config, write_tweets

TWEETS = invented_tweets(60)
ROWS = "".join(f'"{text}",{label}\n' for label, text in TWEETS)
FILES = {
    "good.csv": f"text,label\n{ROWS}",
    "words.csv": "text,label\n" + "".join(f'"{text}",{("nein", "ja")[label]}\n' for label, text in TWEETS),
    "groups.csv": "text,group\n" + "".join(f'"{text}",{"ab"[label]}\n' for label, text in TWEETS),
    "grid.yaml": "method: grid\nparameters: {model.hidden_size: [8, 16]}\n",
    "word.yaml": "model: lstm\n",
    "misspelt.yaml": "modle: {cell: gru}\n",
}

SMOKE = ("train", "smoke", "--results", "r")
MISTAKES = [
    # On runs and fields
    (("train", "smok"), 2, "configs/runs/smok.yaml: no such file; configs/runs has: attention"),
    ((*SMOKE, "hidden_size=3"), 2, "hidden_size: unknown key (an override); did you mean 'model.hidden_size'?"),
    ((*SMOKE, "--epochs", "3"), 2, "--epochs: no such option"),
    (("train", "student.cvs"), 2, "student.cvs: no such file"),
    (("train", "grid.yaml"), 2, "is the file of a grid, not of a run; `sentiment submit grid.yaml --local`"),
    (("train", "word.yaml"), 2, "must hold fields, each as NAME: VALUE; valid: kind, cell, hidden_size"),
    ((*SMOKE, "--set", "data.tests.path=x"), 2, "data.tests.path = 'x' (an override): must hold fields"),
    ((*SMOKE, "--set", "description=!!bool x"), 2, "is not valid YAML"),
    (("train", "smoke", "--results", "r\udcff"), 2, "is not UTF-8; rename it, or choose another name"),
    # On tables
    ((*SMOKE, "--data", "words.csv"), 2, "labels whose meaning is not known"),
    (
        (*SMOKE, "--data", "groups.csv"),
        2,
        "no column is named like labels (--label-column=NAME names one); by its values column 'group' has labels",
    ),
    (("train", "good.csv", "--data", "good.csv"), 2, "the table good.csv is named already"),
    (("train", "rnn", "smoke"), 2, "smoke: rnn is named already"),
    # On models
    (
        ("predict", "nowhere", "nice"),
        2,
        "nowhere: neither a grid nor a run in results/runs, nor the directory of a run",
    ),
    (("predict", "last", "nice"), 2, "nor the directory of a run"),
    (("predict", "model.zip", "nice"), 2, "no such file; `sentiment export last model.zip` exports"),
    (("predict", "RUN", "nice", "--with", "best"), 2, "'best' is not one of 'network', 'baseline', 'both'"),
    (("predict", "RUN", "good.csv"), 2, "good.csv: is the name of a table; --out names the file to write"),
    (("predict", "RUN", "student.csv", "--out", "o.csv"), 2, "student.csv: no such file"),
    (("evaluate", "good.csv"), 2, "`sentiment evaluate last --data good.csv` scores a model on its tweets"),
    (("predict", "RUN", "--file", "good.csv"), 2, "--file IN with --out OUT"),
    (("predict", "RUN", "nice", "--threshold=nan"), 2, "--threshold"),
    (("predict", "RUN", "--file", "good.csv", "--out", "o.csv", "--text-column", "1" * 5_000), 2, "no column '111"),
    (("predict", "RUN"), 2, "and either tweets in quotes, or -"),
    (("predict", "RUN", "nice", "--text-column", "text"), 2, "--text-column, --quotes and --no-quotes require --file"),
    (("evaluate", "RUN", "--set", "data.columns.text=tweet"), 2, "--label-column require --data"),
    (("evaluate", "RUN", "--data", "good.csv", "--set", "model.layers=2"), 2, "model.layers=2: only fields that begin"),
    (("export", "RUN", "model.pkl"), 2, "name it model.zip"),
    ((*SMOKE, "--data", "http://a.org/b.csv"), 2, "no such file; valid: sample"),
    (("predict", "RUN", "nice", "--explain", "--format", "csv"), 2, "--explain works only with TWEET"),
    (("share", "RUN", "good.csv", "--sheet", "a.csv", "--sheet", "b.csv"), 2, "--sheet is given twice"),
    (("share", "RUN", "good.csv", "--sheet", "a.csv", "--for", "Ann"), 2, "give it twice or more"),
    (
        ("share", "RUN", "good.csv", "--sheet", "a.csv", "--for", "Ann", "--for", "../B"),
        2,
        "'../B': is part of the sheet's",
    ),
    (("share", "RUN", "good.csv", "--sheet", "a.csv", "--shared", "9"), 2, "--shared requires --for"),
    (("share", "RUN", "good.csv", "--settle", "a.csv"), 2, "require the sheets of several annotators"),
    (("evaluate", "RUN", "--data", "good.csv", "--settled", "a.csv"), 2, "require the sheets of several annotators"),
    (("evaluate", "RUN", "--labels", "50"), 2, "--labels requires --sheet"),
    (("share", "RUN", "good.csv", "--labels", "50"), 2, "--labels requires --sheet"),
    (("evaluate",), 2, "evaluate takes a RUN or a TABLE"),
    (("evaluate", "--sheet", "new.csv"), 2, "evaluate takes a RUN or a TABLE, or --labelled"),
    (("share",), 2, "share takes a MODEL and a FILE"),
    (("predict", "RUN", "nice", "--with", "both", "--with=network"), 2, "--with is given twice"),
    # On grids and the report
    (("submit", "good.csv"), 2, "good.csv: is no file of settings (.yaml); a table of tweets is given by --data"),
    (("submit", "misspelt.yaml"), 2, "command and parameters; it has modle"),
    (("submit", "vaderr"), 2, "configs/grids/vaderr.yaml: no such file; configs/grids has: attention"),
    (("status", "smoke", "--results", "r"), 2, "smoke: neither a grid nor a run in r/runs"),
    (("status", "--log", "some", "--results", "r"), 2, "some: neither a grid nor a run in r"),
    (("cancel", "--results", "r"), 2, "cancel needs"),
    (("report", "some", "--results", "r"), 2, "some"),
]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("arguments", "code", "said"), MISTAKES, ids=[" ".join(one[0]) for one in MISTAKES])
def test_mistake_is_one_message(desk: Path, trained: RunDir, arguments: tuple[str, ...], code: int, said: str) -> None:
    output = refused(code, *(trained.path if word == "RUN" else word for word in arguments))
    assert said in output
    assert output.count("error: ") == 1
    assert len(output.splitlines()) <= 5
    assert not list(desk.glob("r/runs/single/*/run.json"))


def test_file_name_that_is_not_utf_8_is_told_in_a_line(small_run_file: Path, tmp_path: Path) -> None:
    """A run's configuration is JSON, which could not name the file."""
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")
    write_tweets(Path(name), invented_tweets(50))
    for arguments in (("--data", name), ("--set", f"data.source={name}"), ("--set", f"embedding.pretrained={name}")):
        message = refused(2, "train", small_run_file, "--results", tmp_path / "results", *arguments)
        assert "is not UTF-8" in message
        assert message.strip().count("\n") == 0
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["run.json", "checkpoints/step-1.ckpt"])
def test_mistake_deletes_no_run_that_has_begun(small_run_file: Path, tmp_path: Path, name: str) -> None:
    options = ("train", small_run_file, "--results", tmp_path, "--data", tmp_path / "nothing.csv")
    run_dir = Results(tmp_path).run_dir(load_config(small_run_file, [f"data.source={options[-1]}"]).run_id)
    (run_dir.path / name).parent.mkdir(parents=True)
    (run_dir.path / name).touch()
    assert "nothing.csv: no such file" in refused(2, *options)
    assert (run_dir.path / name).exists()


def test_unfinished_run_is_told_apart(experiment: MakeExperiment, tmp_path: Path) -> None:
    run = experiment()
    assert run.attempt(StopWhen(lambda asked: True)) is not None
    for command in (["evaluate"], ["predict", "--with", "network", "nice"], ["export", tmp_path / "a.zip"]):
        assert "is not completed yet" in refused(2, command[0], run.run_dir.path, *command[1:])


def test_results_that_cannot_be_written_are_named(small_run_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot be written" in refused(1, "train", small_run_file, "--results", tmp_path / "file" / "results")


ODD: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "device": lambda path: Path("/dev/zero"),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "link to itself": lambda path: path.symlink_to(path),
    "missing": lambda path: None,
}


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Any]:
    return lambda name: ODD[request.param](tmp_path / name) or tmp_path / name


def test_what_is_no_regular_file_is_told_in_a_line(odd: Callable[[str], Path], trained: RunDir, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"not a regular file|Is a directory|symbolic links|No such file"):
        open_user_file(odd("a"))
    with pytest.raises(ConfigError, match=r"no such file|cannot be read"):
        load_config(odd("run.yaml"))
    for ending in (".csv", ".csv.gz", ".jsonl", ".parquet"):
        path = odd(f"t{ending}")
        with pytest.raises(DataError, match=str(path)):
            list(open_source(DataConfig(source=str(path)), Results(tmp_path)).main.read())
    table, config, out = odd("table.csv"), odd("config.json"), tmp_path / "o"
    run = config.parent if config.name == "config.json" else tmp_path
    for words in (
        ("data", table, "--results", tmp_path),
        ("predict", trained.path, "--file", table, "--out", out),
        ("predict", run, "lovely"),
    ):
        done = invoke(*words)
        assert (done.exit_code in (1, 2), done.output[:7]) == (True, "error: ")
    assert not out.exists()


def test_home_of_nobody_is_a_path_like_any_other(tmp_path: Path) -> None:
    assert user_path("~/x.csv") == Path.home() / "x.csv"
    assert "~no-such-user/x.csv: no such file" in refused(2, "data", "~no-such-user/x.csv", "--results", tmp_path)


def test_links_are_followed_and_they_and_devices_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link, null = tmp_path / "elsewhere" / "target", tmp_path / "link", tmp_path / "null"
    link.symlink_to(target)
    null.symlink_to("/dev/null")
    for content in (b"new", b"newer"):
        for path in (link, null, Path("/dev/null")):
            write_user_file(path, lambda file, content=content: file.write(content))
        assert (link.is_symlink(), target.read_bytes(), null.is_char_device()) == (True, content, True)
    assert list((tmp_path / "elsewhere").iterdir()) == [target]


def test_pipe_is_written_to() -> None:
    code = "from pathlib import Path; from sentiment.files import write_user_file as write;"
    code += "write(Path('/dev/stdout'), lambda file: file.write(b'so good'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert (done.stdout, done.stderr) == (b"so good", b"")


@pytest.mark.parametrize("place", ["", "nowhere/o.csv", "file/o.csv", "loop"])
def test_output_that_cannot_be_written_is_told_in_one_line(trained: RunDir, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "t.csv").write_text("text\nlovely\n")
    out = tmp_path / place
    for words in (("predict", "--file", tmp_path / "t.csv"), ("evaluate",)):
        output = refused(1, words[0], trained.path, *words[1:], "--out", out)
        (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
        assert str(out) in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop", "t.csv"]


def test_plan_that_belongs_to_another_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "grid.json").write_text(a_plan([], name="../../../x").model_dump_json())
    for command in (["status"], ["rerun", "--local"], ["cancel", "mine"]):
        done = invoke(*command, "--results", tmp_path / "results")
        assert done.exit_code in (1, 2)
        assert "grid.json" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
