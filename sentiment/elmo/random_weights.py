"""Random weights in the format of the published models, for tests, speed measurements and demonstrations."""

import json
from pathlib import Path

import numpy as np

from sentiment.elmo.options import ElmoOptions, Shape
from sentiment.elmo.weights import RANDOM_SEED

_PUBLISHED_FILTERS = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))
_TWEET_FILTERS = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 192))
_TINY_FILTERS = ((1, 4), (2, 8), (3, 16), (4, 32), (5, 64))

OPTIONS_FILE, WEIGHTS_FILE = "options.json", "weights.hdf5"


def _options(
    cells: int, vector: int, highways: int, characters: int, filters: tuple[tuple[int, int], ...]
) -> ElmoOptions:
    lstm = {"dim": cells, "projection_dim": vector, "n_layers": 2, "cell_clip": 3, "proj_clip": 3}
    cnn = {"embedding": {"dim": characters}, "filters": filters, "n_highway": highways, "activation": "relu"}
    limits = {"max_characters_per_token": 50, "n_characters": 262}
    return ElmoOptions.model_validate({"lstm": lstm | {"use_skip_connections": True}, "char_cnn": cnn | limits})


SIZES = {
    "tiny": _options(64, 16, 2, 4, _TINY_FILTERS),
    "tweet": _options(512, 128, 1, 16, _TWEET_FILTERS),
    "small": _options(1024, 128, 1, 16, _PUBLISHED_FILTERS),
    "medium": _options(2048, 256, 1, 16, _PUBLISHED_FILTERS),
    "original": _options(4096, 512, 2, 16, _PUBLISHED_FILTERS),
}
"""Sizes of the published models (Peters et al. 2018), of a tiny one that is computed at once,
and of one that a CPU trains in hours (`tweet`)."""


def write_random_model(folder: Path, options: ElmoOptions, seed: int = 0, strength: float = 1.0) -> tuple[Path, Path]:
    """Write `options.json` and `weights.hdf5` of an untrained model; an attribute of the weights says so.

    Args:
        folder: made if it is missing.
        seed: of the random numbers.
        strength: factor of the weights of an LSTM's inputs and outputs; at 8, gates saturate and values are clipped.

    Returns:
        The paths of options and weights.
    """
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    options_path, weights_path = folder / OPTIONS_FILE, folder / WEIGHTS_FILE
    options_path.write_text(json.dumps(options.model_dump(), indent=2) + "\n", encoding="utf-8")
    generator = np.random.default_rng(seed)
    with h5py.File(weights_path, "w") as file:
        file.attrs[RANDOM_SEED] = seed
        for name, shape in options.datasets().items():
            values = _random(generator, name, shape)
            if name.endswith("W_P_0"):
                values *= np.float32(strength)
            elif name.endswith("W_0"):
                values[: len(values) // 2] *= np.float32(strength)
                # Weaker feedback makes up for stronger output: else the network is chaotic and amplifies rounding.
                values[len(values) // 2 :] /= np.float32(strength)
            file[name] = values
    return options_path, weights_path


def _random(generator: np.random.Generator, name: str, shape: Shape) -> np.ndarray:
    """Random numbers, scaled so that activations neither vanish nor grow from layer to layer."""
    summands = {1: 100, 2: shape[0]}.get(len(shape), int(np.prod(shape[:-1])))
    spread = 1.0 if name == "char_embed" else summands**-0.5
    return generator.standard_normal(shape, np.float32) * np.float32(spread)
