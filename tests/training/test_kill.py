"""The real process, killed at random moments of its whole life and started again, ends as if nothing had been.

Moments are found by progress (rows in the log, files that appear), not by the clock, so that a slow machine hits the
same ones; a short random spin after each spreads them over the instructions that follow.
"""

import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sentiment.files import files_in
from sentiment.runs.records import Result, RunRecord
from sentiment.runs.run_dir import RunDir
from tests.small_runs import stored
from tests.training.processes import RunFile, digest, start, wait_until

pytestmark = pytest.mark.slow

# Given a run's directory and random numbers: whether the moment of its death has come.
Moment = Callable[[RunDir, random.Random], Callable[[], bool]]


def during_start_up(_run_dir: RunDir, rng: random.Random) -> Callable[[], bool]:
    """While torch is imported, or the corpus prepared, or the state read."""
    end = time.monotonic() + rng.uniform(0.02, 2)
    return lambda: time.monotonic() > end


def mid_epoch(run_dir: RunDir, rng: random.Random) -> Callable[[], bool]:
    """Some steps further than before."""
    wanted = len(run_dir.read_metrics()) + rng.randint(3, 14)
    return lambda: len(run_dir.read_metrics()) >= wanted


def mid_save(run_dir: RunDir, rng: random.Random) -> Callable[[], bool]:
    """While a checkpoint is being written, some saves later."""
    saved = max((int(path.stem[5:]) for path in run_dir.checkpoints.glob("step-*.ckpt")), default=0)
    wanted = saved + rng.randint(1, 16)
    left = _temporaries(run_dir)
    return lambda: any(int(name[6:16]) >= wanted for name in _temporaries(run_dir) - left if name.startswith(".step-"))


def after_save(run_dir: RunDir, _rng: random.Random) -> Callable[[], bool]:
    """When a checkpoint has just got its name, and old ones are about to be deleted."""
    before = set(run_dir.checkpoints.glob("step-*.ckpt"))
    return lambda: not set(run_dir.checkpoints.glob("step-*.ckpt")) <= before


def writing_outcome(run_dir: RunDir, rng: random.Random) -> Callable[[], bool]:
    """While predictions or weights are written, when training is finished."""
    name = rng.choice(["predictions.parquet", "best.ckpt", "last.ckpt"])
    left = _temporaries(run_dir)
    return lambda: any(temporary.startswith(f".{name}.") for temporary in _temporaries(run_dir) - left)


def _temporaries(run_dir: RunDir) -> set[str]:
    """The names of temporary files, also of those that killed processes have left."""
    return {path.name for path, _ in files_in(run_dir.path) if path.name.endswith(".tmp")}


# Three kills at the worst moments always, and twenty with `make test-more`.
_BEGIN: list[Moment] = [during_start_up, mid_epoch, mid_save, mid_epoch, after_save, mid_epoch]
_GO_ON: list[Moment] = [mid_save, mid_epoch, during_start_up]
_END: list[Moment] = [writing_outcome, writing_outcome]
FEW: list[list[Moment]] = [[mid_epoch, mid_save, writing_outcome]]
MANY = [[*_BEGIN, *_GO_ON, *_END], [*_GO_ON, *_BEGIN, *_END]]


def _live(run_file: RunFile, results: Path, moments: list[Moment], seed: int) -> tuple[int, str]:
    """Start the run again and again, kill it at these moments, then let it end: how many kills hit, and the digest."""
    rng, run_dir, kills = random.Random(seed), run_file.run_dir(results), 0
    for moment in moments:
        process = start(run_file.path, results)
        if wait_until(moment(run_dir, rng), process):
            end = time.perf_counter() + rng.uniform(0, 0.004)
            while time.perf_counter() < end:
                pass
            process.kill()
        output, _ = process.communicate()
        kills += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL), output
        assert "Traceback" not in output
    _end(run_file, results)
    return kills, digest(run_dir)


def _end(run_file: RunFile, results: Path, code: int = 0) -> str:
    process = start(run_file.path, results)
    output, _ = process.communicate()
    assert process.returncode == code, output
    return output


@pytest.fixture(scope="module")
def uninterrupted(run_file: RunFile, tmp_path_factory: pytest.TempPathFactory) -> str:
    results = tmp_path_factory.mktemp("uninterrupted")
    run_file.share_corpus_with(results)
    _end(run_file, results)
    result = stored(run_file.run_dir(results), Result)
    assert result.steps >= 150
    return digest(run_file.run_dir(results))


@pytest.mark.parametrize("lives", [FEW, pytest.param(MANY, marks=pytest.mark.more)], ids=["few", "many"])
def test_run_killed_at_random_moments_matches_an_uninterrupted_one(
    run_file: RunFile, uninterrupted: str, tmp_path: Path, lives: list[list[Moment]]
) -> None:
    kills, wanted = 0, sum(map(len, lives)) - (lives is MANY) * 2
    for attempt in range(3):  # where a moment was missed the run ended earlier, and another one has to make up for it
        folders = [tmp_path / f"{attempt}-{number}" for number in range(len(lives))]
        seeds = [attempt * len(lives) + number for number in range(len(lives))]
        with ThreadPoolExecutor(len(lives)) as pool:
            for hits, digest_of_life in pool.map(_live, [run_file] * len(lives), folders, lives, seeds):
                assert digest_of_life == uninterrupted
                kills += hits
        if kills >= wanted:
            return
    raise AssertionError(f"only {kills} kills hit a living process")


def test_signal_mid_epoch_saves_and_ends_with_3_twice(run_file: RunFile, uninterrupted: str, tmp_path: Path) -> None:
    run_file.share_corpus_with(tmp_path)
    run_dir, rng = run_file.run_dir(tmp_path), random.Random(0)
    for _ in range(2):
        process = start(run_file.path, tmp_path)
        assert wait_until(mid_epoch(run_dir, rng), process)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
        assert process.returncode == 3, output
        assert "stopped (SIGTERM); everything finished is saved" in output
    assert "resuming after step" in _end(run_file, tmp_path)
    assert digest(run_dir) == uninterrupted
    record = stored(run_dir, RunRecord)
    assert [attempt.reason for attempt in record.attempts] == ["signal", "signal", "completed"]
    assert record.attempts[1].last_step == record.attempts[2].first_step


def test_signal_while_the_program_starts_stops_it_as_well(run_file: RunFile, tmp_path: Path) -> None:
    """Torch's import takes seconds; a signal then must not be lost, nor kill without a word."""
    run_file.share_corpus_with(tmp_path)
    run_dir = run_file.run_dir(tmp_path)
    process = start(run_file.path, tmp_path)
    assert wait_until(run_dir.config_file.exists, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode == 3, output
