"""A process of its own that copies a run directory to Weights & Biases.

    python -m sentiment.tracking.process {follow|upload|replace} {offline|online} RUN_DIR

`metrics.jsonl` is all that this process and training share, so that nothing that happens to W&B (an import of a second,
a start that hangs, a dead service, a full disk, a signal) can stop training or slow it down. `follow` runs beside
training and ends when its standard input does: training closes it, or died. `upload` copies what is there and ends.
Both begin after the last row that W&B has. `replace` deletes the run at W&B and uploads it under another name. `follow`
says only what goes wrong, the others what they did, all in one line on standard output; exit code 1 means that not
everything arrived.
"""

import os
import select
import shutil
import signal
import sys
from pathlib import Path

from sentiment.errors import LockedError, RunDirError, SentimentError, SupersededError
from sentiment.lock import ProcessLock
from sentiment.run_dir import RunDir
from sentiment.tracking.identity import identity_of, successor_of
from sentiment.tracking.media import draw_outcome
from sentiment.tracking.rows import RowReader, flat
from sentiment.tracking.wandb_run import Ending, Mode, OpenRun, delete_run, prepare_environment

_POLL_SECONDS = 1.0
# Beyond the end of training, should W&B hang.
_SECONDS_TO_END = 90
_LEAST_FREE_BYTES = 64 << 20


def main(arguments: list[str]) -> int:
    """Copy a run directory as the command line says; the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # they mean training, which then ends this process
    what, mode, folder = arguments
    run_dir = RunDir(Path(folder))
    try:
        if what == "follow":
            _follow(run_dir, "online" if mode == "online" else "offline")
        else:
            print(_upload(run_dir, replace=what == "replace"))
    except LockedError as error:
        print(error)
    except SentimentError as error:
        print(error)
        return 1
    except Exception as error:  # of any kind: whatever W&B does, here it ends
        print(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
        return 1
    return 0


def _follow(run_dir: RunDir, mode: Mode) -> None:
    _check_place(run_dir)
    prepare_environment(run_dir)
    if mode == "offline":
        _copy(run_dir, mode, os.getppid())
        return
    with ProcessLock(run_dir.wandb_dir / "lock", "copies to W&B"):
        _copy(run_dir, mode, os.getppid())


def _upload(run_dir: RunDir, replace: bool) -> str:
    _check_place(run_dir)
    with ProcessLock(run_dir.wandb_dir / "lock", "copies to W&B"):
        prepare_environment(run_dir)
        if replace:
            old = identity_of(run_dir)
            delete_run(old)
            run_dir.write_wandb(successor_of(old, run_dir.read_config()))
        return _copy(run_dir, "online", None)


def _copy(run_dir: RunDir, mode: Mode, trainer_pid: int | None) -> str:
    """Copy until training has ended, or, without training, once; say how many rows are there.

    Raises:
        RunDirError: W&B has fewer.
        SupersededError: W&B was sent others.
    """
    identity = identity_of(run_dir)
    run = OpenRun(run_dir, identity, mode, trainer_pid)
    before, rows = run.rows, 0
    reader = RowReader(run_dir.metrics_file)
    try:
        while trainer_pid and not _training_has_ended():
            rows = _copy_new(reader, run, rows)
        result = run_dir.read_result()
        rows = _copy_new(reader, run, rows)  # now, since the result is written after the last row
        if result:
            run.take_images(rows, result.steps, lambda: draw_outcome(run_dir, run_dir.wandb_dir / "media"))
            run.summarise(flat(result.model_dump(include={"metrics"})["metrics"]) | {"best_epoch": result.best_epoch})
            rows += 1
    except SupersededError:
        run.close(_ending(run_dir))
        raise
    run.close(_ending(run_dir))
    confirmed = run.confirmed_rows()
    if mode == "online" and run_dir.read_wandb() in (None, identity):  # else it is W&B's agent's, and once only
        run_dir.write_wandb(identity.model_copy(update={"confirmed_rows": confirmed}))
    if confirmed < rows:
        raise RunDirError(f"{run_dir.path}: W&B has {confirmed} of {rows} rows")
    return f"{rows} rows at W&B, {rows - min(before, rows)} of them new"


def _copy_new(reader: RowReader, run: OpenRun, number: int) -> int:
    rows = reader.new_rows()
    run.take(number, rows)
    return number + len(rows)


def _training_has_ended() -> bool:
    """Whether it closed its end of the pipe; some time is given to it to do so."""
    if not select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
        return False
    signal.alarm(_SECONDS_TO_END)
    return True


def _ending(run_dir: RunDir) -> Ending:
    if run_dir.completed:
        return "completed"
    record = run_dir.read_record()
    failed = record is not None and record.attempts[-1].reason == "failed"
    return "failed" if failed else "unfinished"


def _check_place(run_dir: RunDir) -> None:
    """wandb itself says nothing on a full disk, and elsewhere writes to a temporary directory.

    Raises:
        RunDirError: there is no place for its files.
    """
    probe = run_dir.wandb_dir / f".{os.getpid()}.tmp"
    try:
        run_dir.wandb_dir.mkdir(exist_ok=True)
        probe.write_bytes(b"probe")
        probe.unlink()
    except OSError as error:
        raise RunDirError(f"{run_dir.wandb_dir}: cannot be written: {error}") from None
    if (free := shutil.disk_usage(run_dir.wandb_dir).free) < _LEAST_FREE_BYTES:
        raise RunDirError(f"{run_dir.wandb_dir}: only {free >> 20} MiB are free on this disk")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # what wandb does at exit may hang
