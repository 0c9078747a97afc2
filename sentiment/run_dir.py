"""A run is a directory: all names in it, and how its small files are read and written. Imports no torch."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.files import write_json
from sentiment.lock import seems_held
from sentiment.records import SCHEMA_VERSION, Failure, GridPlan, Record, Result, RunRecord, WandbRun

R = TypeVar("R", bound=Record)

SINGLE = "single"
TWEETS_FILE = "tweets.parquet"


@dataclass(frozen=True)
class Results:
    """The one place where the program writes."""

    root: Path

    @property
    def downloads(self) -> Path:
        """Source files as they were fetched."""
        return self.root / "data" / "downloads"

    @property
    def elmo_models(self) -> Path:
        """Files of published ELMo models."""
        return self.root / "data" / "elmo"

    @property
    def corpora(self) -> Path:
        """One folder for each prepared corpus."""
        return self.root / "data" / "corpora"

    def corpus_dir(self, fingerprint: str) -> Path:
        """Of a prepared corpus; holds `tweets.parquet` (row, id, part, label, text, tokens) among others."""
        return self.corpora / fingerprint[:16]

    def corpus_lock(self, fingerprint: str) -> Path:
        """Held by the process that prepares a corpus."""
        return self.root / "data" / "locks" / fingerprint[:16]

    @property
    def elmo_caches(self) -> Path:
        """One folder of ELMo vectors for each corpus and model."""
        return self.root / "data" / "elmo-vectors"

    @property
    def runs(self) -> Path:
        """One folder for each grid, and one for the runs outside of grids."""
        return self.root / "runs"

    def run_dir(self, run_id: str, grid: str = SINGLE) -> "RunDir":
        """Of a run in a grid, or outside one."""
        return RunDir(self.runs / grid / run_id)

    def find_run(self, config: RunConfig, grid: str = SINGLE) -> "RunDir":
        """The directory of a configuration, whichever version of the program made it.

        A directory that an earlier version made may have another name, since run ids then depended on fields without
        effect and on how paths were spelled. It is recognised by its stored configuration: if that asks the same
        question, the run goes on there. If several do, a completed one is taken.
        """
        asked, named = config.canonical(), self.run_dir(config.run_id, grid)
        if named.config_file.exists():
            return named
        same = [run for run in self._runs_called(config.title, grid) if run.asks(asked)]
        return max(same, key=lambda run: run.completed, default=named)

    def _runs_called(self, title: str, grid: str) -> Iterator["RunDir"]:
        for path in sorted((self.runs / grid).glob("*/config.json")):
            if path.parent.name.startswith(f"{title}-"):
                yield RunDir(path.parent)

    def grid_file(self, grid: str) -> Path:
        """The plan of a grid, beside the directories of its runs."""
        return self.runs / grid / "grid.json"

    def read_grid(self, grid: str) -> GridPlan | None:
        """The plan of a grid; None if there is none.

        Raises:
            RunDirError: it cannot be read, or is of another version.
        """
        path = self.grid_file(grid)
        return _read_record(path, GridPlan) if path.exists() else None

    def write_grid(self, plan: GridPlan) -> None:
        """Write the plan of a grid."""
        self.grid_file(plan.name).parent.mkdir(parents=True, exist_ok=True)
        write_json(self.grid_file(plan.name), plan.model_dump(mode="json"))

    @property
    def slurm(self) -> Path:
        """What was submitted to Slurm, and what it wrote on its console."""
        return self.root / "slurm"

    @property
    def report(self) -> Path:
        """The report, its figures and tables."""
        return self.root / "report"


@dataclass(frozen=True)
class RunDir:
    """Names and readers of one run's directory."""

    path: Path

    @property
    def results(self) -> Results:
        """The results that the run is part of."""
        return Results(self.path.resolve().parents[2])

    @property
    def grid(self) -> str:
        """The name of the grid that the run is part of, or `single`."""
        return self.path.resolve().parent.name

    @property
    def config_file(self) -> Path:
        """The resolved configuration; written first, never changed."""
        return self.path / "config.json"

    @property
    def record_file(self) -> Path:
        """Provenance and attempts."""
        return self.path / "run.json"

    @property
    def metrics_file(self) -> Path:
        """One JSON row per logged step and epoch, without any clock: the source of truth for curves."""
        return self.path / "metrics.jsonl"

    @property
    def timings_file(self) -> Path:
        """One JSON row per epoch and save with seconds, of all attempts."""
        return self.path / "timings.jsonl"

    @property
    def checkpoints(self) -> Path:
        """While training the newest two states to resume from; afterwards `best` and `last`."""
        return self.path / "checkpoints"

    @property
    def best_weights(self) -> Path:
        """The weights of the best epoch, once the run is completed."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_weights(self) -> Path:
        """The weights of the last epoch, once the run is completed."""
        return self.checkpoints / "last.ckpt"

    @property
    def vocabulary_file(self) -> Path:
        """Token types of the model's embedding, one a line."""
        return self.path / "vocabulary.txt"

    @property
    def predictions_file(self) -> Path:
        """Columns part, row (of the corpus), label, score, baseline, for all tweets that are not trained on."""
        return self.path / "predictions.parquet"

    @property
    def attention_file(self) -> Path:
        """Sample tweets with the weight of each token in each hop; only for attention models."""
        return self.path / "attention.jsonl"

    @property
    def result_file(self) -> Path:
        """Written last: its existence means that the run is completed."""
        return self.path / "result.json"

    @property
    def failure_file(self) -> Path:
        """Why the newest attempt in a grid failed; there is none unless it did."""
        return self.path / "failure.json"

    @property
    def wandb_file(self) -> Path:
        """Which run at Weights & Biases this one is copied to, if it is."""
        return self.path / "wandb.json"

    @property
    def wandb_dir(self) -> Path:
        """What wandb itself writes, and what it was sent; training and what it comes to do not depend on it."""
        return self.path / "wandb"

    @property
    def lock_file(self) -> Path:
        """Held by the process that trains here."""
        return self.path / "lock"

    @property
    def completed(self) -> bool:
        """Whether the run has its result."""
        return self.result_file.exists()

    def create(self, config: RunConfig) -> RunConfig:
        """Make the directory and write its configuration, unless it is there already.

        Returns:
            The configuration to train with: the stored one, on the machine that `config` names.

        Raises:
            RunDirError: the directory belongs to another question, or cannot be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            if not self.config_file.exists():
                write_json(self.config_file, config.model_dump(mode="json"))
        except OSError as error:
            raise RunDirError(f"{self.path}: cannot be written: {error}") from None
        found = self.read_config()
        if found.canonical().fingerprint() != config.canonical().fingerprint():
            raise RunDirError(f"{self.path}: belongs to run {found.run_id}, not to {config.run_id}")
        return found.on_the_machine_of(config)

    def asks(self, question: RunConfig) -> bool:
        """Whether this run asks the question of a canonical configuration; not so if it cannot be read."""
        try:
            return self.read_config().canonical().fingerprint() == question.fingerprint()
        except RunDirError:
            return False

    def discard_unbegun(self) -> None:
        """Delete the directory if there is nothing but a configuration in it, and nobody is about to train."""
        found = {path for path in self.path.rglob("*") if path != self.checkpoints}
        if found <= {self.config_file, self.lock_file} and not seems_held(self.lock_file):
            shutil.rmtree(self.path, ignore_errors=True)

    def read_config(self) -> RunConfig:
        """The configuration that this run was made with.

        Raises:
            RunDirError: there is none, or it is not valid in this version.
        """
        try:
            return RunConfig.model_validate_json(_read_text(self.config_file))
        except ValidationError as error:
            raise RunDirError(f"{self.config_file}: is not a configuration of this version: {error}") from None

    def read_record(self) -> RunRecord | None:
        """Provenance and attempts; None before the first attempt."""
        return _read_record(self.record_file, RunRecord)

    def write_record(self, record: RunRecord) -> None:
        """Replace `run.json`."""
        write_json(self.record_file, record.model_dump(mode="json"))

    def read_result(self) -> Result | None:
        """The result; None unless the run is completed."""
        return _read_record(self.result_file, Result)

    def write_result(self, result: Result) -> None:
        """Declare the run completed."""
        write_json(self.result_file, result.model_dump(mode="json"))

    def read_failure(self) -> Failure | None:
        """Why the newest attempt failed, if it did."""
        return _read_record(self.failure_file, Failure)

    def write_failure(self, failure: Failure) -> None:
        """Declare the newest attempt failed."""
        write_json(self.failure_file, failure.model_dump(mode="json"))

    def read_wandb(self) -> WandbRun | None:
        """The run at W&B; None if it was never to be copied there."""
        return _read_record(self.wandb_file, WandbRun)

    def write_wandb(self, run: WandbRun) -> None:
        """Replace `wandb.json`."""
        write_json(self.wandb_file, run.model_dump(mode="json"))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Rows of the metric log; a last line that is still being written is left out."""
        return list(_json_lines(self.metrics_file))

    def read_timings(self) -> list[dict[str, Any]]:
        """Rows of the timings of all attempts."""
        return list(_json_lines(self.timings_file))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None


def _read_record(path: Path, kind: type[R]) -> R | None:
    """None if there is none; whether there is one is not asked before, since another process may take it away."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        found = _version_in(content)
        if found not in (None, SCHEMA_VERSION):
            raise RunDirError(f"{path}: has schema version {found}, this program reads {SCHEMA_VERSION}") from None
        raise RunDirError(f"{path}: is not a valid record: {error}") from None


def _version_in(content: bytes) -> Any:
    try:
        return json.loads(content).get("schema_version")
    except (ValueError, AttributeError):
        return None


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in _read_text(path).splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
