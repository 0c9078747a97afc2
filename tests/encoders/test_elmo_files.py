"""Files of ELMo models: read as they are, and refused in one message where they are damaged, odd or hostile."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sentiment.encoders.elmo_files import ElmoOptions, check_weights, read_weights
from sentiment.encoders.pretrained import read_options
from sentiment.errors import EncoderError
from tests.encoders.tweets import SIZES, Model

PROJECTION, SHAPE = "CNN_proj/W_proj", (124, 16)


@pytest.fixture
def copy(tiny: Model, tmp_path: Path) -> Model:
    return Model(*(Path(shutil.copy(path, tmp_path)) for path in (tiny.options, tiny.weights)))


@pytest.fixture
def options(tiny: Model) -> ElmoOptions:
    return read_options(tiny.options)


@pytest.mark.parametrize(
    ("size", "parameters", "vector"),
    [("small", 13_593_296, 256), ("medium", 28_027_728, 512), ("original", 93_600_848, 1024)],
)
def test_published_sizes_have_the_published_parameters(size: str, parameters: int, vector: int) -> None:
    assert sum(math.prod(shape) for shape in SIZES[size].datasets().values()) == parameters
    assert SIZES[size].vector_size == vector


Change = Callable[[h5py.File, Path], object]


def _dataset(*shape_and_type: Any, **options: Any) -> Change:
    return lambda file, _: file.create_dataset(PROJECTION, *shape_and_type, **options)


def _elsewhere(kind: str) -> Change:
    """Lets the weights stand in another file, as HDF5 can."""

    def change(file: h5py.File, folder: Path) -> None:
        with h5py.File(folder / "other", "w") as other:
            file.copy("CNN_proj", other)
            other[PROJECTION] = other["x"] = np.zeros(SHAPE, np.float32)
        if kind == "a link":
            file[PROJECTION] = h5py.ExternalLink(str(folder / "other"), "x")
        elif kind == "a link to the group":
            del file["CNN_proj"]
            file["CNN_proj"] = h5py.ExternalLink(str(folder / "other"), "CNN_proj")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(SHAPE, np.float32)
            layout[:] = h5py.VirtualSource(folder / "other", "x", SHAPE)
            file.create_virtual_dataset(PROJECTION, layout)
        else:
            (folder / "secret").write_bytes(bytes(4 * int(np.prod(SHAPE))))
            raw = [(str(folder / "secret"), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset(PROJECTION, SHAPE, np.float32, external=raw)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda *_: None, r"is missing, the options say \(124, 16\)"),
        (_dataset((7, *SHAPE), np.float32), r"has shape \(7, 124, 16\) .*the options say \(124, 16\)"),
        (_dataset(SHAPE, np.int32), "and type int32, floating point is needed"),
        (lambda file, _: file.create_group(PROJECTION), "is missing"),
        (_dataset(data=np.full(SHAPE, np.nan, np.float32)), "holds infinities or NaN"),
        *((_elsewhere(kind), "stored in another file") for kind in ("raw", "a link", "a link to the group", "virtual")),
    ],
)
def test_weights_that_are_none_or_elsewhere_are_refused(
    copy: Model, options: ElmoOptions, tmp_path: Path, change: Change, message: str
) -> None:
    with h5py.File(copy.weights, "r+") as file:
        del file[PROJECTION]
        change(file, tmp_path)
    with pytest.raises(EncoderError, match=rf"weights\.hdf5: dataset CNN_proj/.*{message}"):
        read_weights(copy.weights, options)


@pytest.mark.parametrize("content", [0.3, 0.9999, b"<!DOCTYPE html>" * 1000])
def test_a_file_that_is_cut_or_no_hdf5_is_called_so(copy: Model, options: ElmoOptions, content: float | bytes) -> None:
    whole = copy.weights.read_bytes()
    copy.weights.write_bytes(content if isinstance(content, bytes) else whole[: int(len(whole) * content)])
    with pytest.raises(EncoderError, match="missing, truncated or not an HDF5 file"):
        check_weights(copy.weights, options)


def test_damage_anywhere_gives_an_error_of_ours_or_none(copy: Model, options: ElmoOptions) -> None:
    content = copy.weights.read_bytes()
    found = 0
    for place in range(0, len(content), len(content) // 60):
        copy.weights.write_bytes(content[:place] + b"\xff" * 300 + content[place + 300 :])
        for read in (check_weights, read_weights):
            try:
                read(copy.weights, options)
            except EncoderError:
                found += 1
    assert found > 30


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lstm.dim", 10**9),
        ("lstm.n_layers", 10**9),
        ("lstm.use_skip_connections", False),
        ("char_cnn.activation", "gelu"),
        ("char_cnn.max_characters_per_token", 40),
        ("char_cnn.n_highway", 10**9),
        ("char_cnn.filters", [[51, 3]]),
        ("char_cnn.filters", [[1, 10**9]]),
        ("char_cnn.filters", [[1, 4]] * 65),
    ],
    ids=str,
)
def test_options_that_are_not_known_here_are_named(copy: Model, key: str, value: object) -> None:
    values = json.loads(copy.options.read_bytes())
    part, name = key.split(".")
    values[part][name] = value
    copy.options.write_text(json.dumps(values))
    with pytest.raises(EncoderError, match=rf"(?s)options\.json: not options of an ELMo model.*{key}") as caught:
        read_options(copy.options)
    assert len(str(caught.value)) < 600


def test_all_mistakes_in_options_are_told_at_once(copy: Model) -> None:
    copy.options.write_text('{"lstm": {}, "char_cnn": 3}')
    with pytest.raises(EncoderError, match=r"(?s)char_cnn = 3.*lstm\.dim.*lstm\.proj_clip"):
        read_options(copy.options)
    copy.options.write_text("<html>")
    with pytest.raises(EncoderError, match=r"the file = .*invalid JSON"):
        read_options(copy.options)
    with open(copy.options, "wb") as file:
        file.truncate(2**30)
    with pytest.raises(EncoderError, match="larger than 1,000,000 bytes"):
        read_options(copy.options)


def test_options_of_training_are_understood(copy: Model, options: ElmoOptions) -> None:
    more: dict[str, Any] = json.loads(copy.options.read_bytes()) | {"dropout": 0.1, "n_train_tokens": 768648884}
    more["char_cnn"]["n_characters"] = 261
    copy.options.write_text(json.dumps(more))
    assert read_options(copy.options).datasets() == options.datasets()
