"""A trained model that turns texts into probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sentiment.characters import visible
from sentiment.config import RunConfig
from sentiment.data.batches import EVALUATION_TOKENS, TokenStore, TweetVectors
from sentiment.data.text.token_rows import TokenRows
from sentiment.data.text.tokenizer import Tokenizer
from sentiment.data.vocabulary import UNKNOWN, Vocabulary
from sentiment.elmo.encoder import Encoder
from sentiment.elmo.models import find_elmo_of
from sentiment.elmo.vectors import FreshVectors, build_encoder, layers_of
from sentiment.errors import CheckpointError, RunDirError
from sentiment.inference.text_model import Prediction, Reading
from sentiment.models.classifier import Classifier, build_classifier, sketch_classifier
from sentiment.records import NETWORK, ElmoRecord, Result
from sentiment.run_dir import Results, RunDir
from sentiment.training.device import choose_device
from sentiment.training.loop.checkpoint import Checkpoints, read_checkpoint, weights_sha256
from sentiment.training.tasks.evaluation import attention_of, predict
from sentiment.whole_run import check_vocabulary, read_whole, refuse_incomplete

_CPU = torch.device("cpu")

# Of a batch whose states stay in a CPU core's cache; those of evaluation are larger, for GPUs.
_BATCH_TOKENS = 4096
_LONGEST_NAME = 100


class Predictor:
    """Cleans, tokenises and classifies texts as the network of a run did."""

    name = NETWORK

    def __init__(
        self,
        config: RunConfig,
        vocabulary: Vocabulary,
        model: Classifier,
        encoder: Encoder | None = None,
        device: torch.device = _CPU,
    ) -> None:
        """Use a trained model.

        Args:
            encoder: computes ELMo vectors on the same device, for models that read them.
        """
        self.config = config
        self.tokenize = Tokenizer(config.data.text)
        self._vocabulary = vocabulary
        self._model = model.eval().to(device)
        self._encoder = encoder
        self._device = device

    @property
    def sequential(self) -> bool:
        """Whether it reads ELMo vectors."""
        return self._encoder is not None

    def predict(self, text: str) -> Prediction:
        """Classify one text, and give the attention weights that the model has."""
        tokens = self.tokenize(text)
        store, known = self._store(TokenRows.of_tweets([tokens]))
        probability = float(predict(self._model, store, np.zeros(1, dtype=np.int64))[0])
        attention = attention_of(self._model, store.in_order_of_length(np.zeros(1, dtype=np.int64))[0])
        weights = None if attention is None or not tokens else attention[0].mean(0).tolist()
        return Prediction(tokens, probability, bool(known[0]), weights)

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts."""
        return self.read_rows(TokenRows.of_tweets(map(self.tokenize, texts)))

    def read_rows(self, rows: TokenRows) -> Reading:
        """Classify texts that are tokenised already."""
        if not rows.size:
            return Reading(np.empty(0), np.empty(0, bool))
        most_tokens = _BATCH_TOKENS if self._device.type == "cpu" else EVALUATION_TOKENS
        store, known = self._store(rows)
        return Reading(predict(self._model, store, np.arange(rows.size), most_tokens=most_tokens), known)

    def _store(self, rows: TokenRows) -> tuple[TokenStore, npt.NDArray[np.bool_]]:
        """The tweets, and of which the model knows a token by a vector of its own; ELMo has one for each."""
        token_ids = self._vocabulary.encode(rows.types)[rows.token_ids]
        known = np.ones(len(token_ids), bool) if self._encoder is not None else token_ids != UNKNOWN
        known_before = np.concatenate([[0], np.cumsum(known)])[rows.offsets]
        store = TokenStore(token_ids, rows.offsets, None, self._device, self._vectors(rows))
        return store, np.diff(known_before) > 0

    def _vectors(self, rows: TokenRows) -> TweetVectors | None:
        if self._encoder is None or self.config.elmo is None:
            return None
        return FreshVectors(self._encoder, rows.tokens, layers_of(self.config.elmo), self._device)


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
        encoder = self._encoder(results, chosen)
        size = encoder.vector_size if encoder else None
        self._check_shapes(size)
        model = build_classifier(self.config, len(self.vocabulary), elmo_size=size)
        model.load_state_dict(self.weights)
        return Predictor(self.config, self.vocabulary, model, encoder, chosen)

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

    def _encoder(self, results: Results, device: torch.device) -> Encoder | None:
        """An encoder of the ELMo model that the run was trained with; None if it reads no ELMo vectors."""
        known = self.elmo.fingerprint if self.elmo else None
        model = find_elmo_of(self.config, results, known)
        if self.config.elmo is None or model is None:
            return None
        if known is not None and known != model.fingerprint:
            raise RunDirError(f"{self.place}: was trained with other ELMo weights than {model.weights_path}")
        return build_encoder(self.config.elmo, model, device)


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
    return NetworkParts(str(run_dir.path), run.config, vocabulary, weights, run.record.elmo if run.record else None)


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
