"""Places and files that the tests of the data layer share."""

from pathlib import Path

import pytest

from sentiment.runs.run_dir import Results
from tests.data.made_up import tweets
from tests.small_runs import write_tweets


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results with 'quote'")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_tweets(tmp_path / "my tweets.csv", tweets(400))
