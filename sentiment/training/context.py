"""What a run is executed with, as one value that is handed on."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sentiment.config import RunConfig
from sentiment.console import Console, Progress, silent
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.stop import StopRequest


def _quiet() -> Console:
    return Console(say=lambda _line: None, progress=silent)


@dataclass(frozen=True)
class RunContext:
    """One run: its question, its places on disk, when it has to stop, and where it reports.

    Attributes:
        results: holds the prepared tweets and ELMo's vectors, which all runs share.
        run_dir: holds what this run writes.
        stop: asked between steps; by default training is never asked to stop.
        console: by default nothing is shown.
        begin: called when no other process can train the run, before anything is computed; it may refuse by an error.
    """

    config: RunConfig
    results: Results
    run_dir: RunDir
    stop: StopRequest = field(default_factory=StopRequest)
    console: Console = field(default_factory=_quiet)
    begin: Callable[[], None] = lambda: None

    @property
    def progress(self) -> Progress:
        """Shows progress of work that can be repeated, and ends it with a StoppedError if there is a reason to."""
        return self.stop.interrupting(self.console.progress)
