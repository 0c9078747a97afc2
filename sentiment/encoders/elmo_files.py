"""The format of an ELMo model: a token's character ids, `options.json` and `weights.hdf5`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from sentiment.errors import EncoderError
from sentiment.tokens import Integers

if TYPE_CHECKING:  # most runs read no ELMo vectors: they load no h5py
    import h5py

# Character ids per token; longer tokens are cut, possibly inside a character.
CHARACTERS = 50

# All ids are one more than the rows of the weight file, where bytes begin at 0: here 0 means "no token".
_SENTENCE_START = 257
_SENTENCE_END = 258
_WORD_START = 259
_WORD_END = 260
# Fills the rest after a token's end. It has a learned vector and takes part in the maximum over positions.
NO_CHARACTER = 261
CHARACTER_KINDS = 262

# The tokens before and after each sentence. A tweet with such a token gets the same ids for it, as in allennlp.
SENTENCE_START = "<S>"
SENTENCE_END = "</S>"
_BOUNDARIES = {SENTENCE_START: _SENTENCE_START, SENTENCE_END: _SENTENCE_END}


def character_ids(tokens: Sequence[str]) -> Integers:
    """The character ids of tokens as in bilm-tf and allennlp: (tokens, 50) of int64, each from 1 to 261.

    Any string may be a token, also the empty one. Lone surrogates, which have no UTF-8 form, are left out.
    """
    encoded = [token.encode("utf-8", "ignore")[: CHARACTERS - 2] for token in tokens]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    ids = np.full((len(encoded), CHARACTERS), NO_CHARACTER, np.int64)
    ids[:, 0] = _WORD_START
    used = np.arange(CHARACTERS - 2) < lengths[:, None]
    ids[:, 1:-1][used] = np.frombuffer(b"".join(encoded), np.uint8).astype(np.int64) + 1
    ids[np.arange(len(encoded)), lengths + 1] = _WORD_END
    for row, token in enumerate(tokens):
        if token in _BOUNDARIES:
            ids[row] = [_WORD_START, _BOUNDARIES[token], _WORD_END] + [NO_CHARACTER] * (CHARACTERS - 3)
    return ids


Shape = tuple[int, ...]

# Forward and backward, in this order.
DIRECTIONS = 2
# Gates of an LSTM; their order in the files is input, candidate, forget, output.
GATES = 4
# TensorFlow adds it to the forget gate at run time and does not store it.
FORGET_BIAS = 1.0
# Far above all published models, so that absurd sizes are rejected before memory is allocated.
_Size = Annotated[int, Field(ge=1, le=65_536)]
_Width = Annotated[int, Field(ge=1, le=CHARACTERS)]


class _Options(BaseModel):
    # Files of training runs have many more fields, which say nothing about the encoder.
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Embedding(_Options):
    dim: _Size


class CharacterCnn(_Options):
    """The network that turns the characters of a token into a vector."""

    embedding: _Embedding
    # Width in characters, and number of filters of that width.
    filters: Annotated[tuple[tuple[_Width, _Size], ...], Field(min_length=1, max_length=64)]
    n_highway: Annotated[int, Field(ge=0, le=64)]
    activation: Literal["relu", "tanh"]
    max_characters_per_token: Literal[50]
    # 261 in options of bilm-tf's training, which do not count the id for "no token"; 262 in published files.
    n_characters: Literal[261, 262]


class Lstm(_Options):
    """The LSTM layers; all have the same sizes, in both directions."""

    dim: _Size  # cells per layer and direction
    projection_dim: _Size  # of the recurrent state of one direction, and of its half of a vector
    n_layers: Literal[2]
    cell_clip: PositiveFloat | None  # largest absolute value of a cell; None: no limit
    proj_clip: PositiveFloat | None  # of the projected state
    use_skip_connections: Literal[True]


class ElmoOptions(_Options):
    """Sizes of an ELMo model (Peters et al. 2018), named as in the published files."""

    char_cnn: CharacterCnn
    lstm: Lstm

    @property
    def vector_size(self) -> int:
        return DIRECTIONS * self.lstm.projection_dim

    def datasets(self) -> dict[str, Shape]:
        """Name and shape of each dataset of the weights, in the order of their use."""
        cnn = self.char_cnn
        size = self.lstm.projection_dim
        features = sum(count for _, count in cnn.filters)
        shapes: dict[str, Shape] = {"char_embed": (CHARACTER_KINDS - 1, cnn.embedding.dim)}
        for number, (width, count) in enumerate(cnn.filters):
            shapes[f"CNN/W_cnn_{number}"] = (1, width, cnn.embedding.dim, count)
            shapes[f"CNN/b_cnn_{number}"] = (count,)
        for number in range(cnn.n_highway):
            for kind in ("transform", "carry"):
                shapes[f"CNN_high_{number}/W_{kind}"] = (features, features)
                shapes[f"CNN_high_{number}/b_{kind}"] = (features,)
        shapes |= {"CNN_proj/W_proj": (features, size), "CNN_proj/b_proj": (size,)}
        for direction in range(DIRECTIONS):
            for layer in range(self.lstm.n_layers):
                cell = cell_group(direction, layer)
                shapes[f"{cell}/W_0"] = (2 * size, GATES * self.lstm.dim)
                shapes[f"{cell}/B"] = (GATES * self.lstm.dim,)
                shapes[f"{cell}/W_P_0"] = (self.lstm.dim, size)
        return shapes


def cell_group(direction: int, layer: int) -> str:
    return f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"


OPTIONS_FILE = "options.json"
WEIGHTS_FILE = "weights.hdf5"


def check_weights(path: Path, options: ElmoOptions) -> None:
    """Check names and shapes of the weights without reading them.

    Raises:
        EncoderError: the file is missing or damaged, or does not fit the options.
    """
    with _opened(path) as file:
        for name, shape in options.datasets().items():
            _dataset(file, name, shape, path)


def read_weights(path: Path, options: ElmoOptions) -> dict[str, np.ndarray]:
    """The weights of a model by dataset name, unchanged, as float32.

    Raises:
        EncoderError: as for `check_weights`, or a value is not finite.
    """
    arrays = {}
    with _opened(path) as file:
        for name, shape in options.datasets().items():
            try:
                arrays[name] = np.asarray(_dataset(file, name, shape, path)[...], np.float32)
            except (OSError, RuntimeError) as error:
                raise EncoderError(f"{path}: dataset {name} cannot be read, the file is damaged: {error}") from None
            if not np.isfinite(arrays[name]).all():
                raise EncoderError(f"{path}: dataset {name} holds infinities or NaN; the file is damaged")
    return arrays


def _opened(path: Path) -> "h5py.File":
    import h5py

    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        hint = "if it was downloaded, delete it and download it again"
        raise EncoderError(f"{path}: missing, truncated or not an HDF5 file ({error}); {hint}") from None


def _dataset(file: "h5py.File", name: str, shape: Shape, path: Path) -> "h5py.Dataset":
    """Return a dataset; refuse links and external storage, which could lead to any file of the machine."""
    import h5py

    try:
        dataset = file.get(name)
    except (KeyError, OSError, RuntimeError) as error:
        raise EncoderError(f"{path}: dataset {name} cannot be opened, the file is damaged: {error}") from None
    expected = f"the options say {shape}; do options and weights belong together?"
    if not isinstance(dataset, h5py.Dataset):
        raise EncoderError(f"{path}: dataset {name} is missing, {expected}")
    if dataset.shape != shape or dataset.dtype.kind != "f":
        problem = f"has shape {dataset.shape} and type {dataset.dtype}, floating point is needed, and {expected}"
        raise EncoderError(f"{path}: dataset {name} {problem}")
    if dataset.file.filename != file.filename or dataset.external or dataset.is_virtual:
        raise EncoderError(f"{path}: dataset {name} is stored in another file; external datasets are not supported")
    return dataset
