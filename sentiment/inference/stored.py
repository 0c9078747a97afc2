"""The models of a completed run, in its directory or in a file of `export`: made in one way, and asked alike."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.config import RunConfig
from sentiment.console import visible
from sentiment.data.vocabulary import Vocabulary
from sentiment.errors import CheckpointError, RunDirError, UsageError
from sentiment.files import open_named, read_named
from sentiment.models.baseline import BaselineModel, LinearModel
from sentiment.models.lexicon import LexiconModel
from sentiment.models.text_model import MeanModel, TextModel, check_arrays, described
from sentiment.runs.records import (
    BASELINE,
    BOTH,
    LEXICON,
    NETWORK,
    FileRecord,
    Metrics,
    Part,
    Recommendation,
    Result,
)
from sentiment.runs.run_dir import Results, RunDir, check_file, parse_record, read_whole, refuse_incomplete, trained_run

if TYPE_CHECKING:
    import torch

CARD, CONFIG, NETWORK_FILE = "README.md", "config.json", "network.safetensors"
BASELINE_FILE, VOCABULARY_FILE = "baseline.safetensors", "vocabulary.txt"  # called so in a run's directory too
_NAMES = (CARD, BASELINE_FILE, CONFIG, NETWORK_FILE, VOCABULARY_FILE)
_MOST_BYTES = 1_000_000_000
_LONGEST_REASON = 200
_UNREADABLE = (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class Exported(FileRecord):
    """`config.json`: what belongs to an exported model besides weights and vocabulary."""

    config: RunConfig
    result: Result


@dataclass(frozen=True)
class StoredRun:
    """What the models of a completed run are made of: in its directory, or the files in an exported one."""

    place: str  # for messages
    config: RunConfig
    result: Result
    results: Results  # where its encoder is looked for
    source: RunDir | Mapping[str, bytes]

    def content(self, name: str) -> tuple[bytes, str]:
        """What is in a file, and where it is, for messages.

        Raises:
            RunDirError: it is missing, cannot be read, or is not that of the result.
        """
        if not isinstance(self.source, RunDir):
            return self.source[name], f"{self.place}:{name}"
        path = self.source.path / name
        check_file(path, self.result)
        return read_named(path, _MOST_BYTES), str(path)

    def weights(self) -> "dict[str, torch.Tensor]":
        """The network's weights at the best epoch.

        Raises:
            RunDirError: files of the run are missing.
            CheckpointError: the weights are damaged.
        """
        if isinstance(self.source, RunDir):
            return self._trained_weights(self.source)
        from safetensors import SafetensorError
        from safetensors.torch import load

        content, place = self.content(NETWORK_FILE)
        try:
            return load(content)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{place}: holds no weights: {error}") from None

    def _trained_weights(self, run_dir: RunDir) -> "dict[str, torch.Tensor]":
        from sentiment.training.checkpoint import read_checkpoint, weights_sha256

        refuse_incomplete(run_dir)
        weights = read_checkpoint(run_dir.best_weights).get("weights")
        # A checksum says only that it was written so.
        if not isinstance(weights, dict) or not all(hasattr(one, "dtype") for one in weights.values()):
            raise CheckpointError(f"{run_dir.best_weights}: holds no weights of a model")
        if weights_sha256(weights) != self.result.weights_sha256:
            raise CheckpointError(f"{run_dir.best_weights}: holds other weights than those of the result")
        return weights


def scores_of(result: Result) -> dict[Part, dict[str, Metrics]]:
    """What a run was measured with, by part and by the model's name."""
    models = {NETWORK: result.metrics, BASELINE: result.baseline, BOTH: result.combination, LEXICON: result.lexicon}
    return {part: {name: metrics[part] for name, metrics in models.items()} for part in result.parts}


def stored_run(run_dir: RunDir, results: Results | None = None) -> StoredRun:
    """A completed run in its directory.

    Args:
        results: where its encoder is looked for; None is the folder that the run lies in.

    Raises:
        UsageError: it is not completed.
        RunDirError: its records are damaged, or not all of one run.
    """
    run = read_whole(run_dir)
    if run.result is None:
        raise UsageError(f"{run_dir.path}: is not completed yet; the command that trains it goes on")
    return StoredRun(str(run_dir.path), run.config, run.result, results or run_dir.results, run_dir)


def read_archive(path: Path) -> dict[str, bytes]:
    """The files in what `export` wrote; nothing is unpacked, so that it takes no more memory than it is large.

    Raises:
        RunDirError: it cannot be read, or holds other files.
    """
    try:
        with open_named(path) as file, zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry.compress_type for entry in archive.infolist()}
            if len(entries) == len(archive.infolist()) and entries == dict.fromkeys(_NAMES, zipfile.ZIP_STORED):
                return {name: archive.read(name) for name in _NAMES}
            found = visible(", ".join(archive.namelist()))[:_LONGEST_REASON]
            why = f"it holds {found}, and not {', '.join(_NAMES)}, each once and not compressed"
    except _UNREADABLE as error:
        why = visible(str(error))[:_LONGEST_REASON] or "it ends too early"
    raise RunDirError(f"{path}: is no model that `sentiment export RUN FILE.zip` wrote: {why}")


def open_model(path: Path, choice: Recommendation | None = None, results: Results | None = None) -> TextModel:
    """The model of a run's directory, or of a file that `sentiment export` wrote.

    Args:
        choice: which of a run's models; None is the one that was the most accurate on validation tweets.
        results: where its encoder is looked for; None is the folder that a run lies in, else `results`.

    Raises:
        UsageError: there is nothing at the path, it is neither of the two, or it has no such model.
        SentimentError: what is there is damaged.
    """
    if not path.is_file() and path.suffix != ".zip":
        return load_model(stored_run(trained_run(path), results), choice)
    if not path.exists():
        raise UsageError(f"{path}: no such file; `sentiment export RUN {path}` writes one")
    files = read_archive(path)
    one = parse_record(files[CONFIG], Exported, f"{path}:{CONFIG}")
    return load_model(StoredRun(str(path), one.config, one.result, results or Results(), files), choice)


def load_model(
    run: StoredRun | RunDir, choice: Recommendation | None = None, device: "torch.device | None" = None
) -> TextModel:
    """A model of a completed run.

    Args:
        choice: which; None takes what the run recommends.
        device: that computes the network; None is a GPU where there is one, else the CPU.

    Raises:
        SentimentError: the run is not completed; or what is stored is damaged, or does not belong together.
    """
    run = stored_run(run) if isinstance(run, RunDir) else run
    choice = choice or run.result.recommended
    if choice == "both":
        return _mean(run)
    temperature = run.result.temperatures[choice]
    if choice == "network":
        return _network(run, device, temperature)
    return BaselineModel(run.config, LinearModel.from_bytes(*run.content(BASELINE_FILE)), temperature)


def _mean(run: StoredRun) -> MeanModel:
    return MeanModel(BOTH, [load_model(run, one) for one in ("network", "baseline")], run.result.temperatures["both"])


def _network(run: StoredRun, device: "torch.device | None", temperature: float) -> TextModel:
    """The network, put together; its weights are checked before any are made."""
    from sentiment.encoders.finetuned import FineTuned
    from sentiment.models.classifier import NetworkModel, build_classifier, encoder_of, sketch_classifier
    from sentiment.training.trainer import choose_device

    weights, vocabulary = run.weights(), Vocabulary.from_bytes(*run.content(VOCABULARY_FILE))
    chosen = device or choose_device("auto")
    encoder = encoder_of(run.config, run.result.encoder, run.results, chosen)
    reads = encoder if isinstance(encoder, FineTuned) or encoder is None else encoder.vector_size
    try:
        sketch = sketch_classifier(run.config, len(vocabulary), reads).state_dict()
    except RuntimeError:
        raise RunDirError(f"{run.place}: its configuration asks for more weights than torch can count") from None
    check_arrays(run.place, weights, {name: described(one) for name, one in sketch.items()})
    model = build_classifier(run.config, len(vocabulary), encoder=reads)
    model.load_state_dict(weights)
    return NetworkModel(run.config, vocabulary, model, encoder, chosen, temperature)


def models_beside(run: StoredRun) -> list[TextModel]:
    """What a run is measured with, in the order of tables: network, baseline, their mean and the lexicon.

    Raises:
        SentimentError: as `load_model`.
    """
    both = _mean(run)
    return [*both.members, both, LexiconModel(run.config)]
