"""The ELMo vectors that runs read: by which encoder, from which cache, or computed for each batch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from sentiment.config import DataConfig, ElmoConfig, RunConfig
from sentiment.data.batches import Rows
from sentiment.data.corpus.corpus import Corpus
from sentiment.elmo.cache import MemoryRows, VectorCache
from sentiment.elmo.encoder import LAYERS, ElmoEncoder, Encoder, Layer
from sentiment.elmo.models import ElmoFinder, ModelFiles
from sentiment.elmo.products import Library
from sentiment.runs.run_dir import Results


def layers_of(config: ElmoConfig) -> tuple[Layer, ...]:
    """What a classifier reads."""
    return LAYERS if config.layers == "mix" else (config.layers,)


def build_encoder(
    config: ElmoConfig, model: ModelFiles, device: torch.device, library: Library | None = None
) -> Encoder:
    """The encoder that a configuration asks for: ours, or allennlp's ELMo.

    Args:
        library: of our encoder's matrix products; None: the one that suits this processor.

    Raises:
        ElmoError: a part of the model's file is damaged, torch lacks the library here, or allennlp is asked for and not
            installed.
    """
    if config.backend == "own":
        weights, options = model.read_weights(), model.options
        precision, state = config.precision, config.state
        return ElmoEncoder(options, weights, state=state, precision=precision, device=device, library=library)
    from sentiment.elmo.reference import ReferenceElmo  # loads allennlp

    return ReferenceElmo(model.options_path, model.weights_path, state=config.state, device=device)


def elmo_cache(corpus: Corpus, config: ElmoConfig, model: ModelFiles, results: Results) -> VectorCache:
    """The cache of ELMo's vectors of a corpus.

    Args:
        config: state and precision of it identify the cache, together with corpus and model.
    """
    identity = {"model": model.fingerprint, "state": config.state, "precision": config.precision}
    build = partial(build_encoder, config, model)
    return VectorCache(corpus, identity, model.options.vector_size, build, results.elmo_caches)


@dataclass(frozen=True)
class CacheRequest:
    """A cache and all layers that any run reads from it, with the configuration of the first such run."""

    config: RunConfig
    cache: VectorCache
    layers: tuple[Layer, ...]


def cache_requests(
    configs: Iterable[RunConfig], results: Results, corpus_of: Callable[[DataConfig], Corpus]
) -> list[CacheRequest]:
    """The caches that runs read, each once; runs without ELMo, or without a cache, read none.

    Args:
        corpus_of: prepares or finds the corpus of a configuration; called once for each.

    Raises:
        ElmoError: a model is missing or damaged.
    """
    models, corpus_of = ElmoFinder(results), cache(corpus_of)
    found: dict[Path, CacheRequest] = {}
    for config in configs:
        if config.elmo is None or not config.elmo.cached or (model := models.of(config)) is None:
            continue
        vectors = elmo_cache(corpus_of(config.data), config.elmo, model, results)
        request = found.get(vectors.folder) or CacheRequest(config, vectors, ())
        layers = sorted({*request.layers, *layers_of(config.elmo)}, key=LAYERS.index)
        found[vectors.folder] = replace(request, layers=tuple(layers))
    return list(found.values())


class FreshVectors:
    """Computes the vectors for each batch.

    Args:
        tokens_of: the tokens of the tweet in a row.
        device: on which the vectors are wanted.
    """

    ahead = False

    def __init__(
        self,
        encoder: Encoder,
        tokens_of: Callable[[int], Sequence[str]],
        layers: Sequence[str],
        device: torch.device,
    ) -> None:
        self._encoder, self._tokens_of, self._layers, self._device = encoder, tokens_of, layers, device

    def gather(self, rows: Rows, longest: int) -> dict[str, torch.Tensor]:
        tweets = [self._tokens_of(row) for row in rows.tolist()]
        lengths = np.fromiter(map(len, tweets), np.int64, len(tweets))
        starts = np.cumsum(lengths) - lengths
        return {
            name: MemoryRows(values).gather(starts, lengths, longest).to(self._device).float()
            for name, values in self._encoder.encode(tweets, self._layers).items()
        }
