"""What the tests of training processes share."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sentiment.console import silent
from sentiment.runs.run_dir import Results
from sentiment.training.preparation import prepare_data
from tests.small_runs import SMALL_RUN, load_config
from tests.training.processes import RunFile


@pytest.fixture(scope="session")
def run_file(tweets_file: Path, shared_results: Results, tmp_path_factory: pytest.TempPathFactory) -> RunFile:
    """A run long enough to be hit in its middle: some epochs of some 45 steps, a checkpoint at every fourth."""
    path = tmp_path_factory.mktemp("configs") / "longer run.yaml"
    training = {"batch_size": 16, "learning_rate": 0.01, "epochs": 6, "log_every": 2}
    values = SMALL_RUN | {
        "data": {"source": str(tweets_file)},
        "training": training | {"early_stopping": {"patience": 2}},
        "runtime": {"device": "cpu", "threads": 1, "checkpoint": {"every_steps": 4}},
    }
    with open(path, "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(values, file)
    config = load_config(path)
    prepare_data(config, shared_results, silent)
    return RunFile(path, config.run_id, shared_results)
