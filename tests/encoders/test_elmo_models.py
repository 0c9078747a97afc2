"""Models are found by name or folder, fetched from wherever they are, and refused once they have changed."""

import shutil
from pathlib import Path

import pytest

from sentiment.encoders import pretrained as models_module
from sentiment.encoders.pretrained import PUBLISHED, ElmoFiles, fetch_elmo, find_elmo, published_files
from sentiment.errors import DownloadError, EncoderError
from sentiment.files import sha256_of
from tests.encoders.tweets import Model
from tests.small_runs import flip_bit, unsealed_json

OPTIONS, WEIGHTS = published_files("small")


@pytest.fixture(autouse=True)
def _no_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_module, "SERVERS", ["http://127.0.0.1:1/"])


@pytest.fixture
def mirror(tiny: Model, tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    shutil.copy(tiny.options, folder / OPTIONS)
    shutil.copy(tiny.weights, folder / WEIGHTS)
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def _fetch(place: Path | str, folder: Path) -> ElmoFiles:
    return fetch_elmo("small", folder, mirrors=[str(place)])


def test_model_is_fetched_once(mirror: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _fetch(mirror, models)
    (record,) = models.glob("*sha256.json")
    known = {path.name: sha256_of(path) for path in (files.options_path, files.weights_path)}
    assert unsealed_json(record) == {"sha256": known}
    assert find_elmo("small", models) == files == _fetch("gone", models)
    # As the publishers have them: in a folder for each model.
    mirror.rename(tmp_path / PUBLISHED["small"])
    monkeypatch.setattr(models_module, "SERVERS", [tmp_path.as_uri()])
    assert fetch_elmo("small", models / "other").fingerprint == files.fingerprint


def test_what_does_not_fit_its_options_is_told_with_what_to_do(mirror: Path, models: Path) -> None:
    (mirror / WEIGHTS).write_bytes(b"<html>" * 100)
    with pytest.raises(EncoderError, match=r"not an HDF5 file "):
        _fetch(mirror, models)
    assert not list(models.glob("*sha256.json"))


def test_a_file_that_changed_since_is_refused_here_and_from_a_mirror(mirror: Path, models: Path) -> None:
    path = _fetch(mirror, models).weights_path
    flip_bit(path)
    with pytest.raises(EncoderError, match=r"weights\.hdf5: differs from the first download"):
        find_elmo("small", models)
    path.unlink()
    flip_bit(mirror / WEIGHTS)
    with pytest.raises(DownloadError, match="is not the expected file"):
        _fetch(mirror, models)


def test_a_missing_or_unknown_model_is_told_with_what_helps(models: Path) -> None:
    with pytest.raises(
        EncoderError, match=rf"'small' is not here: .*{OPTIONS} .*`sentiment prepare elmo small --results"
    ):
        find_elmo("small", models)
    published = r"'large': is not published; valid: small, medium, original, original-5\.5b"
    with pytest.raises(EncoderError, match=published):
        fetch_elmo("large", models)
    with pytest.raises(EncoderError, match=r"'large': neither one of small, .* nor a folder"):
        find_elmo("large", models)


def test_a_folder_is_a_model_whatever_its_two_files_are_called(tiny: Model, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(EncoderError, match="there is none"):
        find_elmo(str(folder), tmp_path)
    shutil.copy(tiny.options, folder / "some_options.json")
    shutil.copy(tiny.weights, folder / "model.hdf5")
    assert find_elmo(str(folder), tmp_path).fingerprint == find_elmo(str(tiny.options.parent), tmp_path).fingerprint
    shutil.copy(tiny.weights, folder / "another.hdf5")
    with pytest.raises(EncoderError, match=r"one file whose name ends in \.hdf5; there is another\.hdf5, "):
        find_elmo(str(folder), tmp_path)
