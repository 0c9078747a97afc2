"""The reference: allennlp 2.10.1's own ELMo, the one file that imports allennlp.

allennlp is archived, and its packages want versions of torch that no supported Python has. Its ELMo needs none of
them: only the `__init__` files of the packages around it do. So those are replaced by empty ones, and what ELMo's own
files import of the rest by stand-ins; the nine files that compute are the real ones.
"""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import torch

from sentiment.elmo.encoder.encoder import LAYERS, Encoded, Layer
from sentiment.elmo.encoder.state import WARM_TEXT, StateMode
from sentiment.errors import ElmoError

_PACKAGES = ("", ".common", ".modules", ".nn", ".data", ".data.token_indexers", ".data.tokenizers")


class ReferenceElmo:
    """allennlp's ELMo behind the same method as ours, with the same choice of states."""

    def __init__(
        self, options: Path, weights: Path, state: StateMode = "carry", device: torch.device | str = "cpu"
    ) -> None:
        """Read a model.

        Raises:
            ElmoError: allennlp is not installed.
        """
        self.module = reference_elmo(options, weights).to(device)
        self._bilm = self.module._elmo_lstm
        self._device = device
        self._initial: tuple[torch.Tensor, ...] | None = None
        self._carry = True
        if state == "warm":
            for sentence in WARM_TEXT:
                self.encode([sentence.split()])
            self._initial = self._lstm._states
        self._carry = state == "carry"

    @property
    def vector_size(self) -> int:
        """Values per token and layer."""
        return int(self._bilm.get_output_dim())

    def reset_states(self) -> None:
        """Begin anew from zeros."""
        self._lstm.reset_states()

    def carried(self) -> tuple[torch.Tensor, ...]:
        """With `carry`, what the tweets so far have left; a copy, since allennlp changes it in place."""
        return tuple(part.clone() for part in self._lstm._states or ()) if self._carry else ()

    def carry_on(self, carried: tuple[torch.Tensor, ...]) -> None:
        """With `carry`, encode from now on as after the tweets that left this."""
        self._lstm._states = tuple(part.clone().to(self._device) for part in carried) or None

    @torch.inference_mode(False)  # in evaluation too: allennlp changes its state in place, which is refused later
    @torch.no_grad()
    def encode(
        self,
        tweets: Sequence[Sequence[str]],
        layers: Collection[Layer] = LAYERS,
        batch_tweets: int = 256,
        dtype: torch.dtype = torch.float32,
    ) -> Encoded:
        """Vectors of tokenised tweets, in batches as they come; all layers are computed, whatever is asked for."""
        parts: dict[Layer, list[torch.Tensor]] = {layer: [] for layer in LAYERS if layer in layers}
        lengths = [len(tweet) for tweet in tweets]
        for start in range(0, len(tweets), batch_tweets):
            batch = tweets[start : start + batch_tweets]
            if not self._carry:
                # Its own switch for this, `stateful`, fails at a batch that is larger than the one before.
                self._begin(len(batch))
            activations = self._bilm(reference_batch_to_ids(batch).to(self._device))["activations"]
            for layer, part in parts.items():
                padded = activations[LAYERS.index(layer)]
                # Without the marks before and after each tweet.
                part.extend(row[1 : 1 + len(tweet)].to(dtype) for row, tweet in zip(padded, batch, strict=True))
        empty = torch.empty(0, self.vector_size, dtype=dtype, device=self._device)
        found = {layer: torch.cat([empty, *part]) for layer, part in parts.items()}
        return Encoded(found, np.cumsum([0, *lengths]))

    @property
    def _lstm(self) -> Any:
        return self._bilm._elmo_lstm

    def _begin(self, tweets: int) -> None:
        self.reset_states()
        if self._initial is not None:
            self._lstm._states = tuple(part.expand(-1, tweets, -1).contiguous() for part in self._initial)


def reference_is_installed() -> bool:
    """Whether allennlp can be found."""
    return _folder() is not None


def reference_elmo(options: Path, weights: Path, **arguments: Any) -> Any:
    """allennlp's `Elmo` module in evaluation mode with one mixture of layers, unless the arguments say otherwise.

    Raises:
        ElmoError: allennlp is not installed.
    """
    elmo = _import("allennlp.modules.elmo")
    arguments = {"num_output_representations": 1, "dropout": 0.0} | arguments
    return elmo.Elmo(str(options), str(weights), **arguments).eval()


def reference_scalar_mix(layers: int, layer_norm: bool = False) -> torch.nn.Module:
    """allennlp's `ScalarMix`.

    Raises:
        ElmoError: allennlp is not installed.
    """
    module: torch.nn.Module = _import("allennlp.modules.scalar_mix").ScalarMix(layers, do_layer_norm=layer_norm)
    return module


def reference_batch_to_ids(batch: Sequence[Sequence[str]]) -> torch.Tensor:
    """(sentences, tokens of the longest, 50): each token by allennlp's own `ELMoCharacterMapper`.

    Raises:
        ElmoError: allennlp is not installed.
    """
    mapper = _import("allennlp.data.token_indexers.elmo_indexer").ELMoCharacterMapper()
    ids = torch.zeros(len(batch), max(map(len, batch), default=0), mapper.max_word_length, dtype=torch.long)
    for row, sentence in enumerate(batch):
        for column, token in enumerate(sentence):
            ids[row, column] = torch.tensor(mapper.convert_word_to_char_ids(token))
    return ids


def _folder() -> Path | None:
    if "allennlp" in sys.modules:
        return Path(sys.modules["allennlp"].__path__[0])
    # Looking for a package of the top level runs none of its code.
    spec = importlib.util.find_spec("allennlp")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _import(name: str) -> Any:
    folder = _folder()
    if folder is None:
        raise ElmoError(
            "allennlp, the reference for ELMo, is not installed here: `make setup` installs it; "
            "or choose the default backend, which computes the same"
        )
    if "allennlp" not in sys.modules:
        _put_stand_ins(folder)
    with warnings.catch_warnings():
        # What is old in archived files is no news to anybody.
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


class _FromParams:
    """Stands for allennlp's configuration by files."""


class _Registrable(_FromParams):
    """Stands for allennlp's registry, whose decorators change nothing."""

    @classmethod
    def register(cls, *_: Any, **__: Any) -> Callable[[Any], Any]:
        return lambda registered: registered


class _TokenIndexer(_Registrable):
    """Stands for the base of what turns tokens into numbers."""

    def __init__(self, token_min_padding_length: int = 0) -> None:
        self.token_min_padding_length = token_min_padding_length


class _ConfigurationError(Exception):
    """Stands for allennlp's own."""


def _lazy_groups_of(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


def _empty_class(name: str) -> type:
    return type(name, (), {})


def _not_needed(*_: Any) -> Any:
    raise NotImplementedError("this part of allennlp is not used by its ELMo")


class _StandIns:
    """Module by module, what ELMo's files import from the rest of allennlp."""

    NAMES: ClassVar[dict[str, dict[str, Any]]] = {
        "common.checks": {"ConfigurationError": _ConfigurationError},
        "common.file_utils": {"cached_path": lambda path: path},
        "common.util": {
            "lazy_groups_of": _lazy_groups_of,
            "pad_sequence_to_length": _not_needed,
            "int_to_device": _not_needed,
            "is_distributed": lambda: False,
            "is_global_primary": lambda: True,
        },
        "data.instance": {"Instance": _empty_class("Instance")},
        "data.vocabulary": {"Vocabulary": _empty_class("Vocabulary")},
        "data.batch": {"Batch": _empty_class("Batch")},
        "data.fields": {"TextField": _empty_class("TextField")},
        "data.tokenizers.token_class": {"Token": _empty_class("Token")},
        "data.token_indexers.token_indexer": {"TokenIndexer": _TokenIndexer, "IndexedTokenList": dict},
    }


def _put_stand_ins(folder: Path) -> None:
    for name in _PACKAGES:
        package = ModuleType(f"allennlp{name}")
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[package.__name__] = package
    for name, contents in _StandIns.NAMES.items():
        module = ModuleType(f"allennlp.{name}")
        vars(module).update(contents)
        sys.modules[module.__name__] = module
    vars(sys.modules["allennlp.common"]).update(FromParams=_FromParams, Registrable=_Registrable)
    vars(sys.modules["allennlp.data.tokenizers"])["Token"] = sys.modules["allennlp.data.tokenizers.token_class"].Token
