"""The kinds of jobs that a grid is made of, and what runs need besides their configuration.

A kind either trains runs, does work that several runs wait for (a service), or ends a grid. All run in this project's
task process (`jobs.tasks`), the first two as job arrays: they stop when their time is over, requeue themselves, go on
from what they saved, and are given up when nothing more is saved. What ends a grid simply starts anew.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sentiment.config import WORD2VEC, RunConfig
from sentiment.errors import EncoderError
from sentiment.files import files_in, named_path
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import Results, RunDir

if TYPE_CHECKING:
    from sentiment.console import Console
    from sentiment.training.stop import Stop, StopRequest

KindName = Literal["data", "vectors", "cache", "train", "report"]


@dataclass(frozen=True)
class JobKind:
    """What distinguishes one kind of job from the others.

    Attributes:
        after: kinds of the same grid that it waits for: for their success or, what ends a grid, for their end.
        resources: what differs from the cluster file's `defaults`, unless its own section says otherwise.
        shareable: whether several tasks may divide the work among them.
        needed_for: those of the given runs that such a job has to work for; of none it is not needed.
        function: what does the work: a module and a function of the runs' configurations, the results, the request to
            stop and where to print; it returns why it stopped, or None, and goes on where it was when called again.
        progress: a figure that grows with the work saved.
    """

    name: KindName
    after: tuple[KindName, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    shareable: bool = False
    needed_for: Callable[[Sequence[RunConfig], Results], list[RunConfig]] = lambda _configs, _results: []
    function: tuple[str, str] = ("", "")
    progress: Callable[[Results], int] = lambda _results: 0

    @property
    def trains_runs(self) -> bool:
        return self.name == "train"

    @property
    def final(self) -> bool:
        return self.name == "report"

    def work(
        self, configs: Sequence[RunConfig], results: Results, stop: "StopRequest", console: "Console"
    ) -> "Stop | None":
        module, function = self.function
        reason: Stop | None = getattr(importlib.import_module(module), function)(configs, results, stop, console)
        return reason


def steps_saved(run_dir: RunDir) -> int:
    """Optimiser steps that the next attempt will not have to repeat, according to the attempts in `run.json`."""
    record = run_dir.read(RunRecord)
    attempts = record.attempts if record else []
    return max((attempt.last_step or attempt.first_step for attempt in attempts), default=0)


def unprepared(configs: Iterable[RunConfig], results: Results) -> list[RunConfig]:
    """One run for each set of tweets that is not prepared, or whose linear baseline is not fitted."""
    from sentiment.data.corpus import find_corpus

    found = []
    for config in {config.data: config for config in configs}.values():
        corpus = None if _lacks_tweets(config, results) else find_corpus(config.data, results)
        if corpus is None or not corpus.baselines_file.exists():  # only a dry run gets as far as this without tweets
            found.append(config)
    return found


def _without_vectors(configs: Sequence[RunConfig], results: Results) -> list[RunConfig]:
    """One run for each set of named word vectors that is to be learned and has not been yet."""
    configs = [config for config in configs if config.embedding.pretrained == WORD2VEC]
    if not configs:
        return []
    from sentiment.data.vocabulary import pretrained_file, vectors_fingerprint

    if any(_lacks_tweets(config, results) for config in configs):
        return configs[:1]
    missing = (config for config in configs if (file := pretrained_file(config, results)) and not file.exists())
    return list({vectors_fingerprint(config, results): config for config in missing}.values())


def _with_cached_vectors(configs: Sequence[RunConfig], _results: Results) -> list[RunConfig]:
    return [config for config in configs if config.any_encoder and config.any_encoder.cached]


def _bytes_in(folder: Path) -> int:
    """Of files that are complete: those that are being written have names that say so."""
    return sum(
        size for path, size in files_in(folder) if not path.name.startswith(".") and ".tmp" not in path.parent.suffix
    )


_NO_GPU = {"gpus": 0}

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
            needed_for=_without_vectors,
            function=("sentiment.training.experiment", "run_vectors"),
            progress=lambda results: len(list(results.word_vectors.glob("*/vectors.txt"))),
        ),
        JobKind(
            name="cache",
            after=("data",),
            shareable=True,
            needed_for=_with_cached_vectors,
            function=("sentiment.training.encoding", "run_encoding"),
            progress=lambda results: _bytes_in(results.encoder_caches),
        ),
        JobKind(name="train", after=("data", "vectors", "cache")),
        JobKind(
            name="report",
            after=("train",),
            resources={**_NO_GPU, "cpus": 1, "time_minutes": 30, "container": None},
        ),
    )
}

OTHER_KINDS = [kind for kind in JOB_KINDS.values() if not kind.trains_runs]
"""Those whose tasks have no runs of their own."""


def services_needed(configs: Sequence[RunConfig], results: Results) -> dict[KindName, list[RunConfig]]:
    """The services that some runs need, each with the runs that it has to work for."""
    found = {kind.name: kind.needed_for(configs, results) for kind in OTHER_KINDS}
    return {name: needed for name, needed in found.items() if needed}


def missing_for(configs: Iterable[RunConfig], results: Results) -> list[str]:
    """A line for each thing that is missing, with the command that fetches it: compute nodes often have no network."""
    from sentiment.encoders.pretrained import find_elmo, find_encoder

    every = list(configs)
    sources = {one for config in every for one in _sources_of(config)}
    files = {one for config in every for one in _files_of(config)}
    encoders = {(one.encoder.model, one.encoder.revision): one.encoder for one in every if one.encoder}
    models = {config.elmo.model for config in every if config.elmo}
    lines = [line for field, source in sorted(sources) for line in _missing_tweets(field, source, results)]
    lines += [f"{field} = {file!r}: no such file" for field, file in sorted(files) if not named_path(file).is_file()]
    for _, encoder in sorted(encoders.items()):
        lines += _missing_model("encoder.model", partial(find_encoder, encoder, results.encoders))
    for model in sorted(models):
        lines += _missing_model("elmo.model", partial(find_elmo, model, results.elmo_models))
    return lines


def _files_of(config: RunConfig) -> set[tuple[str, str]]:
    named = {("vectors.unlabelled", file.path) for file in (config.vectors.unlabelled if config.vectors else ())}
    if config.embedding.pretrained not in (None, WORD2VEC):
        named.add(("embedding.pretrained", str(config.embedding.pretrained)))
    return named


def _sources_of(config: RunConfig) -> set[tuple[str, str]]:
    tests = {(f"data.tests.{name}.path", table.path) for name, table in config.data.tests.items()}
    extra = {("data.extra_train", table.path) for table in config.data.extra_train}
    return {("data.source", config.data.source), *tests, *extra}


def _missing_tweets(field: str, source: str, results: Results) -> Iterator[str]:
    from sentiment.data.sources import missing_tweets

    if missing := missing_tweets(source, results):
        yield f"{field} = {source!r}: {missing}"


def _lacks_tweets(config: RunConfig, results: Results) -> bool:
    return any(line for field, source in _sources_of(config) for line in _missing_tweets(field, source, results))


def _missing_model(field: str, find: Callable[[], object]) -> Iterator[str]:
    try:
        find()
    except EncoderError as error:
        yield f"{field}: {error}"
