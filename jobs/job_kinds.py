"""The kinds of jobs that a grid is made of: the one table of what distinguishes them.

A new kind (pre-training, the rungs of a search) is a row here and, unless it trains runs, a section in
`jobs.slurm.resources.ClusterFile`. No other module asks which kind a job is; it asks for what the kind needs, does or
keeps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jobs.grids.requirements import unprepared, without_pretrained, without_vectors
from sentiment.config import RunConfig
from sentiment.files import files_in
from sentiment.runs.pretrained import pretrained_dirs
from sentiment.runs.run_dir import Results, RunDir

if TYPE_CHECKING:
    from sentiment.console import Console
    from sentiment.training.stop import Stop, StopRequest

KindName = Literal["data", "vectors", "pretrain", "cache", "train", "report"]

SharedWork = Callable[[Sequence[RunConfig], Results, "StopRequest", "Console"], "Stop | None"]
"""Work for several runs at once: their configurations, the results, the request to stop, and where to print. It returns
why it stopped, or None when it is done; called again, it goes on from there."""


@dataclass(frozen=True)
class JobKind:
    """What distinguishes one kind of job from the others.

    A kind either trains runs, does work that several runs share, or ends a grid. All run in this project's task process
    (`jobs.tasks`), the first two as job arrays: they stop when their time is over, requeue themselves, go on from what
    they saved, and are given up when nothing more is saved. What ends a grid simply starts anew.
    """

    name: KindName
    after: tuple[KindName, ...] = ()
    """Kinds of the same grid that it waits for."""
    condition: Literal["afterok", "afterany"] = "afterok"
    """Whether it waits for their success or only for their end."""
    resources: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Resources` that differ from the cluster file's `defaults`, unless the kind's own section sets them."""
    final: bool = False
    """Whether it ends every submission of a grid: a newer one replaces one that still waits."""
    trains_runs: bool = False
    """Whether each task has runs of its own, which it trains."""
    shareable: bool = False
    """Whether several tasks may divide the work among them."""
    needed_for: Callable[[Sequence[RunConfig], Results], list[RunConfig] | None] = lambda configs, _results: [*configs]
    """Those of the given runs that such a job has to work for; None if no such job is needed."""
    work: SharedWork | None = None
    progress: Callable[[Results], int] = lambda _results: 0
    """A figure that grows with the work saved; of what trains runs it is not asked."""

    @property
    def is_array(self) -> bool:
        """Whether its tasks form a job array, so that each has a number."""
        return not self.final


def steps_saved(run_dir: RunDir) -> int:
    """Optimiser steps that the next attempt will not have to repeat, according to the attempts in `run.json`."""
    record = run_dir.read_record()
    attempts = record.attempts if record else []
    return max((attempt.last_step or attempt.first_step for attempt in attempts), default=0)


def _prepare(configs: Sequence[RunConfig], results: Results, stop: "StopRequest", console: "Console") -> "Stop | None":
    from sentiment.training.preparing import run_preparation

    return run_preparation(configs, results, stop, console)


def _learn(configs: Sequence[RunConfig], results: Results, stop: "StopRequest", console: "Console") -> "Stop | None":
    from sentiment.training.preparing import run_vectors

    return run_vectors(configs, results, stop, console)


def _pretrain(configs: Sequence[RunConfig], results: Results, stop: "StopRequest", console: "Console") -> "Stop | None":
    from sentiment.training.pretraining import run_pretraining

    return run_pretraining(configs, results, stop, console)


def _encode(configs: Sequence[RunConfig], results: Results, stop: "StopRequest", console: "Console") -> "Stop | None":
    from sentiment.training.encoding import run_encoding

    return run_encoding(configs, results, stop, console)


def _unprepared(configs: Sequence[RunConfig], results: Results) -> list[RunConfig] | None:
    return unprepared(configs, results) or None


def _without_their_vectors(configs: Sequence[RunConfig], results: Results) -> list[RunConfig] | None:
    return without_vectors(configs, results) or None


def _without_their_model(configs: Sequence[RunConfig], results: Results) -> list[RunConfig] | None:
    return without_pretrained(configs, results) or None


def _with_cached_vectors(configs: Sequence[RunConfig], _results: Results) -> list[RunConfig] | None:
    return [config for config in configs if config.elmo and config.elmo.cached] or None


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
            needed_for=_unprepared,
            work=_prepare,
            progress=lambda results: _bytes_in(results.corpora),
        ),
        JobKind(
            name="vectors",
            after=("data",),
            resources={**_NO_GPU, "cpus": 2},  # one thread learns, another one feeds it
            needed_for=_without_their_vectors,
            work=_learn,
            progress=lambda results: len(list(results.word_vectors.glob("*/vectors.txt"))),
        ),
        JobKind(
            name="pretrain",
            after=("data",),
            needed_for=_without_their_model,
            work=_pretrain,
            progress=lambda results: sum(map(steps_saved, pretrained_dirs(results))),
        ),
        JobKind(
            name="cache",
            after=("data", "pretrain"),
            shareable=True,
            needed_for=_with_cached_vectors,
            work=_encode,
            progress=lambda results: _bytes_in(results.elmo_caches),
        ),
        JobKind(
            name="train",
            after=("data", "vectors", "pretrain", "cache"),
            trains_runs=True,
        ),
        JobKind(
            name="report",
            after=("train",),
            final=True,
            condition="afterany",  # what failed is in the report as well
            resources={**_NO_GPU, "cpus": 1, "time_minutes": 30, "container": None},
            needed_for=lambda _configs, _results: [],
        ),
    )
}


TRAINING = next(kind for kind in JOB_KINDS.values() if kind.trains_runs)


def jobs_needed(configs: Sequence[RunConfig], results: Results) -> dict[KindName, list[RunConfig]]:
    """The kinds of jobs that some runs need besides their training, each with the runs that it has to work for.

    Raises:
        SentimentError: the source of the tweets cannot be used.
    """
    found = {kind.name: kind.needed_for(configs, results) for kind in service_kinds()}
    return {name: needed for name, needed in found.items() if needed is not None}


def service_kinds() -> Iterator[JobKind]:
    """The kinds whose tasks have no runs of their own."""
    return (kind for kind in JOB_KINDS.values() if not kind.trains_runs)
