"""A language model from and to the published files, `options.json` and `weights.hdf5`."""

import io
import json
from pathlib import Path

import numpy as np
import torch

from sentiment.elmo.language_model.model import LanguageModel
from sentiment.elmo.options import ElmoOptions
from sentiment.elmo.weights import read_datasets


def load_weights(model: LanguageModel, weights_file: Path) -> None:
    """Set the weights of the encoder to those of a file; what predicts words is in no file and stays as it is.

    Raises:
        ElmoError: the file is missing or damaged, or of a model of other sizes.
    """
    with torch.no_grad():
        for name, values in read_datasets(weights_file, model.options).items():
            model.weights[name].copy_(torch.from_numpy(values))


def options_bytes(options: ElmoOptions) -> bytes:
    """The content of `options.json`."""
    return json.dumps(options.model_dump(), indent=2).encode() + b"\n"


def weights_bytes(weights: dict[str, torch.Tensor], options: ElmoOptions) -> bytes:
    """The content of `weights.hdf5`; the same weights give the same bytes.

    Args:
        weights: of a `LanguageModel`, by their names in its `state_dict`.
    """
    import h5py  # loaded where it is needed: other runs start sooner

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=False) as file:
        for name in options.datasets():
            values = weights[f"weights.{name}"].detach().cpu().numpy().astype(np.float32)
            file.create_dataset(name, data=values, track_times=False)
    return buffer.getvalue()
