"""The kinds of jobs of a grid, and the inputs that its runs need.

There are training jobs, preparation jobs, which prepare inputs for several runs, and the final job, of kind `report`.
All run in this project's task process (`jobs.tasks`), the first two as job arrays: tasks stop at their time limit,
requeue themselves, resume from their last save, and fail after repeated attempts without progress. The final job
restarts from its beginning.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sentiment.config import WORD2VEC, DataConfig, RunConfig
from sentiment.errors import EncoderError
from sentiment.files import files_in, user_path
from sentiment.processes import wandb_problem
from sentiment.runs.records import Part, RunRecord
from sentiment.runs.run_dir import Results, RunDir

if TYPE_CHECKING:
    from sentiment.console import Console
    from sentiment.data.corpus import Corpus
    from sentiment.training.stop import Stop, StopRequest

KindName = Literal["data", "cache", "train", "report"]


@dataclass(frozen=True)
class JobKind:
    """What distinguishes one kind of job from the others.

    Attributes:
        after: kinds of jobs of the same grid that it depends on: on their success or, for a final job, on their end.
        resources: overrides of the cluster file's `defaults`; the kind's own section of that file takes precedence.
        trains_runs: whether its tasks train runs; all other kinds have no runs of their own.
        final: whether it ends a grid, as a single job.
        shareable: whether several tasks may divide the work among them.
        needed_for: returns those of the given runs that need such a job; if none does, it is not submitted.
        function_name: module and name of the function that does the work. Its arguments are the runs' configurations,
            the results, the request to stop and the console; it returns the reason for which it stopped, or None, and
            resumes its work when it is called again.
        progress: returns a number that grows as work is saved.
    """

    name: KindName
    after: tuple[KindName, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    trains_runs: bool = False
    final: bool = False
    shareable: bool = False
    needed_for: Callable[[Sequence[RunConfig], Results], list[RunConfig]] = lambda _configs, _results: []
    function_name: tuple[str, str] = ("", "")
    progress: Callable[[Results], int] = lambda _results: 0

    def work(
        self, configs: Sequence[RunConfig], results: Results, stop: "StopRequest", console: "Console"
    ) -> "Stop | None":
        module, function = self.function_name
        reason: Stop | None = getattr(importlib.import_module(module), function)(configs, results, stop, console)
        return reason


def steps_saved(run_dir: RunDir) -> int:
    """Return the number of optimiser steps that are saved, according to the attempts in `run.json`."""
    record = run_dir.read(RunRecord)
    attempts = record.attempts if record else []
    return max((attempt.last_step or attempt.first_step for attempt in attempts), default=0)


def unprepared(configs: Iterable[RunConfig], results: Results) -> list[RunConfig]:
    """Return one run for each corpus, with its baseline, and each set of word2vec vectors that is still to be made."""
    by_inputs: dict[object, RunConfig] = {}
    for config in configs:
        vectors = (config.embedding, config.vectors) if config.vectors else None
        by_inputs.setdefault((config.data, vectors), config)
    return [config for config in by_inputs.values() if not _is_prepared(config, results)]


def _is_prepared(config: RunConfig, results: Results) -> bool:
    from sentiment.data.vocabulary import pretrained_file

    corpus = _prepared_corpus(config.data, results)
    if corpus is None or not corpus.baselines_file.exists():
        return False
    learned = pretrained_file(config, results) if config.vectors else None
    return learned is None or learned.exists()


def _prepared_corpus(data: DataConfig, results: Results) -> "Corpus | None":
    from sentiment.data.corpus import find_corpus
    from sentiment.data.sources import table_problems

    return None if any(table_problems(data, results)) else find_corpus(data, results)


def class_counts(data: DataConfig, parts: Sequence[Part], results: Results) -> list[int] | None:
    """Return the number of tweets of each class in some parts together; None if the corpus is not prepared."""
    corpus = _prepared_corpus(data, results)
    if corpus is None:
        return None
    by_part = [corpus.report.parts[part].classes for part in parts]
    return [sum(numbers) for numbers in zip(*by_part, strict=True)]


# Endings of the files that hold prepared work. Each attempt also leaves locks and records of its time, and may leave
# temporary files, which would pass for progress.
_WORK_ENDINGS = (".npy", ".npz", ".parquet", ".txt")


def _bytes_in(folder: Path) -> int:
    """Return the total size of the finished files of work; temporary folders are recognised by their names."""
    finished = 0
    for path, size in files_in(folder):
        if path.suffix in _WORK_ENDINGS and path.parent.suffix != ".tmp":
            finished += size
    return finished


_NO_GPU = {"gpus": 0}

_DATA = JobKind(
    name="data",
    resources=_NO_GPU,
    needed_for=unprepared,
    function_name=("sentiment.training.experiment", "run_preparation"),
    progress=lambda results: _bytes_in(results.corpora) + _bytes_in(results.word_vectors),
)
_CACHE = JobKind(
    name="cache",
    after=("data",),
    shareable=True,
    needed_for=lambda configs, _results: [run for run in configs if run.any_encoder and run.any_encoder.cached],
    function_name=("sentiment.training.experiment", "run_encoding"),
    progress=lambda results: _bytes_in(results.encoder_caches),
)
_TRAIN = JobKind(name="train", after=("data", "cache"), trains_runs=True)
_REPORT = JobKind(
    name="report",
    after=("train",),
    final=True,
    resources={**_NO_GPU, "cpus": 1, "time_minutes": 30, "container": None},
)

# In the order in which a grid's jobs are submitted: each kind depends only on kinds before it.
JOB_KINDS: dict[KindName, JobKind] = {kind.name: kind for kind in (_DATA, _CACHE, _TRAIN, _REPORT)}

OTHER_KINDS = [kind for kind in JOB_KINDS.values() if not kind.trains_runs]
"""The kinds whose jobs train no runs."""


def preparations_needed(configs: Sequence[RunConfig], results: Results) -> dict[KindName, list[RunConfig]]:
    """Return the kinds of preparation jobs that some runs need, each with the runs that need it."""
    runs = {kind.name: kind.needed_for(configs, results) for kind in OTHER_KINDS}
    return {name: needed for name, needed in runs.items() if needed}


def missing_for(configs: Sequence[RunConfig], results: Results) -> list[str]:
    """Return a line for each missing input, with the command that downloads it: compute nodes often have no network."""
    from sentiment.data.sources import table_problems
    from sentiment.encoders.pretrained import find_model

    files: set[tuple[str, str]] = set()
    models = {}
    trackings = set()
    for config in configs:
        trackings.add(config.tracking.wandb)
        if config.vectors:
            files |= {("vectors.unlabelled", file.path) for file in config.vectors.unlabelled}
        if config.embedding.pretrained not in (None, WORD2VEC):
            files.add(("embedding.pretrained", str(config.embedding.pretrained)))
        encoder = config.any_encoder
        if encoder:
            models["encoder.model" if config.encoder else "elmo.model", encoder.model] = config
    lines = [problem for problem in map(wandb_problem, trackings) if problem]
    for data in dict.fromkeys(config.data for config in configs):
        lines += [problem for problem in table_problems(data, results) if problem not in lines]
    for name, file in sorted(files):
        if not user_path(file).is_file():
            lines.append(f"{name} = {file!r}: no such file")
    for (name, _), config in sorted(models.items(), key=lambda model: model[0]):
        try:
            find_model(config, results)
        except EncoderError as error:
            lines.append(f"{name}: {error}")
    return lines
