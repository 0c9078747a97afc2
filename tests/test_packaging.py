"""The program installed as a package, outside of a clone, and without what only some of its parts need."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sentiment import __version__
from sentiment.files import ROOT, config_path, shipped_file
from tests.small_runs import invented_tweets, write_tweets

EXTRAS = (
    *("submitit", "optuna", "markdown_it", "vl_convert", "h5py"),
    *("transformers", "huggingface_hub", "gensim", "wandb", "allennlp"),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, which is built from the files that git knows."""
    folder = tmp_path_factory.mktemp("wheel")
    clone = folder / "clone"
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, capture_output=True, check=True, text=True).stdout.split("\0")
    for name in names:
        if name and not name.startswith("tests/") and (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    build = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    subprocess.run([sys.executable, "-c", build], cwd=clone, check=True, capture_output=True)
    (source,) = folder.glob("*.tar.gz")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(source)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def _needed(requirement: Requirement, found: dict[str, Distribution]) -> None:
    """Find the distributions that a requirement needs, with those that they need themselves."""
    wanted = distribution(requirement.name)
    key = " ".join([canonicalize_name(requirement.name), *sorted(requirement.extras)])
    if key in found:
        return
    found[key] = wanted
    for line in wanted.requires or ():
        other = Requirement(line)
        extras = ["", *requirement.extras]
        if other.marker is None or any(other.marker.evaluate({"extra": extra}) for extra in extras):
            _needed(other, found)


def _environment(folder: Path, wheel: Path, extras: str) -> Path:
    """An environment with the wheel and what it says that it needs, and nothing else; return its folder of programs."""
    found: dict[str, Distribution] = {}
    _needed(Requirement(f"sentiment-grids{extras}"), found)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for one in {id(one): one for one in found.values()}.values():
        if one.name != "sentiment-grids":
            for top in {file.parts[0] for file in one.files or () if file.parts[0] != ".."}:
                target = site / top
                if not target.exists():
                    target.symlink_to(one.locate_file(top))
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--quiet", str(wheel)], check=True)
    check = subprocess.run([*pip, "check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    return folder / "bin"


@dataclass(frozen=True)
class _Installed:
    """The program in an environment of its own, and a user's repository in which it is called."""

    programs: Path
    here: Path

    def run(self, *arguments: str) -> str:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WANDB"))}
        command = [str(self.programs / arguments[0]), *arguments[1:]]
        done = subprocess.run(command, cwd=self.here, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sentiment(self, *arguments: str) -> str:
        return self.run("sentiment", *arguments)


@pytest.fixture
def install(wheel: Path, tmp_path: Path) -> Callable[[str], _Installed]:
    """Installs the wheel, with these extras, beside a repository of somebody who has modules of our names."""

    def installed(extras: str) -> _Installed:
        here = tmp_path / "my project"
        here.mkdir()
        (here / "jobs.py").write_text("raise RuntimeError('somebody else has this name')")
        write_tweets(here / "tweets.csv", [(label, text) for label, text in invented_tweets(300)])
        git = ["git", "-c", "user.name=n", "-c", "user.email=e"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "theirs"]):
            subprocess.run([*git, *words], cwd=here, check=True)
        return _Installed(_environment(here / "an environment", wheel, extras), here)

    return installed


_BRIEF = ("--set", "training.epochs=1", "--set", "model.hidden_size=4")


@pytest.mark.more
def test_wheel_is_small_and_takes_no_top_level_name_but_its_own(wheel: Path) -> None:
    assert wheel.stat().st_size < 2_000_000
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition("/")[0] for name in archive.namelist()}
        metadata = archive.read(f"sentiment_grids-{__version__}.dist-info/METADATA").decode()
    assert names == {"sentiment", f"sentiment_grids-{__version__}.dist-info"}
    for line in (f"Version: {__version__}", "License-Expression: MIT", "Requires-Python: <3.14,>=3.11"):
        assert f"{line}\n" in metadata
    assert "# From tweets to a defensible comparison" in metadata


@pytest.mark.more
def test_wheel_without_extras_trains_predicts_evaluates_and_counts(install: Callable[[str], _Installed]) -> None:
    program = install("")
    assert program.sentiment("--version") == f"sentiment-grids {__version__}\n"
    assert "sentiment predict" in program.sentiment("train", "smoke", *_BRIEF)
    assert "probability" in program.sentiment("predict", "last", "what a lovely day")
    assert "network" in program.sentiment("evaluate", "last", "--data", "tweets.csv")
    program.sentiment("share", "last", "tweets.csv", "--sheet", "sample.html")
    assert b"<script" in (program.here / "sample.html").read_bytes()
    program.sentiment("export", "last", "model.zip")
    assert b"## How it was made" in zipfile.ZipFile(program.here / "model.zip").read("README.md")
    (record,) = program.here.glob("results/runs/single/*/run.json")
    assert json.loads(record.read_bytes())["attempts"][0]["git_commit"] is None  # the repository is not the program's


@pytest.mark.more
def test_wheel_with_all_extras_runs_grids_reports_and_copies_to_wandb(install: Callable[[str], _Installed]) -> None:
    program = install("[all]")
    assert "smoke" in program.sentiment("submit", "smoke", "--dry-run")
    program.sentiment("submit", "smoke", "--local", *_BRIEF)
    assert (program.here / "results" / "report" / "report.html").exists()
    assert "runs completed" in program.sentiment("report")
    (copy,) = (program.here / "results" / "code").glob("*/code.json")
    assert {path.name for path in copy.parent.iterdir()} == {"code.json", "sentiment", "jobs", "report"}
    assert not (copy.parent / "sentiment" / "programs").exists()
    script = "import sentiment; sentiment.train('smoke', tracking__wandb='offline', training__epochs=1)"
    program.run("python", "-c", script)
    assert [*program.here.glob("results/runs/single/*/wandb/offline-run-*/*.wandb")]


def _start(
    *arguments: str, site: Path, here: Path, without: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """Start an installed command in a folder that is no clone, and let it end."""
    script = f"import sys; sys.modules.update(dict.fromkeys({without!r})); from sentiment.__main__ import app; app()"
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1", "COLUMNS": "200"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)


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
