"""The program installed as a package, outside of a clone, and without what only some of its parts need."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sentiment import __version__
from sentiment.files import ROOT, config_path, shipped_file

EXTRAS = (
    *("submitit", "optuna", "markdown_it", "vl_convert", "h5py"),
    *("transformers", "huggingface_hub", "gensim", "wandb", "allennlp"),
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    built = folder / "clone"
    copy = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(copy, capture_output=True, check=True, text=True).stdout.split("\0")
    for name in names:
        if name and not name.startswith("tests/") and (ROOT / name).is_file():
            (built / name).parent.mkdir(parents=True, exist_ok=True)
            (built / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(built)], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def _start(
    *arguments: str, site: Path, here: Path, without: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """Start an installed command in a folder that is no clone, and let it end."""
    script = f"import sys; sys.modules.update(dict.fromkeys({without!r})); from sentiment.__main__ import app; app()"
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1", "COLUMNS": "200"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)


def _run(*arguments: str, **where: Any) -> str:
    done = _start(*arguments, **where)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.more
def test_wheel_takes_no_top_level_name_but_its_own(installed: Path) -> None:
    assert {path.name for path in installed.iterdir()} == {"sentiment", f"sentiment_grids-{__version__}.dist-info"}
    assert _run("--version", site=installed, here=installed.parent) == f"sentiment-grids {__version__}\n"


@pytest.mark.more
def test_wheel_trains_runs_and_grids_and_reports_far_from_any_clone(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text("raise RuntimeError('somebody else has this name')")
    train = ("train", "smoke", "--set", "training.epochs=1")
    assert "sentiment predict results/" in _run(*train, site=installed, here=tmp_path, without=EXTRAS)
    (run_dir,) = (tmp_path / "results" / "runs" / "single").iterdir()
    predict = ("predict", str(run_dir), "what a lovely day")
    assert "probability" in _run(*predict, site=installed, here=tmp_path, without=EXTRAS)
    _run("export", "last", "model.zip", site=installed, here=tmp_path)
    assert b"## How it was made" in zipfile.ZipFile(tmp_path / "model.zip").read("README.md")
    assert "smoke" in _run("submit", "smoke", "--dry-run", site=installed, here=tmp_path)
    changes = ("--set", "training.epochs=1", "--set", "model.hidden_size=4")
    _run("submit", "smoke", "--local", "--at-once", "2", *changes, site=installed, here=tmp_path)
    assert (tmp_path / "results" / "report" / "report.html").exists()
    assert "runs are completed" in _run("report", site=installed, here=tmp_path)
    (copy,) = (tmp_path / "results" / "code").glob("*/code.json")
    assert {path.name for path in copy.parent.iterdir()} == {"code.json", "sentiment", "jobs", "report"}
    assert not (copy.parent / "sentiment" / "programs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "arguments"),
    [("jobs", ["submit", "smoke", "--dry-run", "--verbose"]), ("report", ["report"])],
    ids=["jobs", "report"],
)
def test_missing_extra_is_named_with_what_installs_it(extra: str, arguments: list[str], tmp_path: Path) -> None:
    done = _start(*arguments, site=ROOT, here=tmp_path, without=EXTRAS)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert f"`pip install '.[{extra}]'` in the clone, or `uv sync --extra {extra}`" in done.stderr.replace("\n", " ")


def test_shipped_files_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rnn = config_path(Path("rnn"), "runs")
    assert rnn == Path("configs/runs/rnn.yaml")
    assert shipped_file(rnn) == ROOT / rnn
    rnn.parent.mkdir(parents=True)
    rnn.touch()  # the user's own comes first
    assert shipped_file(rnn) == rnn
    assert shipped_file(Path("elsewhere.yaml")) == Path("elsewhere.yaml")
