"""A trained model as one file for others: written from a run, and opened without trusting what is in it."""

import json
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sentiment.console import visible
from sentiment.data.vocabulary import Vocabulary
from sentiment.errors import CheckpointError, RunDirError, UsageError
from sentiment.files import open_named, write_named
from sentiment.inference.model_card import HandedOn, model_card
from sentiment.inference.models import Choice, load_model
from sentiment.models.baseline import LinearModel
from sentiment.models.text_model import BaselinePredictor, MeanPredictor, TextModel
from sentiment.runs.records import BOTH
from sentiment.runs.run_dir import Results, RunDir, check_file, parse_record, trained_run

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

    from sentiment.inference.network import network_parts

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


def open_model(path: Path, choice: Choice | None = None, results: Results | None = None) -> TextModel:
    """The model of a run's directory, or of a file that `sentiment export` wrote.

    Args:
        choice: which of a run's models; None is the one that was the most accurate on validation tweets.
        results: where a handed on model's ELMo model is looked for, if it reads one; None is the folder `results`.

    Raises:
        UsageError: there is nothing at the path, it is neither of the two, or it has no such model.
        SentimentError: what is there is damaged.
    """
    if path.is_file() or path.suffix == ".zip":
        if not path.exists():
            raise UsageError(f"{path}: no such file; `sentiment export RUN {path}` writes one")
        return _from_archive(open_archive(path), choice, results or Results(Path("results")))
    return load_model(trained_run(path), choice)


def _from_archive(archive: OpenedArchive, choice: Choice | None, results: Results) -> TextModel:
    chosen = choice or archive.model.result.recommended
    if chosen == "seeds":
        raise UsageError(f"{archive.path}: holds one run, and no other seeds; valid are network, baseline and both")
    if chosen == "network":
        return _network(archive, results)
    model = LinearModel.from_bytes(archive.files[BASELINE_FILE], f"{archive.path}:{BASELINE_FILE}")
    temperatures = archive.model.result.temperatures
    baseline = BaselinePredictor(archive.model.config, model, temperatures["baseline"])
    if chosen == "baseline":
        return baseline
    return MeanPredictor(BOTH, (_network(archive, results), baseline), temperatures["both"])


def _network(archive: OpenedArchive, results: Results) -> TextModel:
    from safetensors import SafetensorError
    from safetensors.torch import load

    from sentiment.inference.network import NetworkParts

    place = f"{archive.path}:{NETWORK_FILE}"
    try:
        weights: dict[str, Any] = load(archive.files[NETWORK_FILE])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{place}: holds no weights: {error}") from None
    vocabulary = Vocabulary.from_bytes(archive.files[VOCABULARY_FILE], f"{archive.path}:{VOCABULARY_FILE}")
    result = archive.model.result
    parts = NetworkParts(place, archive.model.config, vocabulary, weights, result.elmo, result.temperatures["network"])
    return parts.predictor(results)
