"""Vectors of ELMo and transformers for runs: cached vectors are computed before training, then opened for it."""

from collections.abc import Sequence

import torch

from sentiment.config import AnyEncoder, RunConfig
from sentiment.console import Progress
from sentiment.data.corpus import Corpus
from sentiment.encoders.batches import TweetVectors
from sentiment.encoders.cache import CachedVectors, FreshVectors, Storage, VectorCache, build_encoder, layers_of
from sentiment.encoders.pretrained import EncoderFiles
from sentiment.encoders.shards import Encoder
from sentiment.processes import runs_on_gpu, training_threads
from sentiment.training.device import choose_device
from sentiment.training.stop import RunContext

# The largest share of the free GPU memory for vectors; the rest is for the model and its gradients.
_SHARE_OF_GPU = 0.6


def tweet_vectors(
    run: RunContext, encoder: AnyEncoder, corpus: Corpus, model: EncoderFiles
) -> tuple[TweetVectors, Encoder | None]:
    """The vectors that a run reads: from the cache, which is completed first, or computed for each batch.

    If it is interrupted, complete shards are kept.

    Returns:
        The vectors; and their encoder for further texts, if it was loaded for them and takes no memory of a GPU that
        training needs.

    Raises:
        EncoderError: the disk is full or fails, or the model's file is damaged.
    """
    device = choose_device(run.config.runtime.device)
    layers = layers_of(encoder)
    if not encoder.cached:
        loaded = build_encoder(encoder, model, device)
        return FreshVectors(loaded, corpus, layers, device), loaded
    cache = VectorCache(corpus, encoder, model, run.results)
    used = fill_cache(run.config, cache, layers, run.progress)
    size = cache.size(layers)
    storage = choose_storage(size, device)
    run.console.say(f"vectors ({', '.join(layers)}: {size / 1e9:.3g} GB) are read from {storage}")
    # On a GPU the memory that the encoder takes is free for training.
    return CachedVectors(cache, layers, device, storage, run.progress), used if device.type == "cpu" else None


def fill_cache(config: RunConfig, cache: VectorCache, layers: Sequence[str], progress: Progress) -> Encoder | None:
    """Compute the vectors that a cache lacks; return the encoder, or None if there was nothing to compute."""
    if cache.is_complete(layers):
        return None
    torch.set_num_threads(training_threads())  # all cores: other runs cannot start without this cache
    return cache.fill(layers, choose_device(config.runtime.device), progress)


def choose_storage(needed: int, device: torch.device) -> Storage:
    """The fastest storage that can hold `needed` bytes of vectors; batches do not depend on it."""
    if device.type != "cuda":
        return "disk"
    free, total = torch.cuda.mem_get_info(device)
    available = min(free, total // runs_on_gpu())  # a run beside this one may not have taken its part yet
    return "GPU memory" if needed <= _SHARE_OF_GPU * available else "disk"
