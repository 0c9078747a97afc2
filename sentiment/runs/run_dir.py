"""The folder of results and the directory of a run: all names in them, and how records are read and written.

Whatever is in a file, it is valid or named as damaged (RunDirError).
"""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from sentiment.config import OPERATIONAL_SECTIONS, RunConfig
from sentiment.console import visible
from sentiment.errors import LockedError, RunDirError, TakenOverError
from sentiment.files import FolderEntry, as_json, files_in, read_named, sha256_of, write_atomically, write_json
from sentiment.runs.locks import live_owner, read_owner
from sentiment.runs.records import SCHEMA_VERSION, Added, Failure, GridPlan, Record, Result, RunRecord, Tries, WandbRun

R = TypeVar("R", bound=BaseModel)
MetricRow = dict[str, Any]

_MOST_BYTES = 100_000_000
_MISTAKES = 3
_ANEW = "move the directory away to train the run anew"


def read_record(path: Path, kind: type[R]) -> R | None:
    """The record in a JSON file; None if there is no file.

    Raises:
        RunDirError: it cannot be read, is not a record of this kind, or is one of another version.
    """
    content = _content(path)
    return None if content is None else parse_record(content, kind, str(path))


def _content(path: Path) -> bytes | None:
    try:
        return read_named(path, _MOST_BYTES)
    except FileNotFoundError:  # not asked beforehand, since another process may delete the file at any time
        return None
    except OSError as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None


def parse_record(content: bytes, kind: type[R], place: str) -> R:
    """The record in some JSON; `place` is where it was, for messages. Raises as `read_record`."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        for one in error.errors():
            if one["loc"] == ("schema_version",):
                told = visible(str(one["input"]))[:20]
                raise RunDirError(f"{place}: has schema version {told}, this program reads {SCHEMA_VERSION}") from None
        found = [f"{'.'.join(map(str, one['loc'])) or 'the record'}: {one['msg']}" for one in error.errors()]
        more = f"; and {len(found) - _MISTAKES} more" if len(found) > _MISTAKES else ""
        raise RunDirError(f"{place}: is not a valid record: {'; '.join(found[:_MISTAKES])}{more}") from None


def read_rows(path: Path) -> list[MetricRow]:
    """The complete lines of a file of JSON rows; none if there is no file.

    Raises:
        RunDirError: the file cannot be read, or a line is not a JSON object.
    """
    return _parsed(path, _lines(path))


def _lines(path: Path) -> list[bytes]:
    return (_content(path) or b"").split(b"\n")[:-1]


def _parsed(path: Path, lines: list[bytes]) -> list[MetricRow]:
    try:
        rows = [from_json(line) for line in lines]
    except ValueError as error:
        raise RunDirError(f"{path}: has a line that is not JSON: {error}") from None
    if odd := [row for row in rows if not isinstance(row, dict)]:
        raise RunDirError(f"{path}: has a row that is not an object: {str(odd[0])[:40]}")
    return rows


# The folder of runs outside of grids; no grid may have this name.
SINGLE = "single"
TWEETS_FILE = "tweets.parquet"
_ATTEMPT = ".attempt-"


@dataclass(frozen=True)
class Results:
    """The only folder that the program writes to.

    Attributes:
        tables: texts and labels that a program gave in place of a file.
        encoder_caches: one folder of vectors for each pair of corpus and encoder.
        added: one folder for each corpus, with predictions from elsewhere for its tweets.
        slurm: what was submitted to Slurm, and what its jobs printed.
        code: one folder for each copy of the program's code that jobs are executed with.
    """

    root: Path = Path("results")

    downloads = FolderEntry("data", "downloads")
    elmo_models = FolderEntry("data", "elmo")
    encoders = FolderEntry("data", "encoders")
    tables = FolderEntry("data", "tables")
    corpora = FolderEntry("data", "corpora")
    word_vectors = FolderEntry("data", "word-vectors")
    encoder_caches = FolderEntry("data", "encoder-vectors")
    runs = FolderEntry("runs")
    added = FolderEntry("added")
    slurm = FolderEntry("slurm")
    code = FolderEntry("code")
    report = FolderEntry("report")

    @property
    def path(self) -> Path:
        return self.root

    def corpus_dir(self, fingerprint: str) -> Path:
        """The folder of a prepared corpus: `tweets.parquet` (row, id, part, label, text, tokens) and others."""
        return self.corpora / fingerprint[:16]

    def corpus_lock(self, fingerprint: str) -> Path:
        return self.root / "data" / "locks" / fingerprint[:16]

    def added_file(self, fingerprint: str, name: str) -> Path:
        return self.added / fingerprint[:16] / f"{name}.json"

    def read_added(self, fingerprint: str) -> dict[str, Added]:
        """All predictors from elsewhere of a corpus, by name."""
        files = sorted(self.added_file(fingerprint, "").parent.glob("*.json"))
        return {file.stem: one for file in files if (one := read_record(file, Added))}

    def run_dir(self, run_id: str, grid: str = SINGLE) -> "RunDir":
        return RunDir(self.runs / grid / run_id)

    def grid_file(self, grid: str) -> Path:
        return self.runs / grid / "grid.json"

    def ranking_file(self, grid: str, rung: int) -> Path:
        return self.runs / grid / f"rung-{rung}.json"

    def read_grid(self, grid: str) -> GridPlan | None:
        """The plan of a grid; None if there is none."""
        plan = read_record(self.grid_file(grid), GridPlan)
        if plan is not None and plan.name != grid:  # files are written to the folder of the plan's name
            raise RunDirError(f"{self.grid_file(grid)}: is the plan of grid {plan.name!r}, not of {grid!r}")
        return plan

    def write_grid(self, plan: GridPlan) -> None:
        self.grid_file(plan.name).parent.mkdir(parents=True, exist_ok=True)
        write_json(self.grid_file(plan.name), plan.model_dump(mode="json"))


@dataclass(frozen=True)
class RunDir:
    """One run's directory. What cannot be read raises a RunDirError.

    Attributes:
        attempt: the folder in which the process that trains the run makes its files.
        config_file: written first, and never changed.
        metrics_file: a JSON row for each logged step and each epoch, without times: the source of truth for learning
            curves.
        checkpoints: during training the newest two states to resume from; afterwards the weights of the best epoch and
            of the last one.
        vocabulary_file: the types of the learned embedding, one on each line.
        predictions_file: columns part, row (of the corpus), label, and what each model says, calibrated: score (the
            network), baseline, both and lexicon; all tweets but the training part.
        attention_file: sample tweets with the weight of each token in each hop; only of attention models.
        result_file: written last: the run is completed if and only if it exists.
        wandb_dir: files that wandb itself writes, and what was sent; training does not depend on them.
        lock_file: held by the process that trains the run.
    """

    path: Path
    attempt: Path | None = field(default=None, compare=False, repr=False)

    config_file = FolderEntry("config.json")
    record_file = FolderEntry("run.json")
    metrics_file = FolderEntry("metrics.jsonl")
    checkpoints = FolderEntry("checkpoints")
    best_weights = FolderEntry("checkpoints", "best.ckpt")
    last_weights = FolderEntry("checkpoints", "last.ckpt")
    vocabulary_file = FolderEntry("vocabulary.txt")
    predictions_file = FolderEntry("predictions.parquet")
    baseline_file = FolderEntry("baseline.safetensors")
    attention_file = FolderEntry("attention.jsonl")
    result_file = FolderEntry("result.json")
    failure_file = FolderEntry("failure.json")
    tries_file = FolderEntry("tries.json")
    wandb_file = FolderEntry("wandb.json")
    wandb_dir = FolderEntry("wandb")
    lock_file = FolderEntry("lock")

    @property
    def results(self) -> Results:
        """The folder in which the run was trained; of a copy elsewhere the usual one."""
        places = self.path.resolve().parents
        return Results(places[2]) if len(places) > 2 and places[1].name == "runs" else Results()

    @property
    def grid(self) -> str:
        return self.path.resolve().parent.name

    @property
    def completed(self) -> bool:
        return self.result_file.exists()

    def create(self, config: RunConfig) -> RunConfig:
        """Make the directory unless it exists; the stored configuration, with the operational sections of `config`."""
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            if not self.config_file.exists():
                write_json(self.config_file, config.model_dump(mode="json"))
        except OSError as error:
            raise RunDirError(f"{self.path}: cannot be written: {error}") from None
        found = self.read_config()
        if found.fingerprint() != config.fingerprint():
            raise RunDirError(f"{self.path}: belongs to run {found.run_id}, not to {config.run_id}")
        return found.model_copy(update={name: getattr(config, name) for name in OPERATIONAL_SECTIONS})

    def discard_unbegun(self) -> None:
        """Delete the directory if it contains only a configuration, and no process is about to train the run."""
        found = {path for path, _ in files_in(self.path)}
        if found <= {self.config_file, self.lock_file} and not live_owner(self.lock_file):
            shutil.rmtree(self.path, ignore_errors=True)

    def begin_attempt(self) -> "RunDir":
        """This directory for a process that begins to train the run; it makes its files in a folder of its own.

        The caller holds the lock, which may not reach other hosts. So the folders of former attempts are deleted: if
        one is alive after all, however late it wakes up, it can give no file its name. The folder stays when the
        attempt has ended, so that no number is given twice.
        """
        former = list(self.path.glob(f"{_ATTEMPT}*"))
        numbers = [int(number) for path in former if (number := path.name.removeprefix(_ATTEMPT)).isdecimal()]
        folder = self.path / f"{_ATTEMPT}{max(numbers, default=0) + 1}"
        try:
            folder.mkdir()
        except FileExistsError:
            raise LockedError(f"{self.path}: another process begins to train this run") from None
        for path in former:
            aside = path.with_suffix(".old")  # renamed first, so that nothing can be written to it meanwhile
            with contextlib.suppress(OSError):
                path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        return replace(self, attempt=folder)

    def write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """Replace a file of the run atomically; a TakenOverError says that a later attempt has begun."""
        try:
            write_atomically(path, write, self.attempt)
        except OSError:
            if self.attempt is None or self.attempt.exists():
                raise
            by = read_owner(self.lock_file) or "another process"
            raise TakenOverError(f"{self.path}: superseded by {by}; nothing more is written here") from None

    def write_record(self, record: Record) -> None:
        self.write(self.path / _FILES[type(record)], as_json(record.model_dump(mode="json")))

    def read_config(self) -> RunConfig:
        if (config := read_record(self.config_file, RunConfig)) is None:
            raise RunDirError(f"{self.config_file}: is missing")
        return config

    def read(self, kind: type[R]) -> R | None:
        return read_record(self.path / _FILES[kind], kind)

    def own_failure(self) -> str:
        """Why the run failed by itself, in a line; empty if it did not, as when it was killed."""
        with contextlib.suppress(RunDirError):
            if not self.tries_file.exists() and (failure := self.read(Failure)):
                return f"{failure.error}: {failure.reason}"
        return ""

    def read_metrics(self) -> list[MetricRow]:
        return read_rows(self.metrics_file)

    def read_epochs(self) -> tuple[list[MetricRow], MetricRow]:
        """The epochs' rows of the metric log, and the last row of all, which is empty if there is none."""
        lines = _lines(self.metrics_file)
        epochs = _parsed(self.metrics_file, [line for line in lines if b'"kind": "epoch"' in line])
        return epochs, dict(*_parsed(self.metrics_file, lines[-1:]))


_FILES: dict[type[BaseModel], str] = {
    RunRecord: "run.json",
    Result: "result.json",
    Failure: "failure.json",
    Tries: "tries.json",
    WandbRun: "wandb.json",
}


def read_whole(run_dir: RunDir) -> tuple[RunConfig, RunRecord | None, Result | None]:
    """What there is of one run: each file may be in order and yet be that of another run, copied or renamed by hand.

    Raises:
        RunDirError: one cannot be read or is missing, or they are those of different runs.
    """
    config, record, result = run_dir.read_config(), run_dir.read(RunRecord), run_dir.read(Result)
    for one in (record, result):
        if one and one.run_id != config.run_id:
            name = _FILES[type(one)]
            raise RunDirError(f"{run_dir.path}: {name} is that of run {one.run_id}, not of {config.run_id}")
    if result and not record:
        raise RunDirError(f"{run_dir.path}: is completed, but {run_dir.record_file.name} is missing; {_ANEW}")
    return config, record, result


def check_file(path: Path, result: Result) -> None:
    """Raise a RunDirError unless a file is the one that a result names."""
    known = result.files_sha256.get(path.name)
    try:
        if known is None or sha256_of(path) == known:
            return
    except OSError as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    raise RunDirError(f"{path}: is not the file that belongs to this result (its SHA-256 differs); {_ANEW}")
