"""Vectors of ELMo and transformers for runs: cached vectors are computed before training, then opened for it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from sentiment.config import AnyEncoder, DataConfig, RunConfig
from sentiment.console import Console, Progress
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.encoders.batches import TweetVectors
from sentiment.encoders.cache import (
    CachedVectors,
    Encoder,
    FreshVectors,
    Storage,
    VectorCache,
    build_encoder,
    layers_of,
)
from sentiment.encoders.pretrained import EncoderFiles, find_model
from sentiment.errors import DataError
from sentiment.processes import training_threads
from sentiment.runs.run_dir import Results
from sentiment.training.device import choose_device
from sentiment.training.stop import RunContext, StopRequest, stoppable

# The largest share of the free GPU memory for vectors; the rest is for the model and its gradients.
_SHARE_OF_GPU = 0.6


@stoppable
def run_encoding(configs: Sequence[RunConfig], results: Results, stop: StopRequest, console: Console) -> None:
    """Compute all cached vectors that these runs will read; other processes that do so share the work."""
    progress = stop.interrupting(console.progress)
    for config, cache, layers in _caches(configs, results, progress):
        for path in cache.discard_damaged(layers, progress):
            console.say(f"{path}: has changed since it was written; computing it again")
        _fill_cache(config, cache, layers, progress)
        console.say(f"vectors of {', '.join(layers)} are complete in {cache.folder}")


def _caches(
    configs: Sequence[RunConfig], results: Results, progress: Progress
) -> Iterable[tuple[RunConfig, VectorCache, list[str]]]:
    """The caches that runs read, each once, with all layers that any of them reads from it."""
    corpora: dict[DataConfig, Corpus | None] = {}
    caches: dict[Path, tuple[RunConfig, VectorCache, list[str]]] = {}
    for config in configs:
        if config.any_encoder and config.any_encoder.cached and (model := find_model(config, results)):
            if config.data not in corpora:
                corpora[config.data] = _corpus_of(config, results, progress)
            corpus = corpora[config.data]
            if corpus is None:
                continue
            cache = VectorCache(corpus, config.any_encoder, model, results)
            _, _, layers = caches.setdefault(cache.folder, (config, cache, []))
            layers += [layer for layer in layers_of(config.any_encoder) if layer not in layers]
    return caches.values()


def _corpus_of(config: RunConfig, results: Results, progress: Progress) -> Corpus | None:
    """The corpus of a run; None if its tweets cannot be used, so that its runs will fail."""
    try:
        return prepare_corpus(config.data, results, progress)
    except DataError:
        return None


def tweet_vectors(
    run: RunContext, encoder: AnyEncoder, corpus: Corpus, model: EncoderFiles
) -> tuple[TweetVectors, Encoder | None]:
    """The vectors that a run reads: from the cache, which is completed first, or computed for each batch.

    If it is interrupted, complete shards are kept.

    Raises:
        EncoderError: the disk is full or fails, or the model's file is damaged.
        MemoryExhaustedError: the GPU's memory is too small for the model.
    """
    device = choose_device(run.config.runtime.device)
    layers = layers_of(encoder)
    if model.random:
        run.console.say(f"the ELMo model {encoder.model!r} has random weights: scores say nothing about ELMo")
    if not encoder.cached:
        loaded = build_encoder(encoder, model, device)
        return FreshVectors(loaded, corpus, layers, device), loaded
    cache = VectorCache(corpus, encoder, model, run.results)
    used = _fill_cache(run.config, cache, layers, run.progress)
    size = cache.size(layers)
    storage = choose_storage(size, device)
    run.console.say(f"vectors ({', '.join(layers)}: {size / 1e9:.3g} GB) are read from {storage}")
    # On a GPU the memory that the encoder takes is free for training.
    return CachedVectors(cache, layers, device, storage, run.progress), used if device.type == "cpu" else None


def _fill_cache(config: RunConfig, cache: VectorCache, layers: Sequence[str], progress: Progress) -> Encoder | None:
    """Compute the vectors that a cache lacks; return the encoder, or None if there was nothing to compute."""
    if cache.is_complete(layers):
        return None
    torch.set_num_threads(training_threads())  # all cores: other runs wait for this cache
    return cache.fill(layers, choose_device(config.runtime.device), progress)


def choose_storage(needed: int, device: torch.device) -> Storage:
    """The fastest storage that can hold `needed` bytes of vectors; batches do not depend on it."""
    fits = device.type == "cuda" and needed <= _SHARE_OF_GPU * torch.cuda.mem_get_info(device)[0]
    return "GPU memory" if fits else "disk"
