"""The file that a trained model is handed on as: a zip of plain numbers and text, each of its files with a checksum.

Nothing in it is executed or unpacked: weights are safetensors, which hold numbers only, and all else is text. It holds
no tweet, no name of a host and no path of a machine.
"""

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from sentiment.errors import RunDirError
from sentiment.files import open_named, write_named
from sentiment.handing_on.handed_on import HandedOn
from sentiment.record_files import in_a_line
from sentiment.run_dir import RunDir
from sentiment.whole_run import check_file, has_baseline_model

CARD, MANIFEST = "README.md", "model.json"
NETWORK_FILE, BASELINE_FILE, VOCABULARY_FILE = "network.safetensors", "baseline.safetensors", "vocabulary.txt"
_NAMES = (CARD, MANIFEST, NETWORK_FILE, BASELINE_FILE, VOCABULARY_FILE)
_MOST_BYTES = 4_000_000_000
_MOST_TEXT = 100_000_000
# A zip's first date; with that of the clock equal models would be different files.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_archive(run_dir: RunDir, model: HandedOn, card: str, target: Path) -> dict[str, int]:
    """Write a run's model to a zip file; equal runs give equal bytes.

    Args:
        model: as `hand_on` gives it.
        card: the model card.

    Returns:
        The size in bytes of each file in it.

    Raises:
        SentimentError: a file of the run is missing or damaged.
        OSError: the file cannot be written.
    """
    from safetensors.torch import save

    from sentiment.inference.predictor import network_parts

    parts = network_parts(run_dir)
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(parts.weights.items())}
    files = {NETWORK_FILE: save(plain), VOCABULARY_FILE: "".join(f"{one}\n" for one in parts.vocabulary.types).encode()}
    if has_baseline_model(run_dir):
        check_file(run_dir.baseline_file, run_dir.read_result())
        files[BASELINE_FILE] = run_dir.baseline_file.read_bytes()
    files[CARD] = card.encode()
    sums = {name: sha256(content).hexdigest() for name, content in files.items()}
    files[MANIFEST] = (
        json.dumps(model.model_copy(update={"files_sha256": sums}).model_dump(mode="json"), indent=2, sort_keys=True)
        + "\n"
    ).encode()

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name, _DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED if name.endswith((".md", ".txt", ".json")) else 0
                archive.writestr(entry, files[name])

    write_named(target, write)
    return {name: len(content) for name, content in sorted(files.items())}


@dataclass(frozen=True)
class OpenedArchive:
    """A model that was handed on, with the content of each of its files checked."""

    path: Path
    model: HandedOn
    files: dict[str, bytes]


def open_archive(path: Path) -> OpenedArchive:
    """Read and check a file that `write_archive` wrote; nothing is unpacked to the disk.

    Raises:
        RunDirError: it cannot be read, is no such file, or is damaged.
    """
    try:
        with open_named(path) as file, zipfile.ZipFile(file) as archive:
            files = dict(_contents(archive, path))
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        why = str(error) or "it ends too early"
        raise RunDirError(f"{path}: cannot be read as a model that was handed on: {why}") from None
    if MANIFEST not in files:
        raise RunDirError(f"{path}: holds no {MANIFEST}; `sentiment export RUN FILE.zip` writes a model to hand on")
    try:
        model = HandedOn.model_validate_json(files[MANIFEST])
    except ValidationError as error:
        raise RunDirError(f"{path}: {MANIFEST} is not one of this version: {in_a_line(error)}") from None
    for name in sorted({NETWORK_FILE, VOCABULARY_FILE, *model.files_sha256} - files.keys()):
        raise RunDirError(f"{path}: lacks {name}; it was cut off or changed")
    for name, content in files.items():
        if name != MANIFEST and sha256(content).hexdigest() != model.files_sha256.get(name):
            raise RunDirError(f"{path}: {name} is not what was exported (its SHA-256 differs); ask for the file again")
    return OpenedArchive(path, model, files)


def _contents(archive: zipfile.ZipFile, path: Path) -> Iterator[tuple[str, bytes]]:
    """The files that a model consists of; others, which somebody may have added, are left alone."""
    for entry in archive.infolist():
        if entry.filename not in _NAMES:
            continue
        most = _MOST_BYTES if entry.filename.endswith(".safetensors") else _MOST_TEXT
        if entry.file_size > most:
            raise RunDirError(f"{path}: {entry.filename} would be {entry.file_size:,} bytes; at most {most:,} are read")
        with archive.open(entry) as file:
            yield entry.filename, file.read(most)
