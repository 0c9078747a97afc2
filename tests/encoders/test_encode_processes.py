"""The real command `encode`: killed, suspended and several at once; always the same vectors."""

import signal
from pathlib import Path

import pytest

from sentiment.files import sha256_of
from sentiment.runs.run_dir import Results
from tests.processes import Forked, start_python
from tests.small_runs import invented_tweets, write_tweets
from tests.training.processes import wait_until

# Enough for some shards of 2 ** 14 tokens.
TWEETS = 6_000


def _start(config: Path, results: Path) -> Forked:
    return start_python("-m", "sentiment", "prepare", "encode", config, "--results", results)


def _finish(process: Forked, code: int = 0) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "are complete in" in output


def _digests(results: Path) -> dict[str, str]:
    (folder,) = Results(results).encoder_caches.iterdir()
    assert {path.name.split("-")[0] for path in folder.iterdir()} == {"cache.json", "token", "first", "top"}
    return {path.name: sha256_of(path) for path in folder.glob("*.npy")}


@pytest.mark.slow
def test_encoders_that_are_killed_or_suspended_leave_nothing_wrong_and_others_go_on(tmp_path: Path) -> None:
    source = write_tweets(tmp_path / "tweets.csv", invented_tweets(TWEETS))
    config, whole, results = tmp_path / "run.yaml", tmp_path / "whole", tmp_path / "results"
    config.write_text(f"data: {{source: {source}}}\nelmo: {{model: tiny}}\nruntime: {{threads: 1, device: cpu}}\n")
    _finish(_start(config, whole))
    wanted = _digests(whole)
    assert sum(name.startswith("first") for name in wanted) >= 4

    def shards() -> int:
        return len(list(Results(results).encoder_caches.glob("*/first-*.npy")))

    killed = _start(config, results)
    assert wait_until(lambda: shards() >= 1, killed)
    killed.kill()
    killed.communicate()
    suspended = _start(config, results)
    assert wait_until(lambda: shards() >= 2, suspended)
    suspended.send_signal(signal.SIGSTOP)
    try:
        for process in [_start(config, results) for _ in range(2)]:
            _finish(process)
        assert _digests(results) == wanted
    finally:
        suspended.send_signal(signal.SIGCONT)
    _finish(suspended)
    assert _digests(results) == wanted
