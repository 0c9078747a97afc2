"""The file `weights.hdf5` of an ELMo model: checked against its options, and read into this encoder's layout."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sentiment.elmo.options import GATES, ElmoOptions, cell_group
from sentiment.errors import ElmoError

if TYPE_CHECKING:  # most models read no ELMo vectors, and need not have it installed
    import h5py

RANDOM_SEED = "random_seed"
"""Attribute of files that hold random numbers instead of a trained model."""

_FORGET_BIAS = 1.0
# Weights hardly shrink when they are compressed; a file that claims more is damaged or made to fill the memory.
_LARGEST_COMPRESSION = 100


@dataclass(frozen=True)
class CellWeights:
    """One LSTM layer in one direction; gates in the order input, forget, output, candidate."""

    input: np.ndarray
    """(vector, gates, cells)"""
    recurrent: np.ndarray
    """(vector, gates, cells)"""
    bias: np.ndarray
    """(gates, cells), including the constant that TensorFlow adds to the forget gate."""
    projection: np.ndarray
    """(cells, vector)"""


@dataclass(frozen=True)
class Highway:
    """A layer of the character network: y = g * relu(x T) + (1 - g) * x with g = sigmoid(x G); T and G side by side."""

    weight: np.ndarray
    """(features, 2 * features): T, G."""
    bias: np.ndarray
    """(2 * features,)"""


@dataclass(frozen=True)
class Weights:
    """The weights of a model, float32 arrays for products of the form `x @ weight`."""

    characters: np.ndarray
    """(262, character): row 0 is zero, for "no token"."""
    filters: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Weight (width * character, filters) and bias (filters,) for each width."""
    highways: tuple[Highway, ...]
    projection: np.ndarray
    """(features, vector)"""
    projection_bias: np.ndarray
    """(vector,)"""
    cells: tuple[tuple[CellWeights, CellWeights], ...]
    """Forward and backward, for each layer."""


def check_weights(path: Path, options: ElmoOptions) -> None:
    """Compare the structure of a file with the options, without reading its values.

    Raises:
        ElmoError: the file is missing or damaged, or a dataset is missing or differs; the message names the first one.
    """
    with _opened(path) as file:
        for name, shape in options.datasets().items():
            _dataset(file, name, shape, path)


def random_seed(path: Path) -> int | None:
    """The seed of a file of random numbers; None for a trained model.

    Raises:
        ElmoError: the file is missing or damaged.
    """
    with _opened(path) as file:
        try:
            return int(file.attrs[RANDOM_SEED]) if RANDOM_SEED in file.attrs else None
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise ElmoError(f"{path}: attribute {RANDOM_SEED} is no whole number: {error}") from None


def read_weights(path: Path, options: ElmoOptions) -> Weights:
    """Read the weights of a model.

    Raises:
        ElmoError: the file is missing or damaged, or a dataset is missing, differs in shape from the options or holds
            values that are not finite; the message names the dataset.
    """
    return _own_layout(read_datasets(path, options), options)


def read_datasets(path: Path, options: ElmoOptions) -> dict[str, np.ndarray]:
    """The same as they stand in the file, by their names.

    Raises:
        ElmoError: likewise.
    """
    arrays = {}
    with _opened(path) as file:
        for name, shape in options.datasets().items():
            dataset = _dataset(file, name, shape, path)
            try:
                arrays[name] = np.asarray(dataset[...], np.float32)
            except (OSError, RuntimeError) as error:
                raise ElmoError(f"{path}: dataset {name} cannot be read, the file is damaged: {error}") from None
            if not np.isfinite(arrays[name]).all():
                raise ElmoError(f"{path}: dataset {name} holds infinities or NaN; the file is damaged")
    return arrays


def _opened(path: Path) -> "h5py.File":
    import h5py

    if not path.is_file():
        raise ElmoError(f"{path}: there is no such file of ELMo weights")
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        size = path.stat().st_size
        raise ElmoError(f"{path}: truncated, damaged or no HDF5 file ({size:,} bytes): {error}") from None


def _dataset(file: "h5py.File", name: str, shape: tuple[int, ...], path: Path) -> "h5py.Dataset":
    import h5py

    wanted = f"the options say {shape}; do options and weights belong together?"
    try:
        _refuse_links(file, name, path)
        dataset = file.get(name)
    except (KeyError, OSError, RuntimeError) as error:
        raise ElmoError(f"{path}: dataset {name} cannot be opened, the file is damaged: {error}") from None
    if not isinstance(dataset, h5py.Dataset):
        raise ElmoError(f"{path}: dataset {name} is missing, {wanted}")
    if dataset.shape != shape:
        raise ElmoError(f"{path}: dataset {name} has shape {dataset.shape}, {wanted}")
    if dataset.dtype.kind != "f":
        raise ElmoError(f"{path}: dataset {name} has type {dataset.dtype}, floating point numbers are needed")
    if dataset.external or dataset.is_virtual:
        raise ElmoError(f"{path}: dataset {name} stands in another file; only what the file itself holds is read")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > _LARGEST_COMPRESSION * stored:
        raise ElmoError(
            f"{path}: dataset {name} would fill {dataset.nbytes:,} bytes, but the file holds {stored:,} of them"
        )
    return dataset


def _refuse_links(file: "h5py.File", name: str, path: Path) -> None:
    """Refuse a dataset that is reached through a link, which can lead into any file of this machine."""
    import h5py

    parts = name.split("/")
    for length in range(1, len(parts) + 1):
        link = file.get("/".join(parts[:length]), getlink=True)
        if link is None:
            return
        if not isinstance(link, h5py.HardLink):
            raise ElmoError(f"{path}: {'/'.join(parts[:length])} is a link; only what the file itself holds is read")


def _own_layout(arrays: Mapping[str, np.ndarray], options: ElmoOptions) -> Weights:
    cnn = options.char_cnn
    characters = arrays["char_embed"]
    return Weights(
        # The file has no row for "no token", whose id is 0.
        characters=np.concatenate([np.zeros_like(characters[:1]), characters]),
        filters=tuple(
            (arrays[f"CNN/W_cnn_{number}"].reshape(-1, count), arrays[f"CNN/b_cnn_{number}"])
            for number, (_, count) in enumerate(cnn.filters)
        ),
        highways=tuple(
            # The gate that the file calls "carry" multiplies the transformed value.
            Highway(
                np.concatenate([arrays[f"CNN_high_{number}/W_{kind}"] for kind in ("transform", "carry")], axis=1),
                np.concatenate([arrays[f"CNN_high_{number}/b_{kind}"] for kind in ("transform", "carry")]),
            )
            for number in range(cnn.n_highway)
        ),
        projection=arrays["CNN_proj/W_proj"],
        projection_bias=arrays["CNN_proj/b_proj"],
        cells=tuple(
            (_cell(arrays, options, 0, layer), _cell(arrays, options, 1, layer))
            for layer in range(options.lstm.n_layers)
        ),
    )


def _cell(arrays: Mapping[str, np.ndarray], options: ElmoOptions, direction: int, layer: int) -> CellWeights:
    group, size, cells = cell_group(direction, layer), options.lstm.projection_dim, options.lstm.dim
    # TensorFlow has the order input, candidate, forget, output. Here the three with a sigmoid stand together.
    order = [0, 2, 3, 1]
    weight = arrays[f"{group}/W_0"].reshape(2 * size, GATES, cells)[:, order]
    bias = arrays[f"{group}/B"].reshape(GATES, cells)[order]
    bias[1] += _FORGET_BIAS  # which TensorFlow adds at run time and does not store
    return CellWeights(weight[:size], weight[size:], bias, arrays[f"{group}/W_P_0"])
