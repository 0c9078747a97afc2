"""The real command `encode`: killed and started again, several at once, stopped; always the same vectors."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sentiment.files import sha256_of
from sentiment.runs.run_dir import Results
from tests.small_runs import invented_tweets, write_tweets
from tests.training.processes import wait_until

pytestmark = pytest.mark.slow

# Enough for some shards of 2 ** 14 tokens.
TWEETS = 6_000


def _start(config: Path, results: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sentiment", "prepare", "encode", str(config), "--results", str(results)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    output, _ = process.communicate()
    assert process.returncode == code, output
    assert "Traceback" not in output
    return output


def _digests(results: Path) -> dict[str, str]:
    (folder,) = Results(results).encoder_caches.iterdir()
    assert {path.name.split("-")[0] for path in folder.iterdir()} == {"cache.json", "token", "first", "top"}
    return {path.name: sha256_of(path) for path in folder.glob("*.npy")}


def _shards(results: Path) -> int:
    return len(list(Results(results).encoder_caches.glob("*/first-*.npy")))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encode")
    source = write_tweets(folder / "tweets.csv", invented_tweets(TWEETS))
    path = folder / "run.yaml"
    values = {"data": {"source": str(source)}, "elmo": {"model": "tiny"}, "runtime": {"threads": 1, "device": "cpu"}}
    with open(path, "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(values, file)
    return path


@pytest.fixture(scope="module")
def finished(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of an encoder that nothing happened to."""
    results = tmp_path_factory.mktemp("uninterrupted")
    assert "are complete in" in _finish(_start(config, results))
    return results


@pytest.fixture(scope="module")
def uninterrupted(finished: Path) -> dict[str, str]:
    digests = _digests(finished)
    assert sum(name.startswith("first") for name in digests) >= 4
    return digests


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """New results with the prepared corpus."""
    shutil.copytree(Results(finished).root / "data" / "corpora", tmp_path / "data" / "corpora")
    return tmp_path


def test_killed_and_stopped_encoders_leave_nothing_wrong_and_the_next_one_goes_on(
    config: Path, uninterrupted: dict[str, str], results: Path
) -> None:
    codes = []
    for ending in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        before, process = _shards(results), _start(config, results)
        if wait_until(lambda before=before: _shards(results) > before, process):  # type: ignore[misc]
            process.send_signal(ending)
        output, _ = process.communicate()
        codes.append(process.returncode)
        assert process.returncode != 3 or "complete shards are kept: the same command goes on" in output
    assert {-signal.SIGKILL, 3} <= {*codes}
    _finish(_start(config, results))
    assert _digests(results) == uninterrupted


def test_encoders_share_the_work_and_wait_for_none_that_is_suspended(
    config: Path, uninterrupted: dict[str, str], results: Path
) -> None:
    first = _start(config, results)
    assert wait_until(lambda: _shards(results) >= 1, first)
    first.send_signal(signal.SIGSTOP)
    others = [_start(config, results) for _ in range(2)]
    try:
        for process in others:
            _finish(process)
        assert _digests(results) == uninterrupted
    finally:
        first.send_signal(signal.SIGCONT)
    _finish(first)
    assert _digests(results) == uninterrupted
