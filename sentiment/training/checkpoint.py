"""Files written during training: checkpoints, and the metric log, which holds no times.

A kill at any moment leaves a valid checkpoint, and an invalid one is detected when it is read. The metric log is in
each checkpoint as well, so that two runs can be compared byte for byte, whatever happened to them.
"""

import hashlib
import io
import json
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from sentiment.console import Say
from sentiment.encoders.inputs import Inputs, differing
from sentiment.errors import CheckpointError
from sentiment.files import WriteFile, write_atomically
from sentiment.runs.records import Count, MetricRow
from sentiment.runs.run_dir import RunDir
from sentiment.version import STAMP, check_stamp

Weights = dict[str, torch.Tensor]  # tensors by name, as in a state dict

# The first line of a checkpoint.
_STAMP_LINE = f"{STAMP}, checkpoint\n".encode()
OLDER_CHECKPOINT = "resuming from an older checkpoint, or from the beginning if there is none"


class State(BaseModel):
    """Base of what a checkpoint holds: tensors and plain values, of the declared types only."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", strict=True)


class WeightsState(State):
    """The weights of the network after an epoch, counted from 1."""

    weights: Weights
    epoch: Count


class EarlyStopping(State):
    """Follows one validation metric over the epochs, and keeps the weights of the best one."""

    best_value: float = float("-inf")
    epochs_since_best: Count = 0
    best_epoch: Count = 0
    best_weights: Weights = {}

    def update(self, epoch: int, value: float, model: nn.Module) -> bool:
        """Record an epoch's value, of which more is better; copy the weights and return True if it is the best."""
        if value <= self.best_value:
            self.epochs_since_best += 1
            return False
        self.best_value = value
        self.best_epoch = epoch
        self.epochs_since_best = 0
        self.best_weights = copied_weights(model)
        return True

    def should_stop(self, patience: int | None) -> bool:
        return patience is not None and self.epochs_since_best >= patience


class TrainerState(State):
    """The state of a `trainer.Trainer`.

    Attributes:
        identity: hashes of the run's inputs, by their names; see `encoders.inputs`.
        code: SHA-256 of each file that can change what a run computes, by path.
        threads: with which the run began.
        hardware: all kinds that trained the run, in the order of their use.
        epoch, batch: completed epochs, and completed batches of the current epoch.
        seconds: training time over all attempts.
        loss_sum, loss_steps: over the steps since the last row of the log.
        log: the rows of the metric log.
        model, updater, random: as they were when the state was saved.
    """

    identity: dict[str, str]
    code: dict[str, str]
    threads: Annotated[int, Field(ge=1)]
    hardware: Annotated[list[str], Field(min_length=1)]
    step: Count = 0
    epoch: Count = 0
    batch: Count = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    early_stopping: EarlyStopping = Field(default_factory=EarlyStopping)
    loss_sum: torch.Tensor
    loss_steps: Count = 0
    log: list[str] = []
    model: Weights = {}
    updater: dict[str, dict[str, Any]] = {}
    random: Weights = {}


S = TypeVar("S", bound=State)


def write_weights(run_dir: RunDir, path: Path, weights: Weights, epoch: int) -> None:
    """Write the weights of an epoch, counted from 1, to a file of a run."""
    write_checkpoint(path, WeightsState(weights=weights, epoch=epoch).model_dump(), run_dir.write)


def write_checkpoint(path: Path, state: Mapping[str, Any], write_file: WriteFile = write_atomically) -> None:
    """Write tensors and plain values to `path`: its stamp, a SHA-256 of all else, then torch's own format."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    write_file(path, lambda file: file.writelines((_STAMP_LINE, _seal(_STAMP_LINE, payload), payload)))


def read_weights(path: Path) -> Weights:
    """The weights in a file of the best or the last epoch.

    Raises:
        FormatError, CheckpointError: as `read_checkpoint`, or it holds something else.
    """
    return _validated(read_checkpoint(path), WeightsState, path).weights


def read_checkpoint(path: Path) -> Any:
    """Read what `write_checkpoint` wrote; all tensors are on the CPU.

    Raises:
        FormatError: it has the format of another version.
        CheckpointError: the file is missing, truncated, altered, or no checkpoint.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from None
    first, _, rest = content.partition(b"\n")
    stamp, _, kind = first.rpartition(b", ")
    if kind != b"checkpoint":
        raise CheckpointError(f"{path}: is not a checkpoint of this program, or its beginning is lost")
    payload = memoryview(rest)[_SEAL_SIZE:]
    if rest[:_SEAL_SIZE] != _seal(first + b"\n", payload):
        raise CheckpointError(f"{path}: is truncated or altered (its SHA-256 differs)")
    check_stamp(stamp.decode("utf-8", "replace"), str(path))
    try:
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # arbitrary bytes are possible, and torch.load raises many kinds of exceptions
        raise CheckpointError(f"{path}: cannot be decoded: {error}") from None


def _validated(state: Any, kind: type[S], path: Path) -> S:
    try:
        return kind.model_validate(state)
    except ValidationError as error:
        mistake = error.errors()[0]
        field = ".".join(map(str, mistake["loc"])) or "its content"
        raise CheckpointError(f"{path}: is not a checkpoint of this kind: {field}: {mistake['msg']}") from None


def _seal(first_line: bytes, payload: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(first_line)
    digest.update(payload)
    return digest.hexdigest().encode() + b"\n"


_SEAL_SIZE = len(_seal(b"", b""))


def copied_weights(model: nn.Module) -> Weights:
    """A copy of a model's weights on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def weights_sha256(weights: Weights) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _checkpoints(run_dir: RunDir) -> list[Path]:
    return sorted(run_dir.checkpoints.glob("step-*.ckpt"))


def save_checkpoint(run_dir: RunDir, state: TrainerState) -> None:
    """Write the checkpoint of a run, then delete all others but the one before it.

    Checkpoints of later steps are deleted as well: they are damaged, or training would have resumed from them.
    """
    newest = run_dir.checkpoints / f"step-{state.step:010d}.ckpt"
    write_checkpoint(newest, state.model_dump(), run_dir.write)
    paths = _checkpoints(run_dir)
    index = paths.index(newest)
    kept = paths[max(index - 1, 0) : index + 1]
    for path in {*paths} - {*kept}:
        path.unlink(missing_ok=True)


def valid_checkpoints(run_dir: RunDir, say: Say) -> Iterator[TrainerState]:
    """The valid checkpoints of a run, the newest first; each invalid one is reported by `say`."""
    for path in reversed(_checkpoints(run_dir)):
        try:
            yield _validated(read_checkpoint(path), TrainerState, path)
        except CheckpointError as error:
            say(f"{error}; {OLDER_CHECKPOINT}")


def delete_checkpoints(run_dir: RunDir) -> None:
    """Delete the checkpoints to resume from; the weights of the best and the last epoch stay."""
    for path in _checkpoints(run_dir):
        path.unlink(missing_ok=True)


def may_resume(
    run_dir: RunDir,
    state: TrainerState,
    identity: Inputs,
    code: Mapping[str, str],
    other_code: str,
    say: Say,
) -> bool:
    """Tell whether a run may resume from a checkpoint; after a change of the code, `other_code` decides.

    Args:
        identity: the run's inputs as they are now.
        code: the SHA-256 of each file that can change what a run computes, by path.
        other_code: `runtime.other_code` of the configuration.

    Raises:
        CheckpointError: an input has changed since the checkpoint, or the code has and that is refused.
    """
    if changed := differing(state.identity, identity):
        raise CheckpointError(
            f"{run_dir.path}: {' and '.join(changed)} of this run changed after its last checkpoint; move "
            f"{run_dir.path} away to train it again"
        )
    other_files = sorted(name for name in state.code.keys() | code.keys() if state.code.get(name) != code.get(name))
    if not other_files:
        return True
    more = f" and {len(other_files) - 1} more" if len(other_files) > 1 else ""
    files = f"{other_files[0]}{more}"
    change = f"step {state.step} was computed by another version of this program (other: {files})"
    if other_code == "refuse":
        raise CheckpointError(
            f"{run_dir.path}: {change}. Bring that version back ({run_dir.record_file.name} names its commit), or set "
            "runtime.other_code: `restart` trains the run from its beginning, `continue` resumes it with the current "
            "code, which is recorded and shown in the report"
        )
    if other_code == "continue":
        say(f"resuming, although {change}")
        return True
    say(f"starting from the beginning, since {change}")
    return False


def seconds_between_saves(costs: Iterable[float]) -> float:
    """The interval at which saving takes a hundredth of the time, but half an hour at most.

    Args:
        costs: the seconds that saves took. The median of the last five counts, since a file server may have delayed
            one of them. Without any, the first save comes after half a minute.
    """
    return min(100 * statistics.median_low([*costs][-5:] or [0.3]), 1800.0)


# The longest delay before a row is written; a shorter one is a hundred times as long as the last write took. The log is
# written before each checkpoint. So the rows that a kill loses are later than the last checkpoint, and are computed
# again.
_LOG_SECONDS = 2.0


class MetricLog:
    """`metrics.jsonl`. Its rows are kept in memory, since checkpoints contain them, and written from time to time.

    The file is replaced as a whole, so that it never mixes rows of two attempts.
    """

    def __init__(self, run_dir: RunDir, lines: list[str]) -> None:
        """Write `lines`, to which rows are added."""
        self._run_dir = run_dir
        self._next = 0.0
        self.lines = lines

    def add(self, row: MetricRow) -> None:
        self.lines.append(json.dumps(row.model_dump(), allow_nan=False) + "\n")
        if time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        start = time.monotonic()
        self._run_dir.write(self._run_dir.metrics_file, lambda file: file.write("".join(self.lines).encode()))
        end = time.monotonic()
        self._next = end + min(100 * (end - start), _LOG_SECONDS)
