"""The folder of results and the directory of a run: all names in them, and how records are read and written."""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.files import FolderEntry, as_json, files_in, write_atomically, write_json
from sentiment.lock import ProcessLock, seems_held
from sentiment.record_files import in_a_line, read_record, read_rows, read_text, read_whole_rows
from sentiment.records import Failure, GridPlan, Result, RunRecord, Tries, WandbRun

SINGLE = "single"
"""The folder of runs outside of grids; no grid may have this name."""
TWEETS_FILE = "tweets.parquet"


@dataclass(frozen=True)
class Results:
    """The only folder that the program writes to."""

    root: Path

    @property
    def downloads(self) -> Path:
        """Source files as they were downloaded."""
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
        """The folder of a prepared corpus: `tweets.parquet` (row, id, part, label, text, tokens) and others."""
        return self.corpora / fingerprint[:16]

    def corpus_lock(self, fingerprint: str) -> Path:
        """Held by the process that prepares a corpus."""
        return self.root / "data" / "locks" / fingerprint[:16]

    @property
    def word_vectors(self) -> Path:
        """One folder for each set of word vectors that was learned here, with a record of what from."""
        return self.root / "data" / "word-vectors"

    @property
    def pretrained(self) -> Path:
        """One folder for each language model that was trained here: a run directory, with the model's two files."""
        return self.root / "data" / "pretrained"

    @property
    def elmo_caches(self) -> Path:
        """One folder of ELMo vectors for each pair of corpus and model."""
        return self.root / "data" / "elmo-vectors"

    @property
    def runs(self) -> Path:
        """One folder for each grid, and one for the runs outside of grids."""
        return self.root / "runs"

    @property
    def slurm(self) -> Path:
        """What was submitted to Slurm, and what its jobs printed."""
        return self.root / "slurm"

    @property
    def code(self) -> Path:
        """One folder for each copy of the program's code that jobs are executed with."""
        return self.root / "code"

    @property
    def report(self) -> Path:
        """The report with its figures and tables."""
        return self.root / "report"

    def run_dir(self, run_id: str, grid: str = SINGLE) -> "RunDir":
        """The directory of a run in a grid, or outside of grids."""
        return RunDir(self.runs / grid / run_id)

    def grid_file(self, grid: str) -> Path:
        """The plan of a grid, beside the directories of its runs."""
        return self.runs / grid / "grid.json"

    def ranking_file(self, grid: str, rung: int) -> Path:
        """The ranking of a search's trials at the end of a rung."""
        return self.runs / grid / f"rung-{rung}.json"

    def read_grid(self, grid: str) -> GridPlan | None:
        """The plan of a grid; None if there is none.

        Raises:
            RunDirError: it cannot be read, is of another version, or that of a grid with another name.
        """
        plan = read_record(self.grid_file(grid), GridPlan)
        if plan is not None and plan.name != grid:  # files are written to the folder of the plan's name
            raise RunDirError(f"{self.grid_file(grid)}: is the plan of grid {plan.name!r}, not of {grid!r}")
        return plan

    def write_grid(self, plan: GridPlan) -> None:
        """Write the plan of a grid."""
        self.grid_file(plan.name).parent.mkdir(parents=True, exist_ok=True)
        write_json(self.grid_file(plan.name), plan.model_dump(mode="json"))


@dataclass(frozen=True)
class RunDir:
    """One run's directory. Records and configurations that cannot be read raise a RunDirError.

    Attributes:
        owner: the run's lock, in the process that trains it; nothing is written once it is lost (TakenOverError).
    """

    path: Path
    owner: ProcessLock | None = field(default=None, compare=False, repr=False)

    config_file = FolderEntry("config.json")
    """The configuration; written first, and never changed."""
    record_file = FolderEntry("run.json")
    """Provenance and attempts."""
    metrics_file = FolderEntry("metrics.jsonl")
    """A JSON row for each logged step and each epoch, without times: the source of truth for learning curves."""
    timings_file = FolderEntry("timings.jsonl")
    """A JSON row for each epoch and each save of all attempts, with their seconds."""
    checkpoints = FolderEntry("checkpoints")
    """During training the newest two states to resume from; afterwards `best` and `last`."""
    best_weights = FolderEntry("checkpoints", "best.ckpt")
    """The weights of the best epoch, once training has finished."""
    last_weights = FolderEntry("checkpoints", "last.ckpt")
    """The weights of the last epoch, once training has finished."""
    vocabulary_file = FolderEntry("vocabulary.txt")
    """The types of the learned embedding, one on each line."""
    predictions_file = FolderEntry("predictions.parquet")
    """Columns part, row (of the corpus), label, and what each model says, calibrated: score (the network), baseline,
    both and lexicon; all tweets but the training part."""
    baseline_file = FolderEntry("baseline.safetensors")
    """The linear baseline that the run was compared with, which predicts as well."""
    attention_file = FolderEntry("attention.jsonl")
    """Sample tweets with the weight of each token in each hop; only of attention models."""
    result_file = FolderEntry("result.json")
    """Written last: the run is completed if and only if it exists."""
    failure_file = FolderEntry("failure.json")
    """Why the newest attempt in a grid failed, if it failed."""
    tries_file = FolderEntry("tries.json")
    """How often in a row the run was begun at the same step. It is there while a grid trains the run, and stays if that
    was killed or ran out of something: the run has not ended then. A run that fails by itself has none."""
    wandb_file = FolderEntry("wandb.json")
    """The run at Weights & Biases that this one is copied to, if it is."""
    wandb_dir = FolderEntry("wandb")
    """Files that wandb itself writes, and what was sent; training does not depend on them."""
    lock_file = FolderEntry("lock")
    """Held by the process that trains the run."""

    @property
    def results(self) -> Results:
        """The results that the run belongs to."""
        return Results(self.path.resolve().parents[2])

    @property
    def grid(self) -> str:
        """The name of the grid that the run belongs to, or `single`."""
        return self.path.resolve().parent.name

    @property
    def hashed_files(self) -> tuple[Path, ...]:
        """Those whose checksums the result holds, where they exist."""
        return self.vocabulary_file, self.metrics_file, self.predictions_file, self.attention_file, self.baseline_file

    @property
    def completed(self) -> bool:
        """Whether the run has its result."""
        return self.result_file.exists()

    def create(self, config: RunConfig) -> RunConfig:
        """Make the directory and write its configuration, unless it exists.

        Returns:
            The configuration to train with: the stored one, with the operational sections of `config`.

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
        if found.fingerprint() != config.fingerprint():
            raise RunDirError(f"{self.path}: belongs to run {found.run_id}, not to {config.run_id}")
        return found.on_the_machine_of(config)

    def discard_unbegun(self) -> None:
        """Delete the directory if it contains only a configuration, and no process is about to train the run."""
        found = {path for path, _ in files_in(self.path)}
        if found <= {self.config_file, self.lock_file} and not seems_held(self.lock_file):
            shutil.rmtree(self.path, ignore_errors=True)

    def write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """Replace a file of the run atomically.

        Raises:
            TakenOverError: this process was the run's owner, but is no longer.
            OSError: the disk is full or fails; `path` is unchanged.
        """
        if self.owner:
            self.owner.write(path, write)
        else:
            write_atomically(path, write)

    def read_config(self) -> RunConfig:
        """The configuration, as it was written."""
        try:
            return RunConfig.model_validate_json(read_text(self.config_file))
        except ValidationError as error:
            why = in_a_line(error)
            raise RunDirError(f"{self.config_file}: is not a configuration of this version: {why}") from None

    def read_record(self) -> RunRecord | None:
        """Provenance and attempts; None before the first attempt."""
        return read_record(self.record_file, RunRecord)

    def write_record(self, record: RunRecord) -> None:
        """Replace `run.json`."""
        self.write(self.record_file, as_json(record.model_dump(mode="json")))

    def read_result(self) -> Result | None:
        """The result; None unless the run is completed."""
        return read_record(self.result_file, Result)

    def write_result(self, result: Result) -> None:
        """Complete the run."""
        self.write(self.result_file, as_json(result.model_dump(mode="json")))

    def read_failure(self) -> Failure | None:
        """Why the newest attempt failed; None if it did not."""
        return read_record(self.failure_file, Failure)

    def own_failure(self) -> str:
        """Why the run failed by itself, in a line; empty if it did not, as when it was killed."""
        if self.tries_file.exists():
            return ""
        with contextlib.suppress(RunDirError):
            if failure := self.read_failure():
                return f"{failure.error}: {failure.reason}"
        return ""

    def read_tries(self) -> Tries | None:
        """How often the run was begun at the same step; None if it has ended, or never began in a grid."""
        return read_record(self.tries_file, Tries)

    def write_tries(self, tries: Tries) -> None:
        """Replace `tries.json`."""
        self.write(self.tries_file, as_json(tries.model_dump(mode="json")))

    def write_failure(self, failure: Failure) -> None:
        """Record that the newest attempt failed."""
        self.write(self.failure_file, as_json(failure.model_dump(mode="json")))

    def read_wandb(self) -> WandbRun | None:
        """The run at W&B; None if this one is not copied there."""
        return read_record(self.wandb_file, WandbRun)

    def write_wandb(self, run: WandbRun) -> None:
        """Replace `wandb.json`."""
        self.write(self.wandb_file, as_json(run.model_dump(mode="json")))

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows of the metric log; a last line that is still being written is left out."""
        return read_rows(self.metrics_file)

    def read_timings(self) -> list[dict[str, Any]]:
        """The rows of `timings.jsonl`, without those that a power cut has damaged: nothing but estimates needs them."""
        return read_whole_rows(self.timings_file)
