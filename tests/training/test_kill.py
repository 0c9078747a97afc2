"""The real process, killed at random moments of its whole life and started again, ends as if nothing had been.

Moments are found by progress (rows in the log, files that appear), not by the clock, so that a slow machine hits the
same ones; a short random spin after each spreads them over the instructions that follow.
"""

import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sentiment.files import files_in
from sentiment.runs.run_dir import RunDir
from tests.training.processes import RunFile, count_rows, digest, start, wait_until

pytestmark = pytest.mark.slow

# Three kills at the worst moments always, and twenty with `make test-more`.
FEW, MANY = 3, 20


@dataclass(frozen=True)
class Life:
    """A process that trains, and what chooses the moment of its death."""

    run_dir: RunDir
    pid: int
    rng: random.Random
    steps_per_epoch: int


Moment = Callable[[Life], Callable[[], bool]]


def during_start_up(life: Life) -> Callable[[], bool]:
    """While torch is imported, or the corpus prepared, or the state read."""
    end = time.monotonic() + life.rng.uniform(0.02, 2)
    return lambda: time.monotonic() > end


def mid_epoch(life: Life) -> Callable[[], bool]:
    """Some steps further than before."""
    wanted = count_rows(life.run_dir) + life.rng.randint(3, 14)
    return lambda: count_rows(life.run_dir) >= wanted


def mid_save(life: Life) -> Callable[[], bool]:
    """While a checkpoint is being written, some saves later."""
    saved = max((int(path.stem[5:]) for path in life.run_dir.checkpoints.glob("step-*.ckpt")), default=0)
    wanted = saved + life.rng.randint(1, 16)
    return lambda: any(int(name[6:16]) >= wanted for name in _being_written(life) if name.startswith(".step-"))


def after_save(life: Life) -> Callable[[], bool]:
    """When a checkpoint has just got its name, and old ones are about to be deleted."""
    before = set(life.run_dir.checkpoints.glob("step-*.ckpt"))
    return lambda: not set(life.run_dir.checkpoints.glob("step-*.ckpt")) <= before


def writing_outcome(life: Life) -> Callable[[], bool]:
    """While predictions or weights are written, when training is finished."""
    name = life.rng.choice(["predictions.parquet", "best.ckpt", "last.ckpt"])
    return lambda: f".{name}.{life.pid}.tmp" in _being_written(life)


def _being_written(life: Life) -> set[str]:
    """Names of the files that the process is writing."""
    return {path.name for path, _ in files_in(life.run_dir.path) if path.name.endswith(f".{life.pid}.tmp")}


_BEGIN: list[Moment] = [during_start_up, mid_epoch, mid_save, mid_epoch, after_save, mid_epoch]
_GO_ON: list[Moment] = [mid_save, mid_epoch, during_start_up]
_END: list[Moment] = [writing_outcome, writing_outcome]
LIVES: dict[int, list[list[Moment]]] = {
    FEW: [[mid_epoch, mid_save, writing_outcome]],
    MANY: [[*_BEGIN, *_GO_ON, *_END], [*_GO_ON, *_BEGIN, *_END]],
}


def _live(run_file: RunFile, results: Path, moments: list[Moment], seed: int) -> tuple[int, str]:
    """Start the run again and again, kill it at these moments, then let it end: how many kills hit, and the digest."""
    rng = random.Random(seed)
    run_dir = run_file.run_dir(results)
    kills = 0
    for moment in moments:
        process = start(run_file.path, results)
        if wait_until(moment(Life(run_dir, process.pid, rng, run_file.steps_per_epoch)), process):
            end = time.perf_counter() + rng.uniform(0, 0.004)
            while time.perf_counter() < end:
                pass
            process.kill()
        output, _ = process.communicate()
        kills += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL), output
        assert "Traceback" not in output
    process = start(run_file.path, results)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return kills, digest(run_dir)


@pytest.fixture(scope="module")
def uninterrupted(run_file: RunFile, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of a run that nothing happened to."""
    results = tmp_path_factory.mktemp("uninterrupted")
    run_file.share_corpus_with(results)
    process = start(run_file.path, results)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    result = run_file.run_dir(results).read_result()
    assert result is not None
    assert result.steps % run_file.steps_per_epoch == 0
    assert result.steps >= 150
    return digest(run_file.run_dir(results))


@pytest.mark.parametrize("wanted", [FEW, pytest.param(MANY, marks=pytest.mark.more)])
def test_run_killed_at_random_moments_matches_an_uninterrupted_one(
    run_file: RunFile, uninterrupted: str, tmp_path: Path, wanted: int
) -> None:
    kills, lives = 0, LIVES[wanted]
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


def test_signal_mid_epoch_saves_and_ends_with_3_twice_in_a_row(
    run_file: RunFile, uninterrupted: str, tmp_path: Path
) -> None:
    run_file.share_corpus_with(tmp_path)
    run_dir = run_file.run_dir(tmp_path)
    rng = random.Random(0)
    for _ in range(2):
        process = start(run_file.path, tmp_path)
        assert wait_until(mid_epoch(Life(run_dir, process.pid, rng, run_file.steps_per_epoch)), process)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
        assert process.returncode == 3, output
        assert "stopped (SIGTERM); all is saved in" in output
        assert "the same command goes on" in output
    process = start(run_file.path, tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "goes on after step" in output
    assert digest(run_dir) == uninterrupted
    record = run_dir.read_record()
    assert record is not None
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
    assert count_rows(run_dir) <= 6 * 24
