"""Copies a run to Weights & Biases while it trains, or does nothing.

The copying is done by a process of its own (`sentiment.tracking.process`); training starts it, closes a pipe when it
ends, and tells what the process says. Where tracking is disabled, nothing is started or imported.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sentiment.config import TrackingConfig
from sentiment.console import Say
from sentiment.run_dir import RunDir
from sentiment.tracking.identity import identity_of, in_sweep, wandb_mode

# At a stop the time is nearly over, and what the process does not manage any more is made good later.
_SECONDS_AFTER_COMPLETION = 10.0
_SECONDS_AFTER_STOP = 2.0
_MADE_GOOD = "training goes on, and `python -m jobs sync` copies metrics.jsonl later"


@contextmanager
def mirrored(run_dir: RunDir, config: TrackingConfig, say: Say) -> Iterator[None]:
    """Copy the metric log of `run_dir` to W&B, if `config` says so, for as long as the context lasts.

    Args:
        say: told once if W&B fails; nothing is ever raised for it.
    """
    mode = wandb_mode(config)
    copying = None if mode == "disabled" else _start(run_dir, mode, say)
    try:
        yield
    finally:
        if copying:
            copying.end(_SECONDS_AFTER_COMPLETION if run_dir.completed else _SECONDS_AFTER_STOP)


def mirror_again(run_dir: RunDir, config: TrackingConfig, say: Say) -> None:
    """Copy a run that is completed already for W&B's agent, which waits for one that it has named."""
    if in_sweep():
        with mirrored(run_dir, config, say):
            pass


class _Copying:
    """The process, and a thread that passes on what it says."""

    def __init__(self, process: "subprocess.Popen[str]", say: Say) -> None:
        self._process = process
        self._say = say
        self._told = False
        self._teller = threading.Thread(target=self._tell, name="W&B", daemon=True)
        self._teller.start()

    def end(self, seconds: float) -> None:
        """Let it copy the rest and end, and wait for that, but no longer than so many seconds."""
        if self._process.stdin:
            self._process.stdin.close()
        self._teller.join(seconds)
        if self._teller.is_alive() and not self._told:
            self._told = True
            self._say("W&B: is not through yet; `python -m jobs sync` copies what it does not manage by itself")

    def _tell(self) -> None:
        with self._process as process:
            for line in process.stdout or ():
                if not self._told:
                    self._told = True
                    self._say(f"W&B: {line.rstrip()}; {_MADE_GOOD}")


def _start(run_dir: RunDir, mode: str, say: Say) -> _Copying | None:
    command = [sys.executable, "-m", "sentiment.tracking.process", "follow", mode, str(run_dir.path)]
    try:
        if not run_dir.wandb_file.exists():
            run_dir.write_wandb(identity_of(run_dir))
        run_dir.wandb_dir.mkdir(exist_ok=True)
        with open(run_dir.wandb_dir / "process.log", "ab") as log:
            process = subprocess.Popen(  # noqa: S603 - a fixed command
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl+C means training
            )
    except OSError as error:
        say(f"W&B: {error}; {_MADE_GOOD}")
        return None
    return _Copying(process, say)
