"""The file that a trained model is handed on as: a zip of numbers and text, stored as they are.

Two things can be wrong with such a file, and each is checked once. Damage on its way shows in the zip's own checksums
(CRC-32). What somebody made by hand is checked by its content: the names of the files and the schema version here, the
weights of the network in `NetworkParts`, those of the baseline in `LinearModel.from_bytes`. No checksum could say who
made a file: whoever changes one can change that too.

Nothing in it is executed or unpacked: weights are safetensors, which hold numbers only, and all else is text. It holds
no tweet, no name of a host and no path of a machine.
"""

import json
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sentiment.characters import visible
from sentiment.errors import RunDirError
from sentiment.files import open_named, write_named
from sentiment.handing_on.handed_on import HandedOn
from sentiment.handing_on.model_card import model_card
from sentiment.record_files import parse_record
from sentiment.run_dir import RunDir
from sentiment.whole_run import check_file

CARD, MANIFEST = "README.md", "model.json"
NETWORK_FILE, BASELINE_FILE, VOCABULARY_FILE = "network.safetensors", "baseline.safetensors", "vocabulary.txt"
_NAMES = (CARD, MANIFEST, NETWORK_FILE, BASELINE_FILE, VOCABULARY_FILE)
# A zip's first date; with that of the clock equal models would be different files.
_DATE = (1980, 1, 1, 0, 0, 0)
_LONGEST_REASON = 200
_UNREADABLE = (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def write_archive(run_dir: RunDir, model: HandedOn, target: Path) -> dict[str, int]:
    """Write a run's model to a zip file; equal runs give equal bytes.

    Args:
        model: as `hand_on` gives it.

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
    check_file(run_dir.baseline_file, model.result)
    manifest = json.dumps(model.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    files = {
        CARD: model_card(model).encode(),
        BASELINE_FILE: run_dir.baseline_file.read_bytes(),
        MANIFEST: manifest.encode(),
        NETWORK_FILE: save(plain),
        VOCABULARY_FILE: "".join(f"{one}\n" for one in parts.vocabulary.types).encode(),
    }

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, _DATE), content)

    write_named(target, write)
    return {name: len(content) for name, content in files.items()}


@dataclass(frozen=True)
class OpenedArchive:
    """A model that was handed on."""

    path: Path
    model: HandedOn
    files: dict[str, bytes]


def open_archive(path: Path) -> OpenedArchive:
    """Read a file that `write_archive` wrote; nothing is unpacked, so that it takes no more memory than it is large.

    Raises:
        RunDirError: it cannot be read, is no such file, or is damaged.
    """
    try:
        with open_named(path) as file, zipfile.ZipFile(file) as archive:
            _check_entries(archive.infolist(), path)
            files = {name: archive.read(name) for name in _NAMES}
    except _UNREADABLE as error:
        why = visible(str(error))[:_LONGEST_REASON] or "it ends too early"
        raise RunDirError(f"{path}: cannot be read as a model that was handed on: {why}") from None
    return OpenedArchive(path, parse_record(files[MANIFEST], HandedOn, f"{path}:{MANIFEST}"), files)


def _check_entries(entries: list[zipfile.ZipInfo], path: Path) -> None:
    found = Counter(entry.filename for entry in entries)
    if missing := [name for name in _NAMES if name not in found]:
        raise RunDirError(
            f"{path}: lacks {', '.join(missing)}; `sentiment export RUN FILE.zip` writes a model to hand on"
        )
    if more := [name for name, count in found.items() if name not in _NAMES or count > 1]:
        raise RunDirError(f"{path}: {visible(more[0])!r} does not belong into it; ask for the file again")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED:
            raise RunDirError(
                f"{path}: {entry.filename} is compressed, as `sentiment export` writes none; unpack nothing "
                "and ask for the file again"
            )
