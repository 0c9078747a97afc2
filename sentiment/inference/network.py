"""The network of a run, from its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from sentiment.config import RunConfig
from sentiment.console import visible
from sentiment.data.vocabulary import Vocabulary
from sentiment.errors import CheckpointError, RunDirError
from sentiment.models.classifier import build_classifier, sketch_classifier
from sentiment.models.network import Predictor, encoder_of
from sentiment.runs.records import ElmoRecord, Result
from sentiment.runs.run_dir import Results, RunDir, check_vocabulary, read_whole, refuse_incomplete
from sentiment.training.checkpoint import Checkpoints, read_checkpoint, weights_sha256
from sentiment.training.device import choose_device

_LONGEST_NAME = 100


@dataclass(frozen=True)
class NetworkParts:
    """What a network consists of, wherever it was stored.

    Raises:
        CheckpointError: a weight is not finite.
    """

    place: str
    """Where it was stored, for messages."""
    config: RunConfig
    vocabulary: Vocabulary
    weights: dict[str, torch.Tensor]
    elmo: ElmoRecord | None
    """The ELMo model that it was trained with."""
    temperature: float = 1.0
    """That calibrates what it says; 1 of a run that is not completed."""

    def __post_init__(self) -> None:
        for name, tensor in self.weights.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
                raise CheckpointError(f"{self.place}: holds weights that are not finite (in {name})")

    def predictor(self, results: Results, device: torch.device | None = None) -> Predictor:
        """The network put together, see `load_predictor`.

        Args:
            results: where the ELMo model is looked for, if it reads one.
        """
        chosen = device or choose_device("auto")
        encoder = encoder_of(self.config, self.elmo, results, chosen)
        size = encoder.vector_size if encoder else None
        self._check_shapes(size)
        model = build_classifier(self.config, len(self.vocabulary), elmo_size=size)
        model.load_state_dict(self.weights)
        return Predictor(self.config, self.vocabulary, model, encoder, chosen, self.temperature)

    def _check_shapes(self, elmo_size: int | None) -> None:
        """Compare the weights with those that the configuration and the vocabulary ask for, before any are made."""
        try:
            wanted = _described(sketch_classifier(self.config, len(self.vocabulary), elmo_size).state_dict())
        except RuntimeError:
            raise RunDirError(f"{self.place}: its configuration asks for more weights than torch can count") from None
        found = _described(self.weights)
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                raise RunDirError(
                    f"{self.place}: the weights do not fit the configuration and the vocabulary: "
                    f"{visible(name)[:_LONGEST_NAME]} is {found.get(name, 'missing')}, "
                    f"expected is {wanted.get(name, 'nothing of this name')}"
                )


def load_predictor(run_dir: RunDir, device: torch.device | None = None) -> Predictor:
    """A predictor with the weights of a run's best epoch so far; the run need not be completed.

    Args:
        device: that computes; None is a GPU where there is one, else the CPU.

    Raises:
        RunDirError: the files are not all of one run, or the weights were trained with another ELMo model.
        ElmoError: the ELMo model is missing or damaged.
        CheckpointError: no epoch is saved yet, or the weights are damaged.
    """
    return network_parts(run_dir).predictor(run_dir.results, device)


def network_parts(run_dir: RunDir) -> NetworkParts:
    """The network of a run's best epoch so far, checked.

    Raises:
        RunDirError: the files are not all of one run.
        CheckpointError: no epoch is saved yet, or the weights are damaged.
    """
    run = read_whole(run_dir)
    weights = _best_weights(run_dir, run.result)
    check_vocabulary(run_dir, run.record)
    vocabulary = Vocabulary.read(run_dir.vocabulary_file)
    temperature = run.result.temperatures["network"] if run.result else 1.0
    elmo = run.record.elmo if run.record else None
    return NetworkParts(str(run_dir.path), run.config, vocabulary, weights, elmo, temperature)


def _best_weights(run_dir: RunDir, result: Result | None) -> dict[str, torch.Tensor]:
    if result:
        refuse_incomplete(run_dir)
    if run_dir.best_weights.exists():
        best = _weights_in(read_checkpoint(run_dir.best_weights).get("weights"), run_dir.best_weights)
        if result and weights_sha256(best) != result.weights_sha256:
            raise CheckpointError(f"{run_dir.best_weights}: holds other weights than those of the result")
        return best
    state, damaged = Checkpoints(run_dir.checkpoints).newest()
    if state is None:
        raise CheckpointError("\n".join(damaged) or f"{run_dir.path}: no epoch is saved yet; train it first")
    stopping = state.get("early_stopping")
    so_far = stopping.get("best_weights") if isinstance(stopping, dict) else None
    return _weights_in(so_far or state.get("model"), run_dir.checkpoints)


def _weights_in(value: object, path: Path) -> dict[str, torch.Tensor]:
    """What a checkpoint holds as weights, if it is that: a checksum says only that it was written so.

    Raises:
        CheckpointError: it is not.
    """
    if not isinstance(value, dict) or not all(isinstance(one, torch.Tensor) for one in value.values()):
        raise CheckpointError(f"{path}: holds no weights of a model")
    return value


def _described(weights: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """The type and the shape of each tensor, such as `float32 (3, 4)`."""
    return {name: f"{str(one.dtype).removeprefix('torch.')} {tuple(one.shape)}" for name, one in weights.items()}
