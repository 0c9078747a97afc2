"""The network of a run, from its files."""

from pathlib import Path

import torch

from sentiment.data.vocabulary import Vocabulary
from sentiment.errors import CheckpointError, RunDirError
from sentiment.inference.stored import StoredRun
from sentiment.models.classifier import build_classifier, sketch_classifier
from sentiment.models.network import NetworkModel, encoder_of
from sentiment.models.text_model import check_arrays, described
from sentiment.runs.run_dir import RunDir, check_file, refuse_incomplete
from sentiment.training.checkpoint import Checkpoints, read_checkpoint, weights_sha256
from sentiment.training.device import choose_device


def assemble(run: StoredRun, device: torch.device | None = None) -> NetworkModel:
    """Put a network together; its weights are checked before any are made.

    Args:
        device: that computes; None is a GPU where there is one, else the CPU.

    Raises:
        RunDirError: the parts do not fit, or the weights were trained with another ELMo model.
        SentimentError: a part is missing or damaged.
    """
    vocabulary, weights = run.network()
    chosen = device or choose_device("auto")
    encoder = encoder_of(run.config, run.encoder, run.results, chosen)
    size = encoder.vector_size if encoder else None
    try:
        sketch = sketch_classifier(run.config, len(vocabulary), size).state_dict()
    except RuntimeError:
        raise RunDirError(f"{run.place}: its configuration asks for more weights than torch can count") from None
    check_arrays(run.place, weights, {name: described(one) for name, one in sketch.items()})
    model = build_classifier(run.config, len(vocabulary), elmo_size=size)
    model.load_state_dict(weights)
    return NetworkModel(run.config, vocabulary, model, encoder, chosen, run.temperature("network"))


def read_network(run_dir: RunDir) -> tuple[Vocabulary, dict[str, torch.Tensor]]:
    """The vocabulary of a run, and the weights of its best epoch so far.

    Raises:
        RunDirError: the files are not all of one run.
        CheckpointError: no epoch is saved yet, or the weights are damaged.
    """
    if result := run_dir.read_result():
        refuse_incomplete(run_dir)
    weights = _best_weights(run_dir)
    if result and weights_sha256(weights) != result.weights_sha256:
        raise CheckpointError(f"{run_dir.best_weights}: holds other weights than those of the result")
    check_file(run_dir.vocabulary_file, result)
    return Vocabulary.read(run_dir.vocabulary_file), weights


def _best_weights(run_dir: RunDir) -> dict[str, torch.Tensor]:
    if run_dir.best_weights.exists():
        return _weights_in(read_checkpoint(run_dir.best_weights).get("weights"), run_dir.best_weights)
    state, damaged = Checkpoints(run_dir.checkpoints).newest()
    if state is None:
        raise CheckpointError("\n".join(damaged) or f"{run_dir.path}: no epoch is saved yet; train it first")
    stopping = state.get("early_stopping")
    so_far = stopping.get("best_weights") if isinstance(stopping, dict) else None
    return _weights_in(so_far or state.get("model"), run_dir.checkpoints)


def _weights_in(value: object, path: Path) -> dict[str, torch.Tensor]:
    """What a checkpoint holds as weights, if it is that: a checksum says only that it was written so."""
    if not isinstance(value, dict) or not all(isinstance(one, torch.Tensor) for one in value.values()):
        raise CheckpointError(f"{path}: holds no weights of a model")
    return value
