"""allennlp 2.10.1's own ELMo, the reference, which no other file imports; and `Elmo` for code that was written for it.

allennlp is archived and requires packages that no supported Python has. ELMo's nine files need none of them and are the
real ones; the `__init__` files around them are replaced by empty modules, and what else they import by stand-ins.
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
_BATCH_TWEETS = 256


class ReferenceElmo:
    """allennlp's ELMo as an `Encoder`; an EncoderError says that allennlp is not installed."""

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
    def encode(self, tweets: Sequence[Sequence[str]], layers: Collection[str] = LAYERS) -> dict[str, torch.Tensor]:
        """See `Encoder`; all layers are computed in any case."""
        empty = torch.empty(0, self.vector_size, device=self._device)
        parts: dict[str, list[torch.Tensor]] = {layer: [empty] for layer in LAYERS if layer in layers}
        for start in range(0, len(tweets), _BATCH_TWEETS):
            batch = tweets[start : start + _BATCH_TWEETS]
            # Its own switch, `stateful`, fails when a batch is larger than the one before. A copy, since allennlp
            # changes its state in place.
            initial = tuple(part.repeat(1, len(batch), 1) for part in self._initial)
            self._bilm._elmo_lstm._states = initial or None
            activations = self._bilm(self._elmo.batch_to_ids(batch).to(self._device))["activations"]
            for layer, part in parts.items():
                padded = activations[LAYERS.index(layer)]
                # Without the marks before and after each tweet.
                part.extend(row[1 : 1 + len(tweet)] for row, tweet in zip(padded, batch, strict=True))
        return {layer: torch.cat(part) for layer, part in parts.items()}


def allennlp_elmo() -> ModuleType:
    """The module `allennlp.modules.elmo` with `Elmo` and `ScalarMix`, and our `batch_to_ids`, which needs less of it.

    Raises:
        EncoderError: allennlp is not installed.
    """
    if "allennlp" not in sys.modules:
        # Looking for a top-level package runs none of its code.
        spec = importlib.util.find_spec("allennlp")
        if spec is None or spec.origin is None:
            instead = "`make setup` installs it; or choose the default backend, which computes the same"
            raise EncoderError(f"allennlp, the reference for ELMo, is not installed here: {instead}")
        _put_stand_ins(Path(spec.origin).parent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nobody mends archived files
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
    """The character ids of tokenised sentences as allennlp has them: (sentences, tokens of the longest, 50) of int64,
    zeros after the end of shorter ones."""
    lengths = np.fromiter(map(len, batch), np.int64, len(batch))
    ids = np.zeros((len(batch), lengths.max(initial=0), CHARACTERS), np.int64)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = character_ids([token for sentence in batch for token in sentence])
    return torch.from_numpy(ids)


class Elmo(nn.Module):
    """Learned mixtures of ELMo's layers (Peters et al. 2018), constructed and called as `Elmo` of allennlp 2.10.1.

    It computes what that computes in its first call, to about 1e-6: a sentence's vectors depend on no sentence before
    it. Only the mixtures are trained and in `state_dict`.

    Args:
        num_output_representations: number of mixtures, each with weights of its own.
        scalar_mix_parameters: weights of the layers before the softmax, which are then not trained.
        state: every sentence begins with zeros (`zero`), or with the state after a fixed text (`warm`).

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
        """`elmo_representations`, for each mixture (batch, time, vector), zeros where there is no token; and `mask`,
        (batch, time) of bool, true where there is one.

        Args:
            inputs: (batch, time, 50) or (batch, ..., time, 50) of int64 from `batch_to_ids`; else an EncoderError.
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
