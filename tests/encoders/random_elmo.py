"""A tiny ELMo model, and models of any size, with random weights."""

from pathlib import Path

import h5py
import numpy as np

from sentiment.encoders.elmo_files import OPTIONS_FILE, WEIGHTS_FILE, ElmoOptions
from sentiment.files import write_json

TINY_OPTIONS = ElmoOptions.model_validate(
    {
        "char_cnn": {
            "embedding": {"dim": 4},
            "filters": [[1, 4], [2, 8], [3, 16], [4, 32], [5, 64]],
            "n_highway": 2,
            "activation": "relu",
            "max_characters_per_token": 50,
            "n_characters": 262,
        },
        "lstm": {
            "dim": 64,
            "projection_dim": 16,
            "n_layers": 2,
            "cell_clip": 3,
            "proj_clip": 3,
            "use_skip_connections": True,
        },
    }
)


def write_random_model(folder: Path, options: ElmoOptions = TINY_OPTIONS, seed: int = 0) -> tuple[Path, Path]:
    """Write an untrained model; return the paths of its options and its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    options_path = folder / OPTIONS_FILE
    weights_path = folder / WEIGHTS_FILE
    write_json(options_path, options.model_dump())
    generator = np.random.default_rng(seed)
    with h5py.File(weights_path, "w") as file:
        for name, shape in options.datasets().items():
            # Scaled so that activations neither vanish nor grow from layer to layer.
            summands = {1: 100, 2: shape[0]}.get(len(shape), int(np.prod(shape[:-1])))
            spread = np.float32(1.0 if name == "char_embed" else summands**-0.5)
            file.create_dataset(name, data=generator.standard_normal(shape, np.float32) * spread, track_times=False)
    return options_path, weights_path
