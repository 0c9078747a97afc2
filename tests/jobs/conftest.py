"""What the tests of grids share."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from sentiment.runs.records import Result
from sentiment.runs.run_dir import Results, RunDir
from tests.jobs.fake_slurm import slurm
from tests.jobs.grid_files import write_base
from tests.jobs.world import World
from tests.small_runs import invented_tweets, stored, write_tweets

__all__ = ["base", "results", "slurm"]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture
def no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The file of a run on few tweets, which each command reads again."""
    return write_base(tmp_path / "configs", write_tweets(tmp_path / "few.csv", invented_tweets(40)))


@pytest.fixture
def base_of_trained(tmp_path: Path, tweets_file: Path) -> Path:
    """The file of the run that is trained."""
    return write_base(tmp_path / "configs", tweets_file)


@pytest.fixture
def like(trained: RunDir) -> Result:
    """A real result, for runs that only look finished."""
    return stored(trained, Result)


@pytest.fixture
def world(results: Results, like: Result) -> Iterator[World]:
    """In place of Slurm, and of training, while a test runs."""
    world = World(results, like, Random(0))
    with world.patched():
        yield world
