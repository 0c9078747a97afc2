"""allennlp 2.10.1's own ELMo, the reference, which no other file imports; and `Elmo` for code that was written for it.

allennlp is archived and requires versions of torch and of other packages that no supported Python has. ELMo's own nine
files need none of them; only the `__init__` files of the packages around them do. Those are replaced by empty modules,
and whatever else ELMo's files import from allennlp by stand-ins. The nine files that compute are the real ones.
"""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from sentiment.encoders.elmo import LAYERS, WARM_TEXT, ElmoEncoder, ScalarMix, StateMode
from sentiment.encoders.elmo_files import CHARACTER_KINDS, CHARACTERS, character_ids, read_options, read_weights
from sentiment.errors import EncoderError

_PACKAGES = ("", ".common", ".modules", ".nn", ".data", ".data.token_indexers", ".data.tokenizers")


class ReferenceElmo:
    """allennlp's ELMo as an `Encoder`, with the same choice of states.

    Raises:
        EncoderError: allennlp is not installed.
    """

    def __init__(
        self, options: Path, weights: Path, state: StateMode = "zero", device: torch.device | str = "cpu"
    ) -> None:
        self._elmo, self._device = allennlp_elmo(), device
        module = self._elmo.Elmo(str(options), str(weights), num_output_representations=1)
        self._bilm = module.eval().to(device)._elmo_lstm
        self.vector_size = int(self._bilm.get_output_dim())
        self._initial: tuple[torch.Tensor, ...] = ()
        for sentence in WARM_TEXT if state == "warm" else ():
            self.encode([sentence.split()])
            self._initial = self._bilm._elmo_lstm._states

    @torch.inference_mode(False)  # in evaluation too: allennlp changes its state in place, which is refused later
    @torch.no_grad()
    def encode(
        self,
        tweets: Sequence[Sequence[str]],
        layers: Collection[str] = LAYERS,
        batch_tweets: int = 256,
        dtype: torch.dtype = torch.float32,
    ) -> dict[str, torch.Tensor]:
        """See `Encoder`; in batches that follow the order of the tweets. All layers are computed in any case."""
        empty = torch.empty(0, self.vector_size, dtype=dtype, device=self._device)
        parts: dict[str, list[torch.Tensor]] = {layer: [empty] for layer in LAYERS if layer in layers}
        for start in range(0, len(tweets), batch_tweets):
            batch = tweets[start : start + batch_tweets]
            # Its own switch, `stateful`, fails when a batch is larger than the one before. A copy, since allennlp
            # changes its state in place.
            initial = tuple(part.repeat(1, len(batch), 1) for part in self._initial)
            self._bilm._elmo_lstm._states = initial or None
            activations = self._bilm(self._elmo.batch_to_ids(batch).to(self._device))["activations"]
            for layer, part in parts.items():
                padded = activations[LAYERS.index(layer)]
                # Without the marks before and after each tweet.
                part.extend(row[1 : 1 + len(tweet)].to(dtype) for row, tweet in zip(padded, batch, strict=True))
        return {layer: torch.cat(part) for layer, part in parts.items()}


def allennlp_elmo() -> ModuleType:
    """The module `allennlp.modules.elmo` with `Elmo`, `ScalarMix` and `batch_to_ids`.

    `batch_to_ids` is ours, which needs no other part of allennlp.

    Raises:
        EncoderError: allennlp is not installed.
    """
    if "allennlp" not in sys.modules:
        # Looking for a top-level package runs none of its code.
        spec = importlib.util.find_spec("allennlp")
        if spec is None or spec.origin is None:
            raise EncoderError(
                "allennlp, the reference for ELMo, is not installed here: `make setup` installs it; "
                "or choose the default backend, which computes the same"
            )
        _put_stand_ins(Path(spec.origin).parent)
    with warnings.catch_warnings():
        # Archived files are not mended any more, so a warning about them helps nobody.
        warnings.simplefilter("ignore")
        module = importlib.import_module("allennlp.modules.elmo")
    vars(module)["batch_to_ids"] = batch_to_ids
    return module


class _StandIn:
    """Stands for a class that ELMo's files only name, register with or derive from."""

    @classmethod
    def register(cls, *_: Any, **__: Any) -> Any:
        return lambda registered: registered


# Only named as well.
_NOT_NEEDED = ("lazy_groups_of", "pad_sequence_to_length", "int_to_device", "is_distributed", "is_global_primary")

# What ELMo's files import from the rest of allennlp, by module.
_STAND_INS: dict[str, dict[str, Any]] = {
    "common": {"FromParams": _StandIn, "Registrable": _StandIn},
    "common.checks": {"ConfigurationError": EncoderError},
    "common.file_utils": {"cached_path": lambda path: path},
    "common.util": dict.fromkeys(_NOT_NEEDED),
    "data.instance": {"Instance": _StandIn},
    "data.vocabulary": {"Vocabulary": _StandIn},
    "data.batch": {"Batch": _StandIn},
    "data.fields": {"TextField": _StandIn},
    "data.tokenizers": {"Token": _StandIn},
    "data.tokenizers.token_class": {"Token": _StandIn},
    "data.token_indexers.token_indexer": {"TokenIndexer": _StandIn, "IndexedTokenList": dict},
}


def _put_stand_ins(folder: Path) -> None:
    for name in _PACKAGES:
        package = ModuleType(f"allennlp{name}")
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[package.__name__] = package
    for name, contents in _STAND_INS.items():
        module = sys.modules.setdefault(f"allennlp.{name}", ModuleType(f"allennlp.{name}"))
        vars(module).update(contents)


def batch_to_ids(batch: Sequence[Sequence[str]]) -> torch.Tensor:
    """The character ids of a batch of tokenised sentences, as `batch_to_ids` of allennlp returns them.

    Returns:
        (sentences, tokens of the longest, 50) of int64; zeros after the end of shorter sentences.
    """
    lengths = np.fromiter(map(len, batch), np.int64, len(batch))
    ids = np.zeros((len(batch), lengths.max(initial=0), CHARACTERS), np.int64)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = character_ids([token for sentence in batch for token in sentence])
    return torch.from_numpy(ids)


class Elmo(nn.Module):
    """Learned mixtures of ELMo's layers (Peters et al. 2018), constructed and called as `Elmo` of allennlp 2.10.1.

    It computes what allennlp computes in its first call, to about 1e-6. A sentence's vectors do not depend on the
    sentences before it, and only the mixtures are trained and in `state_dict`.

    Args:
        num_output_representations: number of mixtures, each with weights of its own.
        dropout: share of each representation's values that is dropped in training.
        scalar_mix_parameters: three weights before the softmax, the context-free layer's first, which are then not
            trained; None: they are trained from zero.
        state: `zero`: every sentence begins with zeros; `warm`: with the state after a fixed text.

    Raises:
        EncoderError: a file is missing, damaged or of another model.

    Example:
        >>> from sentiment.encoders.allennlp import Elmo, batch_to_ids  # instead of: from allennlp.modules.elmo import
        >>> elmo = Elmo(options_file, weight_file, num_output_representations=1, dropout=0)
        >>> elmo(batch_to_ids([["Good", "morning"], ["Hello"]]))["elmo_representations"][0].shape
        torch.Size([2, 2, 1024])
    """

    def __init__(
        self,
        options_file: str | Path,
        weight_file: str | Path,
        num_output_representations: int,
        *,
        dropout: float = 0.5,
        scalar_mix_parameters: Sequence[float] | None = None,
        state: StateMode = "zero",
    ) -> None:
        super().__init__()
        self._state, self._files = state, (Path(options_file), Path(weight_file))
        self._encoder = self._encoder_on(torch.device("cpu"))
        self._dropout = nn.Dropout(dropout)
        self._mixtures = []
        for number in range(num_output_representations):
            mix = ScalarMix(len(LAYERS), scalar_mix_parameters, trainable=scalar_mix_parameters is None)
            self.add_module(f"scalar_mix_{number}", mix)
            self._mixtures.append(mix)

    def get_output_dim(self) -> int:
        return self._encoder.vector_size

    def forward(self, inputs: torch.Tensor) -> dict[str, Any]:
        """Representations of a batch of sentences.

        Args:
            inputs: (batch, time, 50) or (batch, ..., time, 50) of int64 from `batch_to_ids`, on the device of this
                module.

        Returns:
            `elmo_representations`, for each mixture (batch, time, vector), zeros where there is no token; and `mask`,
            (batch, time) of bool, true where there is one.

        Raises:
            EncoderError: the inputs are no character ids.
        """
        if inputs.dim() < 3 or inputs.shape[-1] != CHARACTERS or ((inputs < 0) | (inputs >= CHARACTER_KINDS)).any():
            raise EncoderError(
                f"Elmo: inputs of shape {tuple(inputs.shape)} are no character ids: valid are those of batch_to_ids, "
                f"(batch, time, {CHARACTERS}) from 0 to {CHARACTER_KINDS - 1}"
            )
        if self._encoder.device != inputs.device:
            self._encoder = self._encoder_on(inputs.device)  # a layout is of one device
        layers, mask = self._encoder.encode_ids(inputs.flatten(0, -3))
        shape = (*inputs.shape[:-1], self.get_output_dim())
        mixed = [self._dropout(mix(layers)).view(shape) for mix in self._mixtures]
        return {"elmo_representations": mixed, "mask": mask.view(inputs.shape[:-1])}

    def _encoder_on(self, device: torch.device) -> ElmoEncoder:
        options = read_options(self._files[0])
        return ElmoEncoder(options, read_weights(self._files[1], options), state=self._state, device=device)
