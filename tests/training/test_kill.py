"""The real process, killed at random moments of its whole life and started again, ends as if nothing had been.

Moments are found by progress (rows in the log, files that appear), not by the clock, so that a slow machine hits the
same ones; a short random spin after each spreads them over the instructions that follow.
"""

import random
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sentiment.console import silent
from sentiment.files import files_in
from sentiment.runs.records import Result, RunRecord
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.preparation import prepare_data
from tests.jobs.grid_files import write_yaml
from tests.processes import Forked, start_python
from tests.small_runs import SMALL_RUN, Digest, digest_of, load_config, stored
from tests.training.processes import last_step, wait_until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Life:
    """A run's file, and a results folder in which its tweets are prepared."""

    file: Path
    results: Results

    @property
    def run_dir(self) -> RunDir:
        return self.results.run_dir(load_config(self.file).run_id)

    def start(self) -> Forked:
        return start_python("-m", "sentiment", "train", self.file, "--results", self.results.root)

    def end(self, code: int = 0) -> str:
        process = self.start()
        output, _ = process.communicate()
        assert process.returncode == code, output
        return output


@pytest.fixture(scope="module")
def prepared(tweets_file: Path, shared_results: Results, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """A run long enough to be hit in its middle: some epochs of some 45 steps, a checkpoint at every fourth."""
    training = {"batch_size": 16, "learning_rate": 0.01, "epochs": 4, "log_every": 2}
    values = SMALL_RUN | {
        "data": {"source": str(tweets_file)},
        "training": training | {"early_stopping": {"patience": 2}},
        "runtime": {"device": "cpu", "threads": 1, "checkpoint": {"every_steps": 4}},
    }
    file = write_yaml(tmp_path_factory.mktemp("configs") / "longer run.yaml", values)
    prepare_data(load_config(file), shared_results, silent)
    return Life(file, shared_results)


def _begin(prepared: Life, folder: Path) -> Life:
    shutil.copytree(prepared.results.root / "data", folder / "data")
    return Life(prepared.file, Results(folder))


# Given a run's directory and random numbers: whether the moment of its death has come.
Moment = Callable[[RunDir, random.Random], Callable[[], bool]]


def during_start_up(_run_dir: RunDir, rng: random.Random) -> Callable[[], bool]:
    """While torch is imported, or the corpus prepared, or the state read."""
    end = time.monotonic() + rng.uniform(0.02, 2)
    return lambda: time.monotonic() > end


def mid_epoch(run_dir: RunDir, rng: random.Random) -> Callable[[], bool]:
    """Some steps further than before."""
    wanted = last_step(run_dir) + rng.randint(6, 28)
    return lambda: last_step(run_dir) >= wanted


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


def _live(life: Life, moments: list[Moment], seed: int) -> tuple[int, Digest]:
    """Start the run again and again, kill it at these moments, then let it end: how many kills hit, and the digest."""
    rng, kills = random.Random(seed), 0
    for moment in moments:
        process = life.start()
        if wait_until(moment(life.run_dir, rng), process):
            end = time.perf_counter() + rng.uniform(0, 0.004)
            while time.perf_counter() < end:
                pass
            process.kill()
        output, _ = process.communicate()
        kills += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL), output
        assert "Traceback" not in output
    life.end()
    return kills, digest_of(life.run_dir)


@pytest.fixture(scope="module")
def uninterrupted(prepared: Life, tmp_path_factory: pytest.TempPathFactory) -> Digest:
    life = _begin(prepared, tmp_path_factory.mktemp("uninterrupted"))
    life.end()
    assert stored(life.run_dir, Result).steps >= 130
    return digest_of(life.run_dir)


@pytest.mark.parametrize("lives", [FEW, pytest.param(MANY, marks=pytest.mark.more)], ids=["few", "many"])
def test_run_killed_at_random_moments_matches_an_uninterrupted_one(
    prepared: Life, uninterrupted: Digest, tmp_path: Path, lives: list[list[Moment]]
) -> None:
    kills, wanted = 0, sum(map(len, lives)) - (lives is MANY) * 2
    for attempt in range(3):  # where a moment was missed the run ended earlier, and another one has to make up for it
        runs = [Life(prepared.file, Results(tmp_path / f"{attempt}-{number}")) for number in range(len(lives))]
        seeds = [attempt * len(lives) + number for number in range(len(lives))]
        with ThreadPoolExecutor(len(lives)) as pool:
            for hits, digest in pool.map(_live, runs, lives, seeds):
                assert digest == uninterrupted
                kills += hits
        if kills >= wanted:
            return
    raise AssertionError(f"only {kills} kills hit a living process")


def test_signal_or_closed_terminal_mid_epoch_saves_and_ends_with_3(
    prepared: Life, uninterrupted: Digest, tmp_path: Path
) -> None:
    life = _begin(prepared, tmp_path)
    is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # where the tests run under `nohup`
    for number in (signal.SIGTERM, signal.SIGTERM if is_ignored else signal.SIGHUP):
        process = life.start()
        assert wait_until(mid_epoch(life.run_dir, random.Random(0)), process)
        process.send_signal(number)
        output, _ = process.communicate()
        assert process.returncode == 3, output
        assert f"stopped ({number.name}); everything finished is saved" in output
    assert "resuming after step" in life.end()
    assert digest_of(life.run_dir) == uninterrupted
    record = stored(life.run_dir, RunRecord)
    assert [attempt.reason for attempt in record.attempts] == ["signal", "signal", "completed"]
    assert record.attempts[1].last_step == record.attempts[2].first_step


def test_signal_while_the_program_starts_stops_it_as_well(prepared: Life, tmp_path: Path) -> None:
    """Torch's import takes seconds; a signal then must not be lost, nor kill without a word."""
    life = _begin(prepared, tmp_path)
    process = life.start()
    assert wait_until(life.run_dir.config_file.exists, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode == 3, output
