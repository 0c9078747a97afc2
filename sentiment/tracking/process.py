"""A process of its own that copies a run, or the report, to Weights & Biases.

    python -m sentiment.tracking.process {offline|online|upload} RUN_DIR
    python -m sentiment.tracking.process report REPORT_DIR PROJECT ENTITY

It shares nothing with training but the files of the run directory, so that whatever happens to W&B (an import of a
second, a start that hangs, a dead service, a full disk, a signal) can neither stop training nor slow it down.

`offline` and `online` run beside training and end when standard input is closed: by training at its end, or by the
system if training dies. `upload` copies the rows that W&B lacks, and ends. `report` uploads the report; an empty
PROJECT or ENTITY stands for the account's own.

The last line on standard output says what was done or what went wrong (beside training only the latter), and the exit
code is 1 if something failed. What wandb itself prints is in `process.log`, beside wandb's other files.
"""

import os
import select
import signal
import sys
import time
from contextlib import closing, nullcontext
from pathlib import Path

from sentiment.errors import LockedError, RunDirError, SentimentError
from sentiment.files import write_atomically
from sentiment.runs.attempts import ProcessLock
from sentiment.runs.run_dir import RunDir
from sentiment.tracking.client import OpenRun, SentRows, prepare_environment, rows_to_copy, upload_report
from sentiment.tracking.mirror import identity_of

_BESIDE_TRAINING = ("offline", "online")
_POLL_SECONDS = 1.0
_READING_SHARE = 0.05  # of one core, at most
_SECONDS_TO_END = 90  # after the end of training, in case W&B hangs
_PROBE_BYTES = 1 << 20


def main(action: str, folder: str, *options: str) -> int:
    """Do what the command line says.

    Returns:
        The exit code.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # they are meant for training or sync, which then ends this process
    place = Path(folder) / "wandb"
    try:
        _check_room(place)
        with open(place / "process.log", "ab") as log:
            os.dup2(log.fileno(), sys.stderr.fileno())
        prepare_environment(place)
        if action == "report":
            print(f"{upload_report(Path(folder), *options)} files at W&B")
        elif action in _BESIDE_TRAINING:
            _copy(RunDir(Path(folder)), action)
        else:
            print(_copy(RunDir(Path(folder)), action))
    except Exception as error:  # wandb raises exceptions of any kind
        name = "" if isinstance(error, SentimentError) else f"{type(error).__name__}: "
        print(name + " ".join(str(error).split())[:500])
        return 0 if isinstance(error, LockedError) else 1
    return 0


def _copy(run_dir: RunDir, action: str) -> str:
    """Copy a run as `action` says; how many rows are there then.

    Raises:
        RunDirError: W&B was sent other rows than the log has, or has fewer than it was sent; or the disk is full.
    """
    online, trainer_pid = action != "offline", os.getppid() if action in _BESIDE_TRAINING else None
    # An offline copy needs no lock, since each attempt writes to a folder of its own.
    with ProcessLock(run_dir.wandb_dir / "lock", "copies to W&B") if online else nullcontext():
        identity = identity_of(run_dir)
        if online:
            SentRows(run_dir, identity).check(*rows_to_copy(run_dir))
        with closing(OpenRun(run_dir, identity, online, trainer_pid)) as run:
            before = run.rows
            count = _add_rows(run, run_dir, trainer_pid is not None)
        if not online:
            _check_room(run_dir.wandb_dir)  # wandb does not say when a full disk makes it lose rows
            return f"{count} rows in wandb's files"
        confirmed = run.confirmed_rows()
        if run_dir.read_wandb() in (None, identity):  # else a sweep's agent chose another id for this time
            told = {"confirmed_rows": confirmed, "ended": run.ended}
            run_dir.write_record(identity.model_copy(update=told))
    if confirmed < count:
        raise RunDirError(f"{run_dir.path}: W&B has {confirmed} of {count} rows")
    return f"{count} rows at W&B, {max(count - before, 0)} of them new"


def _add_rows(run: OpenRun, run_dir: RunDir, beside_training: bool) -> int:
    """Add the rows of the log, beside training until it has ended; how many there are then."""
    pause, ended = _POLL_SECONDS, False
    while not ended:
        ended = not beside_training or _training_has_ended(pause)
        begin = time.monotonic()
        rows, completed = rows_to_copy(run_dir)
        pause = max(_POLL_SECONDS, (time.monotonic() - begin) / _READING_SHARE)
        run.add(rows, completed)
    return len(rows)


def _training_has_ended(seconds: float) -> bool:
    """Whether training has closed its end of the pipe; it is given so many seconds to do so."""
    if not select.select([sys.stdin], [], [], seconds)[0]:
        return False
    signal.alarm(_SECONDS_TO_END)
    return True


def _check_room(folder: Path) -> None:
    """Write a file. wandb does not say when the disk is full, and goes elsewhere if its folder is read-only.

    Raises:
        RunDirError: the folder cannot be written, or the disk is full.
    """
    probe = folder / "probe"
    try:
        folder.mkdir(exist_ok=True)
        write_atomically(probe, lambda file: file.write(os.urandom(_PROBE_BYTES)))
        probe.unlink()
    except OSError as error:
        raise RunDirError(f"{folder}: cannot be written: {error}") from None


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # what wandb does at exit may hang
