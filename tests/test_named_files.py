"""Files that a user names: whatever is at the path, nothing hangs, nothing is destroyed, and the answer is one line."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app as jobs
from sentiment.__main__ import app
from sentiment.config import DataConfig
from sentiment.config_file import load_config
from sentiment.data.sources import open_source
from sentiment.errors import ConfigError, DataError
from sentiment.files import named_path, open_named, read_named, write_named
from sentiment.runs.run_dir import Results, RunDir

Make = Callable[[str], Path]


@pytest.fixture(params=["fifo", "device", "link to a device", "folder", "link to itself", "missing"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Puts something that is no regular file at a name."""

    def make(name: str) -> Path:
        path = tmp_path / name
        match request.param:
            case "fifo":
                os.mkfifo(path)
            case "device":
                return Path("/dev/zero")
            case "link to a device":
                path.symlink_to("/dev/zero")
            case "folder":
                path.mkdir()
            case "link to itself":
                path.symlink_to(path)
        return path

    return make


def test_size_is_bounded_and_the_bound_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_named(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_named(path, 4)


def test_what_is_no_regular_file_is_not_read(odd: Make, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"not a regular file|Is a directory|symbolic links|No such file"):
        open_named(odd("a"))
    with pytest.raises(ConfigError, match=r"no such file|cannot be read"):
        load_config(odd("run.yaml"))
    for ending in (".csv", ".csv.gz", ".jsonl", ".parquet", ".zip"):
        path = odd(f"t{ending}")
        with pytest.raises(DataError, match=str(path)):
            list(open_source(DataConfig(source=str(path)), Results(tmp_path)).main.read())


def test_table_and_record_that_are_no_files_are_refused_in_one_line(odd: Make, trained: RunDir, tmp_path: Path) -> None:
    table, config = odd("t.csv"), odd("config.json")
    run = config.parent if config.name == "config.json" else tmp_path
    for command in (
        ["data", str(table), "--results", str(tmp_path)],
        ["predict", str(trained.path), "--file", str(table), "--out", str(tmp_path / "o")],
        ["predict", str(run), "lovely"],
    ):
        outcome = CliRunner().invoke(app, command)
        assert outcome.exit_code in (1, 2)
        assert outcome.output.startswith("error: ")
    assert not (tmp_path / "o").exists()


def test_home_of_nobody_is_a_path_like_any_other(tmp_path: Path) -> None:
    assert str(named_path("~no-such-user/x.csv")) == "~no-such-user/x.csv"
    assert named_path("~/x.csv") == Path.home() / "x.csv"
    outcome = CliRunner().invoke(app, ["data", "~no-such-user/x.csv", "--results", str(tmp_path)])
    assert outcome.exit_code == 1
    assert "~no-such-user/x.csv: no such file" in outcome.output


def test_links_are_followed_and_they_and_devices_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link, null = tmp_path / "elsewhere" / "target", tmp_path / "link", tmp_path / "null"
    link.symlink_to(target)
    null.symlink_to("/dev/null")
    for content in (b"new", b"newer"):
        for path in (link, null, Path("/dev/null")):
            write_named(path, lambda file, content=content: file.write(content))
        assert (link.is_symlink(), target.read_bytes(), null.is_char_device()) == (True, content, True)
    assert list((tmp_path / "elsewhere").iterdir()) == [target]


@pytest.mark.parametrize("place", ["", "nowhere/o.csv", "file/o.csv", "loop"])
def test_output_that_cannot_be_written_is_told_in_one_line(trained: RunDir, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    source = tmp_path / "t.csv"
    source.write_text("text\nlovely\n")
    out = tmp_path / place
    for command in (["predict", "--file", str(source), "--out", str(out)], ["evaluate", "--out", str(out)]):
        outcome = CliRunner().invoke(app, [command[0], str(trained.path), *command[1:]])
        assert outcome.exit_code == 1
        (line,) = [line for line in outcome.output.splitlines() if line.startswith("error: ")]
        assert str(out) in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop", "t.csv"]


def test_plan_that_belongs_to_another_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "runs" / "mine"
    folder.mkdir(parents=True)
    plan = {"name": "../../../x", "description": "?", "method": "grid", "metric": "validation/f1", "goal": "maximize"}
    plan |= {"schema_version": 1, "base": "x.yaml", "parameters": {}, "runs": []}
    (folder / "grid.json").write_text(json.dumps(plan))
    for command in (["status"], ["rerun", "--local"], ["cancel", "mine"]):
        outcome = CliRunner().invoke(jobs, [*command, "--results", str(tmp_path / "results")])
        assert outcome.exit_code in (1, 2)
        assert "grid.json" in outcome.output
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
