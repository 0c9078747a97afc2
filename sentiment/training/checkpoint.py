"""States to resume from: written so that a kill at any moment leaves a good one, read so that a bad one is noticed."""

import hashlib
import io
import math
from pathlib import Path
from typing import Any

import torch

from sentiment.errors import CheckpointError
from sentiment.files import write_atomically

_MAGIC = b"sentiment checkpoint 1\n"
_KEEP = 2

# Share of the time that saving may take where nothing asks for more: epochs may be shorter than a save.
_LARGEST_SHARE = 0.01
_FIRST_SAVE_SECONDS = 30.0


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values to `path`: magic line, SHA-256 of the rest, then torch's own format.

    Raises:
        OSError: it could not be written; a file that stood there is unchanged.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    header = _header(payload)

    def write(file: Any) -> None:
        file.write(header)
        file.write(payload)

    write_atomically(path, write)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `write_checkpoint` wrote; tensors come to the CPU.

    Raises:
        CheckpointError: the file is missing, truncated, altered or something else; the message says which.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from None
    if not content.startswith(_MAGIC):
        raise CheckpointError(f"{path}: is not a checkpoint of this program, or its beginning is lost")
    start = len(_header(b""))
    payload = memoryview(content)[start:]
    if content[:start] != _header(payload):
        raise CheckpointError(f"{path}: is truncated or altered (its SHA-256 does not fit)")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # of any kind, since the bytes are anything; whatever is no tensor is refused
        raise CheckpointError(f"{path}: cannot be decoded: {error}") from None
    return state


def _header(payload: bytes | memoryview) -> bytes:
    return _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"


class Checkpoints:
    """The newest two states of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after `step` steps, then delete all but this one and the one before.

        Those of later steps go as well: they were damaged, or training would have gone on from them.

        Raises:
            OSError: it could not be written; the older ones stand.
        """
        newest = self._folder / f"step-{step:010d}.ckpt"
        write_checkpoint(newest, state)
        paths = self._paths()
        end = paths.index(newest) + 1
        for path in paths[: max(end - _KEEP, 0)] + paths[end:]:
            path.unlink(missing_ok=True)

    def newest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest state that is whole (None if there is none), and a message for each newer one that is not."""
        damaged: list[str] = []
        for path in reversed(self._paths()):
            try:
                return read_checkpoint(path), damaged
            except CheckpointError as error:
                damaged.append(str(error))
        return None, damaged

    def delete_all(self) -> None:
        """Once the run is completed nothing resumes from them."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("step-*.ckpt"))


class SaveSchedule:
    """Decides when to save: every so many steps, or as often as is optimal for the measured cost.

    Young (1974): with a save that costs C seconds and a mean time M between failures, least time is lost when
    saving every sqrt(2 C M) seconds. At the end of an epoch, a natural place, a save comes earlier if all saves
    together then still take less than 1 % of the time.
    """

    def __init__(self, every_steps: int | None, mtbf_hours: float, now: float) -> None:
        self._every_steps = every_steps
        self._mtbf = mtbf_hours * 3600
        self._last = now
        self._cost: float | None = None

    def due(self, step: int, now: float) -> bool:
        """Whether to save after this step."""
        if self._every_steps is not None:
            return step % self._every_steps == 0
        return now - self._last >= self.interval

    def due_at_epoch_end(self, now: float) -> bool:
        """Whether to save after this epoch's evaluation."""
        if self._every_steps is not None:
            return False
        return self._cost is None or now - self._last >= min(self._cost / _LARGEST_SHARE, self.interval)

    @property
    def interval(self) -> float:
        """Seconds between saves."""
        return _FIRST_SAVE_SECONDS if self._cost is None else math.sqrt(2 * self._cost * self._mtbf)

    def saved(self, now: float, seconds: float) -> None:
        """Learn from a save that ended at `now` and took `seconds`."""
        self._last = now
        self._cost = seconds if self._cost is None else max(seconds, 0.8 * self._cost + 0.2 * seconds)
