"""The file `options.json` of an ELMo model: its sizes, and the names and shapes of the datasets of its weights."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from sentiment.elmo.encoder.characters import CHARACTER_KINDS, CHARACTERS
from sentiment.errors import ElmoError
from sentiment.files import read_named

Shape = tuple[int, ...]

DIRECTIONS = 2
"""Forward and backward, in this order."""
GATES = 4
_MOST_BYTES = 1_000_000


# Far above all published models, so that a wrong number is refused before anything is made of it.
Size = Annotated[int, Field(ge=1, le=65_536)]
"""Of a vector."""
Width = Annotated[int, Field(ge=1, le=CHARACTERS)]
"""Of a filter, in characters."""
Depth = Annotated[int, Field(ge=1, le=64)]
"""Of a stack of layers."""


class _Part(BaseModel):
    # Files of training runs have many more fields, which say nothing about the encoder.
    model_config = ConfigDict(frozen=True, extra="ignore")


class CharacterEmbedding(_Part):
    """The learned vector of a byte or mark."""

    dim: Size


class CharacterCnn(_Part):
    """The network that turns the characters of a token into a vector."""

    embedding: CharacterEmbedding
    filters: Annotated[tuple[tuple[Width, Size], ...], Field(min_length=1, max_length=64)]
    """Width in characters and number of filters of that width."""
    n_highway: Annotated[int, Field(ge=0, le=64)]
    activation: Literal["relu", "tanh"]
    max_characters_per_token: Annotated[int, Field(ge=CHARACTERS, le=CHARACTERS)]
    # 261 in options of bilm-tf's training, which do not count the kind for "no token"; 262 in published files.
    n_characters: Annotated[int, Field(ge=CHARACTER_KINDS - 1, le=CHARACTER_KINDS)]

    @property
    def features(self) -> int:
        """Number of filters of all widths."""
        return sum(count for _, count in self.filters)


class Lstm(_Part):
    """The LSTM layers; all have the same sizes, in both directions."""

    dim: Size
    """Cells per layer and direction."""
    projection_dim: Size
    """Size of the recurrent state of one direction, and of its half of a vector."""
    n_layers: Depth
    cell_clip: PositiveFloat | None
    """Largest absolute value of a cell; None: no limit."""
    proj_clip: PositiveFloat | None
    """Largest absolute value of the projected state."""
    use_skip_connections: Literal[True]


class ElmoOptions(_Part):
    """Sizes of an ELMo model (Peters et al. 2018), named as in the published files."""

    char_cnn: CharacterCnn
    lstm: Lstm

    @property
    def vector_size(self) -> int:
        """Values per token and layer, of both directions."""
        return DIRECTIONS * self.lstm.projection_dim

    def datasets(self) -> dict[str, Shape]:
        """Name and shape of each dataset of the weights, in the order of their use."""
        cnn, features, size = self.char_cnn, self.char_cnn.features, self.lstm.projection_dim
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

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(shape) for shape in self.datasets().values())


def cell_group(direction: int, layer: int) -> str:
    """The HDF5 group of one layer's weights in one direction."""
    return f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"


def read_options(path: Path) -> ElmoOptions:
    """Read and check the options of a model.

    Raises:
        ElmoError: the file cannot be read, is no JSON, or has values that are not valid; the message lists all of them.
    """
    try:
        return ElmoOptions.model_validate_json(read_named(path, _MOST_BYTES))
    except OSError as error:
        raise ElmoError(f"{path}: cannot be read as options of an ELMo model: {error.strerror or error}") from None
    except ValidationError as error:
        mistakes = [
            f"  {'.'.join(map(str, one['loc'])) or 'the file'} = {_shortened(one['input'])}: {one['msg']}"
            for one in error.errors()
        ]
        raise ElmoError("\n".join([f"{path}: not options of an ELMo model:", *mistakes])) from None


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
