"""The bytes of ELMo's vectors are told before a grid is submitted, without computing any."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.dry_run import show_vectors
from jobs.grids.grid import ExpandedGrid, load_grid
from sentiment.__main__ import app
from sentiment.data.corpus.corpus import prepare_corpus
from sentiment.elmo.encoder import LAYERS
from sentiment.elmo.files import SIZES, write_random_model
from sentiment.elmo.vectors import cache_requests
from sentiment.runs.run_dir import Results
from tests.elmo.corpora import CPU
from tests.jobs.grid_files import write_grid


@pytest.fixture
def other(tmp_path: Path) -> str:
    """Another model: its folder."""
    write_random_model(tmp_path / "other", SIZES["tiny"], seed=1)
    return str(tmp_path / "other")


def _grid(base: Path, results: Results, **elmo: Any) -> ExpandedGrid:
    parameters = {f"elmo.{name}": value for name, value in ({"model": "tiny"} | elmo).items()}
    return load_grid(write_grid(base, parameters | {"seed": [1, 2]}), results)


def _prepare(grid: ExpandedGrid, results: Results) -> None:
    prepare_corpus(grid.configs[0].data, results)


def _told(grid: ExpandedGrid, results: Results) -> list[str]:
    return list(show_vectors(grid, grid.configs, results))


def _perform(line: str, results: Results) -> str:
    """Give the command in a line as a user would; what it printed."""
    _, command, _ = line.split("`")
    done = CliRunner().invoke(app, [*shlex.split(command)[3:], "--results", str(results.root)])
    assert done.exit_code == 0, done.output
    return done.output


def _gigabytes(values: Sequence[int]) -> list[str]:
    return [f"{value / 1e9:.3g} GB" for value in values]


def test_each_model_and_the_sum_are_told_and_nothing_is_computed(base: Path, results: Results, other: str) -> None:
    grid = _grid(base, results, model=["tiny", other], layers=["first", "mix"])
    _prepare(grid, results)
    requests = cache_requests(grid.configs, results, lambda data: prepare_corpus(data, results))
    assert [request.layers for request in requests] == [LAYERS, LAYERS]
    tiny, second = (request.cache.size(LAYERS) for request in requests)
    head, of_tiny, of_second = _told(grid, results)
    whole, each, _ = _gigabytes([tiny + second, tiny, second])
    assert head == f"ELMo's vectors come on top, once for all runs: {whole}"
    plan = requests[0].cache.plan
    tweets = f"{plan.tokens:,} tokens in {len(plan.offsets) - 1:,} distinct tweets"
    assert of_tiny == f"  tiny: {each} (token, first, top of {tweets})"
    assert of_second.startswith(f"  {other}: {each} (")
    assert not results.elmo_caches.exists()


def test_what_is_in_the_cache_is_not_counted_again(base: Path, results: Results) -> None:
    grid = _grid(base, results, layers=["first", "top"])
    _prepare(grid, results)
    (request,) = cache_requests(grid.configs, results, lambda data: prepare_corpus(data, results))
    request.cache.fill(["first"], CPU)
    size, missing_size = (request.cache.size(["first", "top"], missing) for missing in (False, True))
    assert 0 < missing_size < size
    missing, there = _gigabytes([missing_size, size - missing_size])
    assert _told(grid, results)[0].endswith(f"once for all runs: {missing}, and {there} are there")
    request.cache.fill(["top"], CPU)
    head, line = _told(grid, results)
    assert f": 0 GB, and {_gigabytes([size])[0]} are there" in head
    assert line.startswith("  tiny: 0 GB, and ")


def test_unprepared_tweets_are_told_with_the_command_that_prepares_them(base: Path, results: Results) -> None:
    grid = load_grid(write_grid(base, {"elmo.model": "tiny", "data.text.lowercase": False, "seed": [1, 2]}), results)
    (line,) = _told(grid, results)
    assert line.startswith("ELMo's vectors come on top, once for all runs; how many bytes is known after `python")
    assert not (results.root / "data" / "corpora").exists()
    _perform(line, results)
    assert "distinct tweets" in _told(grid, results)[1]


def test_runs_that_read_no_cached_vectors_need_none(base: Path, results: Results) -> None:
    without = load_grid(write_grid(base, {"seed": [1, 2]}, name="without"), results)
    assert _told(without, results) == []
    assert _told(_grid(base, results, backend="allennlp"), results) == []
