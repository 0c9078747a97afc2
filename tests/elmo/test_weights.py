import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sentiment.elmo.files import (
    SIZES,
    ElmoOptions,
    check_weights,
    random_seed,
    read_options,
    read_weights,
    write_random_model,
)
from sentiment.errors import ElmoError
from tests.elmo.tweets import Model

CELL = "RNN_1/RNN/MultiRNNCell/Cell0/LSTMCell"


@pytest.fixture
def copy(tiny: Model, tmp_path: Path) -> Model:
    """The tiny model, to be changed."""
    return Model(*(Path(shutil.copy(path, tmp_path)) for path in (tiny.options, tiny.weights)))


@pytest.fixture
def options(tiny: Model) -> ElmoOptions:
    return read_options(tiny.options)


@pytest.mark.parametrize(
    ("size", "parameters", "vector"),
    [("small", 13_593_296, 256), ("medium", 28_027_728, 512), ("original", 93_600_848, 1024)],
)
def test_published_sizes_have_the_published_parameters(size: str, parameters: int, vector: int) -> None:
    assert SIZES[size].parameters == parameters
    assert SIZES[size].vector_size == vector


def test_random_weights_say_so_and_come_again(tiny: Model, options: ElmoOptions, tmp_path: Path) -> None:
    again = Model(*write_random_model(tmp_path / "again", options, seed=0))
    other = Model(*write_random_model(tmp_path / "other", options, seed=5))
    assert (random_seed(again.weights), random_seed(other.weights)) == (0, 5)
    first, second, third = (read_weights(model.weights, options)["CNN_proj/W_proj"] for model in (tiny, again, other))
    assert (first == second).all()
    assert (first != third).any()


@pytest.mark.shared_data
def test_trained_weights_are_not_called_random(trained_tiny: Model) -> None:
    assert random_seed(trained_tiny.weights) is None


@pytest.mark.parametrize(
    "name", ["char_embed", "CNN/W_cnn_2", "CNN_high_1/b_carry", "CNN_proj/W_proj", f"{CELL}/W_P_0"]
)
def test_a_dataset_of_another_shape_is_named_with_both_shapes(copy: Model, options: ElmoOptions, name: str) -> None:
    wanted = options.datasets()[name]
    with h5py.File(copy.weights, "r+") as file:
        del file[name]
        file[name] = np.zeros((7, *wanted), np.float32)
    for check in (check_weights, read_weights):
        with pytest.raises(ElmoError) as caught:
            check(copy.weights, options)
        for part in (str(copy.weights), f"dataset {name} ", str((7, *wanted)), str(wanted)):
            assert part in str(caught.value)


def test_options_of_another_model_are_found_out_at_the_first_dataset(tiny: Model) -> None:
    with pytest.raises(ElmoError, match=r"dataset char_embed has shape \(261, 4\), the options say \(261, 16\)"):
        check_weights(tiny.weights, SIZES["small"])


@pytest.mark.parametrize("name", ["CNN_proj/b_proj", "RNN_0", CELL])
def test_a_missing_dataset_is_named(copy: Model, options: ElmoOptions, name: str) -> None:
    with h5py.File(copy.weights, "r+") as file:
        del file[name]
    with pytest.raises(ElmoError, match=rf"dataset {name}.* is missing, the options say"):
        check_weights(copy.weights, options)


def test_a_group_in_the_place_of_a_dataset_and_whole_numbers_are_refused(copy: Model, options: ElmoOptions) -> None:
    with h5py.File(copy.weights, "r+") as file:
        del file["CNN_proj/b_proj"]
        file["CNN_proj/b_proj"] = np.zeros(16, np.int32)
    with pytest.raises(ElmoError, match="b_proj has type int32, floating point"):
        check_weights(copy.weights, options)
    with h5py.File(copy.weights, "r+") as file:
        del file["CNN_proj/b_proj"]
        file.create_group("CNN_proj/b_proj")
    with pytest.raises(ElmoError, match="b_proj is missing"):
        check_weights(copy.weights, options)


def test_numbers_that_are_none_are_found(copy: Model, options: ElmoOptions) -> None:
    with h5py.File(copy.weights, "r+") as file:
        file["CNN_proj/W_proj"][3, 2] = np.nan
    with pytest.raises(ElmoError, match="CNN_proj/W_proj holds infinities or NaN"):
        read_weights(copy.weights, options)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_called_so(copy: Model, options: ElmoOptions, kept: float) -> None:
    content = copy.weights.read_bytes()
    copy.weights.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ElmoError, match=r"truncated, damaged or no HDF5 file \([\d,]+ bytes\)"):
        check_weights(copy.weights, options)


@pytest.mark.parametrize("damage", [b"<!DOCTYPE html>" * 1000, b"\x00" * 5000])
def test_what_is_no_hdf5_file_is_called_so(copy: Model, options: ElmoOptions, damage: bytes) -> None:
    copy.weights.write_bytes(damage)
    with pytest.raises(ElmoError, match="no HDF5 file"):
        read_weights(copy.weights, options)


def test_damage_anywhere_gives_an_error_of_ours_or_none(copy: Model, options: ElmoOptions) -> None:
    content = copy.weights.read_bytes()
    found = 0
    for place in range(0, len(content), len(content) // 60):
        copy.weights.write_bytes(content[:place] + b"\xff" * 300 + content[place + 300 :])
        try:
            read_weights(copy.weights, options)
        except ElmoError:
            found += 1
    assert found > 30


def test_a_missing_file_is_named(tmp_path: Path, options: ElmoOptions) -> None:
    with pytest.raises(ElmoError, match=r"nowhere\.hdf5: there is no such file"):
        check_weights(tmp_path / "nowhere.hdf5", options)
    with pytest.raises(ElmoError, match=r"nowhere\.json: cannot be read"):
        read_options(tmp_path / "nowhere.json")


def changed(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    part, name = key.split(".")

    def change(options: dict[str, Any]) -> None:
        options[part][name] = value

    return change


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lstm.dim", 0),
        ("lstm.use_skip_connections", False),
        ("lstm.cell_clip", -1),
        ("char_cnn.activation", "gelu"),
        ("char_cnn.max_characters_per_token", 40),
        ("char_cnn.n_characters", 300),
        ("char_cnn.filters", []),
        ("char_cnn.filters", [[51, 3]]),
    ],
    ids=str,
)
def test_options_that_are_not_known_here_are_named(copy: Model, key: str, value: object) -> None:
    options = json.loads(copy.options.read_bytes())
    changed(key, value)(options)
    copy.options.write_text(json.dumps(options))
    with pytest.raises(ElmoError, match=rf"(?s)options\.json: not options of an ELMo model.*{key}"):
        read_options(copy.options)


def test_all_mistakes_in_options_are_told_at_once(copy: Model) -> None:
    copy.options.write_text('{"lstm": {}, "char_cnn": 3}')
    with pytest.raises(ElmoError, match=r"(?s)char_cnn = 3.*lstm\.dim.*lstm\.proj_clip"):
        read_options(copy.options)
    copy.options.write_text("<html>")
    with pytest.raises(ElmoError, match=r"the file = .*Invalid JSON"):
        read_options(copy.options)


def test_options_of_training_are_understood(copy: Model, options: ElmoOptions) -> None:
    more = json.loads(copy.options.read_bytes()) | {"dropout": 0.1, "n_train_tokens": 768648884}
    more["char_cnn"]["n_characters"] = 261
    copy.options.write_text(json.dumps(more))
    assert read_options(copy.options).datasets() == options.datasets()
