"""ELMo models that were made to fill the memory, to read other files, or to confuse: each is refused in one message."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sentiment.data import download as download_module
from sentiment.elmo import models as models_module
from sentiment.elmo.files import RANDOM_SEED, read_options
from sentiment.elmo.models import find_elmo
from sentiment.errors import DownloadError, ElmoError
from tests.elmo.tweets import Model

PROJECTION = "CNN_proj/W_proj"


@pytest.fixture
def copy(tiny: Model, tmp_path: Path) -> Path:
    """The folder of a tiny model, to be changed."""
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(tiny.options, folder / "options.json")
    shutil.copy(tiny.weights, folder / "weights.hdf5")
    return folder


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("lstm", "n_layers", 10**9),
        ("lstm", "dim", 10**9),
        ("lstm", "projection_dim", 65_537),
        ("char_cnn", "n_highway", 10**9),
        ("char_cnn", "filters", [[1, 10**9]]),
        ("char_cnn", "filters", [[1, 4]] * 65),
        ("char_cnn", "embedding", {"dim": 10**9}),
    ],
)
def test_sizes_beyond_all_models_are_refused_with_the_bound(copy: Path, section: str, name: str, value: Any) -> None:
    path = copy / "options.json"
    options = json.loads(path.read_text())
    options[section][name] = value
    path.write_text(json.dumps(options))
    with pytest.raises(ElmoError, match=r"less than or equal to (64|65536)|at most 64") as caught:
        find_elmo(str(copy), copy)
    assert len(str(caught.value)) < 600


def test_options_of_a_gigabyte_are_not_read(copy: Path) -> None:
    with open(copy / "options.json", "wb") as file:
        file.truncate(2**30)
    with pytest.raises(ElmoError, match="larger than 1,000,000 bytes"):
        read_options(copy / "options.json")


def _sparse(file: h5py.File, shape: tuple[int, ...], folder: Path) -> None:
    file.create_dataset(PROJECTION, shape, np.float32, chunks=True)


def _external_raw(file: h5py.File, shape: tuple[int, ...], folder: Path) -> None:
    (folder / "secret").write_bytes(bytes(4 * int(np.prod(shape))))
    file.create_dataset(PROJECTION, shape, np.float32, external=[(str(folder / "secret"), 0, h5py.h5f.UNLIMITED)])


def _external_link(file: h5py.File, shape: tuple[int, ...], folder: Path) -> None:
    with h5py.File(folder / "other", "w") as other:
        other["x"] = np.zeros(shape, np.float32)
    file[PROJECTION] = h5py.ExternalLink(str(folder / "other"), "x")


def _soft_link(file: h5py.File, shape: tuple[int, ...], folder: Path) -> None:
    file["elsewhere"] = np.zeros(shape, np.float32)
    file[PROJECTION] = h5py.SoftLink("/elsewhere")


def _group_link(file: h5py.File, shape: tuple[int, ...], folder: Path) -> None:
    with h5py.File(folder / "other", "w") as other:
        file.copy("CNN_proj", other)
        other["CNN_proj/W_proj"] = np.zeros(shape, np.float32)
    del file["CNN_proj"]
    file["CNN_proj"] = h5py.ExternalLink(str(folder / "other"), "CNN_proj")


def _virtual(file: h5py.File, shape: tuple[int, ...], folder: Path) -> None:
    layout = h5py.VirtualLayout(shape, np.float32)
    with h5py.File(folder / "other", "w") as other:
        other["x"] = np.zeros(shape, np.float32)
    layout[:] = h5py.VirtualSource(folder / "other", "x", shape)
    file.create_virtual_dataset(PROJECTION, layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_sparse, "but the file holds 0 of them"),
        (_external_raw, "stands in another file"),
        (_external_link, f"{PROJECTION} is a link"),
        (_soft_link, f"{PROJECTION} is a link"),
        (_group_link, "CNN_proj is a link"),
        (_virtual, "stands in another file"),
    ],
)
def test_weights_that_are_elsewhere_or_nowhere_are_refused(
    copy: Path, tmp_path: Path, change: Callable[[h5py.File, tuple[int, ...], Path], None], message: str
) -> None:
    with h5py.File(copy / "weights.hdf5", "r+") as file:
        shape = file[PROJECTION].shape
        del file[PROJECTION]
        change(file, shape, tmp_path)
    with pytest.raises(ElmoError, match=message):
        find_elmo(str(copy), copy)


@pytest.mark.parametrize("seed", ["words", np.zeros(3)])
def test_odd_attribute_is_named(copy: Path, seed: Any) -> None:
    with h5py.File(copy / "weights.hdf5", "r+") as file:
        file.attrs[RANDOM_SEED] = seed
    with pytest.raises(ElmoError, match="attribute random_seed is no whole number"):
        find_elmo(str(copy), copy)


@pytest.mark.parametrize("length", ["many", "-5", "0", "1e9", "99999999999999999999", ""])
def test_size_that_a_server_makes_up_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, length: str) -> None:
    class Answer:
        headers = {"Content-Length": length}  # noqa: RUF012

        def __enter__(self) -> "Answer":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(download_module.urllib.request, "urlopen", lambda *_, **__: Answer())
    with pytest.raises(DownloadError, match=r"1 to 10,000,000,000 bytes are expected"):
        models_module.fetch_elmo("small", tmp_path)
