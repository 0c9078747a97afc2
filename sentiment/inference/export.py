"""A trained model as one file for others: written from a run, and opened without trusting what is in it."""

import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sentiment.config import RunConfig
from sentiment.console import visible
from sentiment.data.vocabulary import Vocabulary
from sentiment.errors import CheckpointError, RunDirError, UsageError
from sentiment.files import open_named, write_named
from sentiment.inference.model_card import model_card, result_of, without_paths
from sentiment.inference.models import Choice, load_model, stored_run
from sentiment.inference.stored import StoredRun
from sentiment.models.baseline import LinearModel
from sentiment.models.text_model import TextModel
from sentiment.runs.records import FileRecord, Result
from sentiment.runs.run_dir import Results, RunDir, check_file, parse_record, trained_run

if TYPE_CHECKING:
    import torch

CARD, CONFIG, NETWORK, BASELINE = "README.md", "config.json", "network.safetensors", "baseline.safetensors"
VOCABULARY = "vocabulary.txt"
_NAMES = (CARD, BASELINE, CONFIG, NETWORK, VOCABULARY)
# A zip's first date; with that of the clock equal models would be different files.
_DATE = (1980, 1, 1, 0, 0, 0)
_LONGEST_REASON = 200
_UNREADABLE = (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class _Exported(FileRecord):
    """`config.json`: what belongs to a model besides weights and vocabulary."""

    config: RunConfig
    result: Result


def write_archive(run_dir: RunDir, target: Path) -> dict[str, int]:
    """Write the model of a completed run to a zip file; equal runs give equal bytes, and no path is in them.

    Returns:
        The size in bytes of each file in it.

    Raises:
        SentimentError: the run is not completed, or a file of it is missing or damaged.
        OSError: the file cannot be written.
    """
    from safetensors.torch import save

    card, result = model_card(run_dir), result_of(run_dir)
    run = stored_run(run_dir)
    vocabulary, weights = run.network()
    check_file(run_dir.baseline_file, result)
    config = without_paths(run.config)
    if result.encoder and config.frozen:
        result = result.model_copy(update={"encoder": result.encoder.model_copy(update={"model": config.frozen.model})})
    exported = _Exported(config=config, result=result).model_dump(mode="json")
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(weights.items())}
    files = {
        CARD: card.encode(),
        BASELINE: run_dir.baseline_file.read_bytes(),
        CONFIG: (json.dumps(exported, indent=2, sort_keys=True) + "\n").encode(),
        NETWORK: save(plain),
        VOCABULARY: "".join(f"{one}\n" for one in vocabulary.types).encode(),
    }

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, _DATE), content)

    write_named(target, write)
    return {name: len(content) for name, content in files.items()}


def read_archive(path: Path) -> dict[str, bytes]:
    """The files in what `write_archive` wrote; nothing is unpacked, so that it takes no more memory than it is large.

    Raises:
        RunDirError: it cannot be read, or holds other files.
    """
    try:
        with open_named(path) as file, zipfile.ZipFile(file) as archive:
            _check_entries(archive.infolist(), path)
            return {name: archive.read(name) for name in _NAMES}
    except _UNREADABLE as error:
        why = visible(str(error))[:_LONGEST_REASON] or "it ends too early"
        raise RunDirError(f"{path}: cannot be read as a model that was handed on: {why}") from None


def _check_entries(entries: list[zipfile.ZipInfo], path: Path) -> None:
    found = Counter(entry.filename for entry in entries)
    if missing := [name for name in _NAMES if name not in found]:
        raise RunDirError(
            f"{path}: lacks {', '.join(missing)}; `sentiment export RUN FILE.zip` writes a model to hand on"
        )
    for entry in entries:
        if entry.filename not in _NAMES or found[entry.filename] > 1:
            raise RunDirError(f"{path}: {visible(entry.filename)!r} does not belong into it; ask for the file again")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise RunDirError(f"{path}: {entry.filename} is compressed, as in no exported file; ask for it again")


def open_model(path: Path, choice: Choice | None = None, results: Results | None = None) -> TextModel:
    """The model of a run's directory, or of a file that `sentiment export` wrote.

    Args:
        choice: which of a run's models; None is the one that was the most accurate on validation tweets.
        results: where an exported model's encoder is looked for, if it reads one; None is the folder `results`.

    Raises:
        UsageError: there is nothing at the path, it is neither of the two, or it has no such model.
        SentimentError: what is there is damaged.
    """
    if not path.is_file() and path.suffix != ".zip":
        return load_model(trained_run(path), choice)
    if not path.exists():
        raise UsageError(f"{path}: no such file; `sentiment export RUN {path}` writes one")
    return load_model(_exported_run(path, results or Results(Path("results"))), choice)


def _exported_run(path: Path, results: Results) -> StoredRun:
    files = read_archive(path)
    exported = parse_record(files[CONFIG], _Exported, f"{path}:{CONFIG}")

    def network() -> "tuple[Vocabulary, dict[str, torch.Tensor]]":
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            weights: dict[str, Any] = load(files[NETWORK])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}:{NETWORK}: holds no weights: {error}") from None
        return Vocabulary.from_bytes(files[VOCABULARY], f"{path}:{VOCABULARY}"), weights

    def baseline() -> LinearModel:
        return LinearModel.from_bytes(files[BASELINE], f"{path}:{BASELINE}")

    result = exported.result
    return StoredRun(str(path), exported.config, result, result.encoder, results, network, baseline)
