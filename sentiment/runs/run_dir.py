"""The layout of the results folder and of run directories, and the names of runs; reads and writes their records.

Every file is validated when it is read; RunDirError names a damaged one.
"""

import contextlib
import hashlib
import io
import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from sentiment.config import OPERATIONAL_FIELDS, RunConfig
from sentiment.errors import CopiedGridError, FormatError, RunDirError, TakenOverError, UsageError
from sentiment.files import FolderEntry, as_json, read_user_file, sha256_of, user_path, write_atomically
from sentiment.runs.locks import Lock, last_owner
from sentiment.runs.records import (
    EpochRow,
    Failure,
    GridPlan,
    MetricRow,
    Record,
    Result,
    RunRecord,
    StartCount,
    StepRow,
    WandbRun,
)
from sentiment.version import STAMP, STAMP_KEY, check_stamp

R = TypeVar("R", bound=BaseModel)

_MAX_BYTES = 100_000_000
_MAX_SHOWN_ERRORS = 3
_RETRAIN_HINT = "move the directory away to train the run again"


def read_record(path: Path, kind: type[R], remedy: str = "") -> R | None:
    """The record in a JSON file; None if there is no file. The message on a damaged one ends in the remedy.

    Raises:
        FormatError: the file has the format of another version.
        RunDirError: the file cannot be read, is not a record of this kind, or has changed since it was written.
    """
    try:
        content = _content(path)
        return None if content is None else parse_sealed(content, kind, str(path))
    except FormatError:
        raise
    except RunDirError as error:
        raise RunDirError(f"{error}; {remedy}" if remedy else str(error)) from None


def set_damaged_aside(path: Path, kind: type[R]) -> bool:
    """Rename a record that cannot be read to `*.damaged`; return whether it was."""
    try:
        read_record(path, kind)
    except FormatError:
        raise  # another version reads it
    except RunDirError:
        path.replace(path.with_name(f"{path.name}.damaged"))
        return True
    return False


def _content(path: Path) -> bytes | None:
    try:
        return read_user_file(path, _MAX_BYTES)
    except FileNotFoundError:  # not checked beforehand, since another process may delete the file at any time
        return None
    except OSError as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None


def parse_record(content: bytes, kind: type[R], origin: str) -> R:
    """Parse a record from JSON; `origin` is where it comes from, for messages. Raises what `read_record` raises."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        mistakes = []
        for mistake in error.errors():
            location = ".".join(map(str, mistake["loc"]))
            mistakes.append(f"{location or 'the record'}: {mistake['msg']}")
        more = f"; and {len(mistakes) - _MAX_SHOWN_ERRORS} more" if len(mistakes) > _MAX_SHOWN_ERRORS else ""
        raise RunDirError(f"{origin}: is not a valid record: {'; '.join(mistakes[:_MAX_SHOWN_ERRORS])}{more}") from None


# The last lines of a record's file, before the end of its JSON, hold its stamp and the SHA-256 of all that precedes.
_STAMP_LINE = f',\n  "{STAMP_KEY}": "'.encode()
_SEAL = b',\n  "seal": "'
_END = b"\n}\n"


def parse_sealed(content: bytes, kind: type[R], origin: str) -> R:
    """Parse a record from what `sealed_bytes` returned; `origin` names its file. Raises what `read_record` raises."""
    body, _, seal = content.rpartition(_SEAL)
    if seal != _seal_of(body):
        raise RunDirError(f"{origin}: has changed since it was written (its seal, a SHA-256, differs or is missing)")
    return _parse_stamped(body, kind, origin)


def _parse_stamped(body: bytes, kind: type[R], origin: str) -> R:
    """Parse a record from its JSON, without the end, that ends in its stamp."""
    fields, _, stamp = body.rpartition(_STAMP_LINE)
    return parse_record(fields + _END, kind, check_stamp(stamp.decode("utf-8", "replace").removesuffix('"'), origin))


def _stamped(record: BaseModel) -> bytes:
    """The JSON of a record with its stamp, without the end."""
    buffer = io.BytesIO()
    as_json(record.model_dump(mode="json"))(buffer)
    return b"".join((buffer.getvalue().removesuffix(_END), _STAMP_LINE, STAMP.encode(), b'"'))


def sealed(record: BaseModel) -> Callable[[BinaryIO], object]:
    """A function that writes a record as JSON with stamp and seal, so that `read_record` notices any change of it."""
    content = sealed_bytes(record)
    return lambda file: file.write(content)


def sealed_bytes(record: BaseModel) -> bytes:
    body = _stamped(record)
    return b"".join((body, _SEAL, _seal_of(body)))


def _seal_of(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode() + b'"' + _END


def read_records(path: Path, kind: type[R]) -> list[R]:
    """The records in a file with one on each line; none if there is no file. Raises what `read_record` raises."""
    return [parse_record(line, kind, origin) for line, origin in _lines(path)]


def _lines(path: Path) -> list[tuple[bytes, str]]:
    """The lines of a file, each with its origin for messages; none if there is no file."""
    lines = (_content(path) or b"").split(b"\n")
    if lines.pop():
        raise RunDirError(f"{path}: line {len(lines) + 1}, the last one, is not complete")
    return [(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


_EPOCH = b'"kind": "epoch"'


def parse_metric_row(line: bytes, origin: str) -> MetricRow:
    """Parse a line of a metric log. Raises what `read_record` raises."""
    if _EPOCH in line:
        return parse_record(line, EpochRow, origin)
    return parse_record(line, StepRow, origin)


# The folder of runs outside of grids; no grid may have this name.
SINGLE = "single"
# Files of a corpus; the same row of each is of the same tweet.
TWEETS_FILE = "tweets.parquet"
KEYS_FILE = "keys.npy"
_ATTEMPT_PREFIX = ".attempt-"


@dataclass(frozen=True)
class Results:
    """The folder of all results.

    Only what a user asks for is written elsewhere: `export`, `--out`, `--sheet`, and `shares` of the command `share`.

    Attributes:
        tables: texts and labels that were passed to `SentimentClassifier.fit`.
        encoder_caches: one folder of vectors for each pair of corpus and encoder.
        added: one folder for each corpus, with the added predictions for its tweets.
        answers: one folder for each table of tweets for which predictors were added.
        sheets: what each sheet to label was drawn for.
        slurm: the submissions to Slurm, and the output of its jobs.
        code: one folder for each copy of the program's code that jobs run.
        removed: grids that are not to be seen any more.
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
    answers = FolderEntry("answers")
    sheets = FolderEntry("sheets")
    slurm = FolderEntry("slurm")
    code = FolderEntry("code")
    report = FolderEntry("report")
    removed = FolderEntry("removed")

    @property
    def path(self) -> Path:
        return self.root

    @property
    def options(self) -> list[str]:
        """The options with which a printed command uses this folder; none for the default folder."""
        return [] if self.root == Results().root else ["--results", str(self.root)]

    def command(self, *words: str) -> str:
        """A command of `sentiment` for the shell that uses this folder."""
        return shlex.join(["sentiment", *words, *self.options])

    def corpus_dir(self, fingerprint: str) -> Path:
        """The folder of a prepared corpus, by its content: `tweets.parquet` (id, part, label, text) and others."""
        return self.corpora / fingerprint[:16]

    def made_from(self, key: str) -> Path:
        """The record of the corpus that was made from what has this fingerprint, and its lock beside it."""
        return self.root / "data" / "made-from" / f"{key[:16]}.json"

    def added_dir(self, fingerprint: str) -> Path:
        """The folder of the added predictions for a corpus."""
        return self.added / fingerprint[:16]

    def run_dir(self, run_id: str, grid: str = SINGLE) -> "RunDir":
        return RunDir(self.runs / grid / run_id)

    def grid_file(self, grid: str) -> Path:
        return self.runs / grid / "grid.json"

    def ranking_file(self, grid: str, rung: int) -> Path:
        return self.runs / grid / f"rung-{rung}.json"

    def read_grid(self, grid: str) -> GridPlan | None:
        """The plan of a grid; None if there is none. Raises what `read_record` raises, and CopiedGridError."""
        plan = read_record(self.grid_file(grid), GridPlan, f"`{self.command('submit', grid)}` plans it again")
        if plan is not None and plan.name != grid:  # files are written to the folder of the plan's name
            reason = f"holds grid {plan.name}; a folder that is not named as its grid is left out"
            raise CopiedGridError(f"{self.runs / grid}: {reason}")
        return plan

    def write_grid(self, plan: GridPlan) -> None:
        self.grid_file(plan.name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.grid_file(plan.name), sealed(plan))


@dataclass(frozen=True)
class RunDir:
    """One run's directory. A file that cannot be read raises RunDirError.

    Attributes:
        attempt: the folder of the process that trains the run, for files that are not complete yet.
        config_file: written first, and never changed.
        metrics_file: a JSON row for each logged step and each epoch, without times: the source of truth of learning
            curves.
        checkpoints: during training the newest two states to resume from; afterwards the weights of the best epoch and
            of the last one.
        vocabulary_file: the types of the learned embedding, one on each line.
        predictions_file: columns part, tweet (its key), label, and each predictor's probabilities, such as
            `network_positive`, of all classes but the first; all tweets but the training part.
        attention_file: sample tweets with the weight of each token in each hop; only for attention models.
        result_file: written last: the run is completed if and only if it exists.
        wandb_dir: files that wandb writes; training does not depend on them.
        lock_file: the process that trains the run has this lock.
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
    start_file = FolderEntry("start.json")
    wandb_file = FolderEntry("wandb.json")
    wandb_dir = FolderEntry("wandb")
    lock_file = FolderEntry("lock")

    @property
    def results(self) -> Results:
        """The results folder that holds the run; for a copy elsewhere the default folder."""
        parents = self._absolute.parents
        in_results = len(parents) > 2 and parents[1].name == "runs" and parents[2] != Results().root.absolute()
        return Results(parents[2]) if in_results else Results()

    @property
    def _absolute(self) -> Path:
        """Its path without `..`. Links are not followed: `runs` may be one to another disk."""
        return Path(os.path.normpath(self.path.absolute()))

    @property
    def grid(self) -> str:
        return self._absolute.parent.name

    @property
    def completed(self) -> bool:
        return self.result_file.exists()

    def create(self, config: RunConfig) -> RunConfig:
        """Create the directory if it is missing.

        Returns:
            The stored configuration, with the operational sections of `config`.

        Raises:
            RunDirError: the directory cannot be written, or belongs to another run.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            if not self.config_file.exists():
                self.write_config(config)
        except OSError as error:
            raise RunDirError(f"{self.path}: cannot be written: {error}") from None
        try:
            stored = self.read_config()
        except RunDirError as error:
            raise RunDirError(f"{error}; if it is deleted, the command that trains the run writes it again") from None
        if stored.fingerprint() != config.fingerprint():
            raise RunDirError(f"{self.path}: belongs to run {stored.run_id}, not to {config.run_id}")
        return stored.model_copy(update={name: getattr(config, name) for name in OPERATIONAL_FIELDS})

    def lock(self) -> Lock:
        """The lock of the process that trains the run, whose number is that of a new attempt."""
        newest = max(self.path.glob(f"{_ATTEMPT_PREFIX}*[0-9]"), default=None)
        after = int(newest.name.removeprefix(_ATTEMPT_PREFIX)) if newest else 0  # somebody may have deleted the lock
        return Lock(self.lock_file, "trains this run", after=after, newest_wins=True)

    def begin_attempt(self, number: int) -> "RunDir":
        """Begin an attempt: return this directory with a new folder, in which the attempt makes its files.

        The folders of earlier attempts are deleted: one that is still alive, on a host whose locks are not seen here,
        can then no longer replace a file of the run.

        Args:
            number: that of the lock.

        Raises:
            TakenOverError: a later attempt has begun.
        """
        folder = self.path / f"{_ATTEMPT_PREFIX}{number:06}"
        folder.mkdir(exist_ok=True)
        attempts = sorted(self.path.glob(f"{_ATTEMPT_PREFIX}*"))
        if attempts[-1] != folder:
            raise self._superseded()
        for path in attempts[:-1]:
            aside = path.with_suffix(".old")  # renamed first, so that nothing can be written to it in the meantime
            with contextlib.suppress(OSError):
                path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        return replace(self, attempt=folder)

    def write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """Replace a file of the run atomically.

        Raises:
            TakenOverError: a later attempt has begun.
            OSError: the file cannot be written.
        """
        try:
            write_atomically(path, write, self.attempt)
        except OSError:
            if self.attempt is None or self.attempt.exists():
                raise
            raise self._superseded() from None

    def _superseded(self) -> TakenOverError:
        successor = last_owner(self.lock_file) or "another process"
        return TakenOverError(f"{self.path}: superseded by {successor}; nothing more is written here")

    def write_record(self, record: Record) -> None:
        self.write(self.path / _FILES[type(record)], sealed(record))

    def write_config(self, config: RunConfig) -> None:
        """Write `config.json`, which has no seal: it may be edited, and given to `sentiment train`."""
        write_atomically(self.config_file, lambda file: file.writelines((_stamped(config), _END)))

    def read_config(self) -> RunConfig:
        content = _content(self.config_file)
        if content is None:
            raise RunDirError(f"{self.config_file}: is missing")
        return _parse_stamped(content.removesuffix(_END), RunConfig, str(self.config_file))

    def read(self, kind: type[R]) -> R | None:
        return read_record(self.path / _FILES[kind], kind)

    def set_damaged_aside(self) -> None:
        """Rename records that cannot be read: the run makes new ones, and goes on from a checkpoint if it has one."""
        for kind, name in _FILES.items():
            set_damaged_aside(self.path / name, kind)

    def own_failure(self) -> str:
        """The error that the run failed with, in a line; empty if it did not fail, or if a retry may succeed."""
        with contextlib.suppress(RunDirError):
            failure = self.read(Failure)
            if failure and not failure.retry:
                return failure.summary
        return ""

    def read_metrics(self) -> list[MetricRow]:
        """All rows of the metric log; none if there is no log."""
        return [parse_metric_row(line, origin) for line, origin in _lines(self.metrics_file)]

    def count_epochs(self) -> int:
        """The number of epochs in the metric log, which may be being written."""
        return (_content(self.metrics_file) or b"").count(_EPOCH)

    def read_epochs(self) -> tuple[list[EpochRow], MetricRow | None]:
        """The rows of epochs in the metric log, and the last row of any kind. Other rows are not parsed."""
        lines = _lines(self.metrics_file)
        epochs = [parse_record(line, EpochRow, origin) for line, origin in lines if _EPOCH in line]
        if [row.epoch for row in epochs] != [*range(1, len(epochs) + 1)]:
            raise RunDirError(f"{self.metrics_file}: the epochs of its rows are not 1, 2, 3, ...")
        return epochs, parse_metric_row(*lines[-1]) if lines else None


_FILES: dict[type[BaseModel], str] = {
    RunRecord: "run.json",
    Result: "result.json",
    Failure: "failure.json",
    StartCount: "start.json",
    WandbRun: "wandb.json",
}


def read_whole(run_dir: RunDir) -> tuple[RunConfig, RunRecord | None, Result | None]:
    """Read configuration, record and result, and check that they belong to one run: users copy and rename files.

    Raises:
        RunDirError: a record cannot be read or is missing, or the records belong to different runs.
    """
    config = run_dir.read_config()
    record = run_dir.read(RunRecord)
    result = run_dir.read(Result)
    check_records(run_dir, config, record, result)
    return config, record, result


def check_records(run_dir: RunDir, config: RunConfig, record: RunRecord | None, result: Result | None) -> None:
    """Raise RunDirError unless the records belong to the run of the configuration, and a result has its record."""
    run_id = config.run_id
    for stored in (record, result):
        if stored and stored.run_id != run_id:
            name = _FILES[type(stored)]
            raise RunDirError(f"{run_dir.path}: {name} belongs to run {stored.run_id}, not to {run_id}")
    if result and not record:
        raise RunDirError(f"{run_dir.path}: is completed, but {run_dir.record_file.name} is missing; {_RETRAIN_HINT}")


def check_file(path: Path, result: Result) -> None:
    """Raise RunDirError unless the file has the SHA-256 that the result names."""
    if known := result.files_sha256.get(path.name):
        check_sha256(path, known, _RETRAIN_HINT)


def check_sha256(path: Path, known: str, remedy: str) -> None:
    """Raise RunDirError, with a remedy, unless a file has a known SHA-256."""
    try:
        if sha256_of(path) == known:
            return
    except OSError as error:
        raise RunDirError(f"{path}: cannot be read: {error}; {remedy}") from None
    raise RunDirError(f"{path}: has changed since it was written (its SHA-256 differs); {remedy}")


LAST = "last"  # names the run that was trained last, as the records of runs say
_DIGITS = 8  # of its fingerprint, at the end of a run's id
_MAX_SHOWN = 5


def short_id(run_id: str) -> str:
    """The digits at the end of a run's id, which tell it from all others."""
    digits = run_id.rpartition("-")[2]
    return digits if len(digits) == _DIGITS else run_id


def name_of(run_dir: RunDir) -> str:
    """The name that printed commands give a run: its short id if it is in the default results folder, else its path."""
    is_here = run_dir.path.resolve().parents[1] == Results().runs.resolve()
    return short_id(run_dir.path.name) if is_here else str(run_dir.path)


def lasting_name(run_dir: RunDir, results: Results) -> str:
    """The name by which `find_run` finds a run for good: `GRID/ID` in its results folder, else its absolute path."""
    if run_dir.path.resolve().parents[1] == results.runs.resolve():
        return f"{run_dir.grid}/{run_dir.path.name}"
    return str(run_dir.path.resolve())


def find_run(name: str, results: Results) -> RunDir:
    """The directory of the run that a user named; of several copies a completed one. Raises as `find_runs`."""
    return max(find_runs(name, results), key=lambda run_dir: run_dir.completed)


def find_runs(name: str, results: Results) -> list[RunDir]:
    """The directories of the run that a user named, which may be in several grids; planned runs have none yet.

    Args:
        name: a run's directory, `last`, or the beginning of its id or of its short id; `GRID/` may precede an id.

    Raises:
        UsageError: no run has this name, or several runs have.
    """
    directory = RunDir(user_path(name))
    if directory.config_file.exists():
        return [directory]
    runs = known_runs(results)
    begun = [run_dir for run_dir in runs if run_dir.record_file.exists()]
    if name == LAST and begun:
        return [max(begun, key=_trained_at)]
    grid, _, start = name.rpartition("/")
    named = [run_dir for run_dir in runs if grid in ("", run_dir.grid) and _begins(run_dir.path.name, start)]
    ids = {run_dir.path.name for run_dir in named}
    if start in ids:
        return [run_dir for run_dir in named if run_dir.path.name == start]
    if len(ids) == 1:
        return named
    if ids:
        raise UsageError(f"{name}: begins the ids of {len(ids)} runs: {_listed(ids)}")
    if files := [*directory.path.glob("*/config.json"), *(results.runs / name).glob("*/config.json")]:
        raise UsageError(
            f"{name}: holds several runs; name one of them: {_listed({file.parent.name for file in files})}"
        )
    command = results.command("status")
    raise UsageError(f"{name}: neither a grid nor a run in {results.runs}, nor the directory of a run; see `{command}`")


def _trained_at(run_dir: RunDir) -> str:
    """When a run was trained last, by its own record: a copy of a file may have another time. Empty if damaged."""
    with contextlib.suppress(RunDirError):
        record = run_dir.read(RunRecord)
        if record:
            return record.attempts[-1].end or record.attempts[-1].start
    return ""


def _begins(run_id: str, start: str) -> bool:
    return bool(start) and (run_id.startswith(start) or short_id(run_id).startswith(start))


def _listed(run_ids: set[str]) -> str:
    shown = sorted(run_ids)
    return ", ".join(shown[:_MAX_SHOWN]) + (" ..." if len(shown) > _MAX_SHOWN else "")


def known_runs(results: Results) -> list[RunDir]:
    """The runs in the plans of all grids; where there is no plan, or a damaged one, those that have a directory.

    A folder that is not named as its grid, such as a copy, is passed over.
    """
    runs = []
    for folder in sorted(results.runs.glob("*/")):
        plan = None
        try:
            plan = results.read_grid(folder.name)
        except CopiedGridError:
            continue
        except RunDirError:
            pass  # its runs may be whole
        run_ids = [run.run_id for run in plan.runs] if plan else sorted(path.name for path in folder.glob("[!.]*/"))
        runs += [results.run_dir(run_id, folder.name) for run_id in run_ids]
    return runs
