"""The kinds of jobs that a grid is made of: the one table of what distinguishes them.

A kind either trains runs, does work that several runs wait for (a service), or ends a grid. All run in this project's
task process (`jobs.tasks`), the first two as job arrays: they stop when their time is over, requeue themselves, go on
from what they saved, and are given up when nothing more is saved. What ends a grid simply starts anew.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jobs.grids.requirements import unprepared, without_pretrained, without_vectors
from sentiment.config import RunConfig
from sentiment.files import files_in
from sentiment.runs.run_dir import Results, RunDir

if TYPE_CHECKING:
    from sentiment.console import Console
    from sentiment.training.stop import Stop, StopRequest

KindName = Literal["data", "vectors", "pretrain", "cache", "train", "report"]


@dataclass(frozen=True)
class JobKind:
    """What distinguishes one kind of job from the others.

    Attributes:
        after: kinds of the same grid that it waits for: for their success or, with `afterany`, only for their end.
        resources: what differs from the cluster file's `defaults`, unless its own section says otherwise.
        final: whether it ends every submission of a grid: a newer one replaces one that still waits.
        shareable: whether several tasks may divide the work among them.
        needed_for: those of the given runs that such a job has to work for; of none it is not needed.
        function: what does the work: a module and a function of the runs' configurations, the results, the request to
            stop and where to print; it returns why it stopped, or None, and goes on where it was when called again.
        progress: a figure that grows with the work saved.
    """

    name: KindName
    after: tuple[KindName, ...] = ()
    condition: Literal["afterok", "afterany"] = "afterok"
    resources: Mapping[str, Any] = field(default_factory=dict)
    final: bool = False
    trains_runs: bool = False
    shareable: bool = False
    needed_for: Callable[[Sequence[RunConfig], Results], list[RunConfig]] = lambda _configs, _results: []
    function: tuple[str, str] = ("", "")
    progress: Callable[[Results], int] = lambda _results: 0

    @property
    def is_array(self) -> bool:
        """Whether its tasks form a job array, so that each has a number."""
        return not self.final

    def work(
        self, configs: Sequence[RunConfig], results: Results, stop: "StopRequest", console: "Console"
    ) -> "Stop | None":
        """Do the work that runs wait for."""
        module, function = self.function
        reason: Stop | None = getattr(importlib.import_module(module), function)(configs, results, stop, console)
        return reason


def steps_saved(run_dir: RunDir) -> int:
    """Optimiser steps that the next attempt will not have to repeat, according to the attempts in `run.json`."""
    record = run_dir.read_record()
    attempts = record.attempts if record else []
    return max((attempt.last_step or attempt.first_step for attempt in attempts), default=0)


def _with_cached_vectors(configs: Sequence[RunConfig], _results: Results) -> list[RunConfig]:
    return [config for config in configs if config.frozen and config.frozen.cached]


def _bytes_in(folder: Path) -> int:
    """Of files that are complete: those that are being written have names that say so."""
    files = files_in(folder)
    return sum(size for path, size in files if not path.name.startswith(".") and ".tmp" not in path.parent.suffix)


_NO_GPU = {"gpus": 0, "gres": None}

# In the order in which a grid's jobs are submitted: each waits only for kinds above it.
JOB_KINDS: dict[KindName, JobKind] = {
    kind.name: kind
    for kind in (
        JobKind(
            name="data",
            resources=_NO_GPU,
            needed_for=unprepared,
            function=("sentiment.training.experiment", "run_preparation"),
            progress=lambda results: _bytes_in(results.corpora),
        ),
        JobKind(
            name="vectors",
            after=("data",),
            resources={**_NO_GPU, "cpus": 2},  # one thread learns, another one feeds it
            needed_for=without_vectors,
            function=("sentiment.training.experiment", "run_vectors"),
            progress=lambda results: len(list(results.word_vectors.glob("*/vectors.txt"))),
        ),
        JobKind(
            name="pretrain",
            after=("data",),
            needed_for=without_pretrained,
            function=("sentiment.training.pretraining", "run_pretraining"),
            progress=lambda results: sum(map(steps_saved, map(RunDir, results.pretrained.glob("*")))),
        ),
        JobKind(
            name="cache",
            after=("data", "pretrain"),
            shareable=True,
            needed_for=_with_cached_vectors,
            function=("sentiment.training.encoding", "run_encoding"),
            progress=lambda results: _bytes_in(results.encoder_caches),
        ),
        JobKind(name="train", after=("data", "vectors", "pretrain", "cache"), trains_runs=True),
        JobKind(
            name="report",
            after=("train",),
            final=True,
            condition="afterany",  # what failed is in the report as well
            resources={**_NO_GPU, "cpus": 1, "time_minutes": 30, "container": None},
        ),
    )
}

OTHER_KINDS = [kind for kind in JOB_KINDS.values() if not kind.trains_runs]
"""Those whose tasks have no runs of their own."""


def services_needed(configs: Sequence[RunConfig], results: Results) -> dict[KindName, list[RunConfig]]:
    """The services that some runs need, each with the runs that it has to work for.

    Raises:
        SentimentError: the source of the tweets cannot be used.
    """
    found = {kind.name: kind.needed_for(configs, results) for kind in OTHER_KINDS}
    return {name: needed for name, needed in found.items() if needed}
