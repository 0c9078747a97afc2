"""Loads ELMo from allennlp 2.10.1 as reference implementation; no other file imports allennlp.

allennlp is archived and requires packages that no supported Python has. ELMo's nine modules do not need them and are
imported unchanged; the parent packages and what else these modules import are replaced by stubs.
"""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from sentiment.tokens import Tweets

if TYPE_CHECKING:
    from sentiment.config import ElmoConfig
    from sentiment.encoders.pretrained import ElmoFiles
from sentiment.encoders.elmo import LAYERS, WARM_TEXT, StateMode
from sentiment.encoders.elmo_files import CHARACTERS, character_ids
from sentiment.errors import EncoderError

_PACKAGES = ("", ".common", ".modules", ".nn", ".data", ".data.token_indexers", ".data.tokenizers")
_BATCH_TWEETS = 256


class ReferenceElmo:
    """allennlp's ELMo as an `Encoder`; raises EncoderError if allennlp is not installed."""

    def __init__(
        self, options: Path, weights: Path, state: StateMode = "zero", device: torch.device | str = "cpu"
    ) -> None:
        self._device = device
        module = allennlp_elmo().Elmo(str(options), str(weights), num_output_representations=1)
        self._bilm = module.eval().to(device)._elmo_lstm
        self.vector_size = int(self._bilm.get_output_dim())
        self._initial: tuple[Tensor, ...] = ()
        for sentence in WARM_TEXT if state == "warm" else ():
            self.encode([sentence.split()])
            self._initial = self._bilm._elmo_lstm._states

    @classmethod
    def built(cls, config: "ElmoConfig", files: "ElmoFiles", device: torch.device) -> Self:
        return cls(files.options_path, files.weights_path, state=config.state, device=device)

    @torch.inference_mode(False)  # allennlp changes its state in place, which inference tensors forbid
    @torch.no_grad()
    def encode(self, tweets: Tweets, layers: Collection[str] = LAYERS) -> dict[str, Tensor]:
        """See `Encoder`; all layers are computed, whichever are asked for."""
        empty = torch.empty(0, self.vector_size, device=self._device)
        vectors: dict[str, list[Tensor]] = {layer: [empty] for layer in LAYERS if layer in layers}
        for start in range(0, len(tweets), _BATCH_TWEETS):
            batch = tweets[start : start + _BATCH_TWEETS]
            # allennlp's option `stateful` fails if a batch is larger than the previous one. `repeat` copies, because
            # allennlp changes its state in place.
            initial = tuple(state.repeat(1, len(batch), 1) for state in self._initial)
            self._bilm._elmo_lstm._states = initial or None
            activations = self._bilm(_batch_to_ids(batch).to(self._device))["activations"]
            for layer, rows in vectors.items():
                padded = activations[LAYERS.index(layer)]
                # Without the boundary tokens before and after each tweet.
                rows.extend(row[1 : 1 + len(tweet)] for row, tweet in zip(padded, batch, strict=True))
        return {layer: torch.cat(rows) for layer, rows in vectors.items()}


def allennlp_elmo() -> ModuleType:
    """Import `allennlp.modules.elmo`, with `Elmo` and `ScalarMix`.

    Raises:
        EncoderError: allennlp is not installed.
    """
    if "allennlp" not in sys.modules:
        # Looking for a top-level package runs none of its code.
        spec = importlib.util.find_spec("allennlp")
        if spec is None or spec.origin is None:
            hint = "`make setup` installs it; the default backend computes the same vectors without it"
            raise EncoderError(f"allennlp, the reference for ELMo, is not installed here: {hint}")
        _install_stubs(Path(spec.origin).parent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of archived code cannot be fixed
        return importlib.import_module("allennlp.modules.elmo")


class _Stub:
    """Replaces a class that ELMo's modules only name, register with or derive from."""

    @classmethod
    def register(cls, *_: Any, **__: Any) -> Any:
        return lambda registered: registered


# Functions that ELMo's modules import but never call.
_NOT_CALLED = ("lazy_groups_of", "pad_sequence_to_length", "int_to_device", "is_distributed", "is_global_primary")

# What ELMo's modules import from the rest of allennlp, by module.
_STUBS: dict[str, dict[str, Any]] = {
    "common": {"FromParams": _Stub, "Registrable": _Stub},
    "common.checks": {"ConfigurationError": EncoderError},
    "common.file_utils": {"cached_path": lambda path: path},
    "common.util": dict.fromkeys(_NOT_CALLED),
    "data.instance": {"Instance": _Stub},
    "data.vocabulary": {"Vocabulary": _Stub},
    "data.batch": {"Batch": _Stub},
    "data.fields": {"TextField": _Stub},
    "data.tokenizers": {"Token": _Stub},
    "data.tokenizers.token_class": {"Token": _Stub},
    "data.token_indexers.token_indexer": {"TokenIndexer": _Stub, "IndexedTokenList": dict},
}


def _install_stubs(folder: Path) -> None:
    for name in _PACKAGES:
        package = ModuleType(f"allennlp{name}")
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[package.__name__] = package
    for name, contents in _STUBS.items():
        module = sys.modules.setdefault(f"allennlp.{name}", ModuleType(f"allennlp.{name}"))
        vars(module).update(contents)


def _batch_to_ids(batch: Tweets) -> Tensor:
    """As allennlp's `batch_to_ids`: (sentences, tokens of the longest, 50) of int64, zeros after a sentence's end."""
    lengths = np.fromiter(map(len, batch), np.int64, len(batch))
    ids = np.zeros((len(batch), lengths.max(initial=0), CHARACTERS), np.int64)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = character_ids([token for sentence in batch for token in sentence])
    return torch.from_numpy(ids)
