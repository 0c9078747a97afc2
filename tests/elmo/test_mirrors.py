"""Published models survive their host: mirrors, folders, `file://`, and whatever the files are called."""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentiment.data.download import Mirrors, read_mirrors
from sentiment.elmo.models import PUBLISHED, fetch_elmo, find_elmo
from sentiment.errors import ConfigError, DownloadError, ElmoError
from tests.elmo.server import Server
from tests.elmo.tweets import Model
from tests.serving import serving

SMALL = PUBLISHED["small"]
NOWHERE = ("http://127.0.0.1:1/",)


@pytest.fixture
def served(tiny: Model, tmp_path: Path) -> Path:
    """A folder with a tiny model under the names of the small one."""
    folder = tmp_path / "a mirror"
    folder.mkdir()
    shutil.copy(tiny.options, folder / SMALL.options_file)
    shutil.copy(tiny.weights, folder / SMALL.weights_file)
    return folder


@pytest.fixture
def server(served: Path) -> Iterator[Server]:
    with serving(Server(served)) as running:
        yield running


@pytest.mark.parametrize("kind", ["folder", "file", "http", "in the publishers' folders"])
def test_a_model_comes_from_a_mirror_where_its_publishers_are_gone(
    server: Server, served: Path, tmp_path: Path, kind: str
) -> None:
    place = {"folder": str(served), "file": served.as_uri(), "http": server.url}.get(kind)
    if place is None:
        served.rename(tmp_path / SMALL.folder)
        place = str(tmp_path)
    files = fetch_elmo("small", tmp_path / "models", servers=NOWHERE, mirrors=[place])
    assert find_elmo("small", tmp_path / "models") == files
    assert files.options.vector_size == 32


def test_mirrors_are_tried_in_their_order_before_the_publishers_and_all_are_named(
    server: Server, tmp_path: Path
) -> None:
    fetch_elmo("small", tmp_path / "models", servers=NOWHERE, mirrors=[str(tmp_path / "gone"), server.url])
    with pytest.raises(DownloadError) as refused:
        fetch_elmo("medium", tmp_path / "models", servers=NOWHERE, mirrors=[str(tmp_path / "gone"), server.url])
    message = str(refused.value)
    places = [(tmp_path / "gone").as_uri(), server.url, NOWHERE[0]]
    assert sorted(places, key=message.index) == places


def test_the_file_of_mirrors_names_places_and_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_mirrors() == Mirrors()
    path = tmp_path / "mirrors.yaml"
    path.write_text("elmo: [/shared/elmo, 'https://example.org/']\n")
    assert read_mirrors(path) == Mirrors(elmo=("/shared/elmo", "https://example.org/"))
    path.write_text("elmo: /shared/elmo\nglov: []\n")
    with pytest.raises(ConfigError, match=r"(?s)elmo = '/shared/elmo'.*glov: unknown key .* valid: elmo"):
        read_mirrors(path)
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file"):
        read_mirrors(tmp_path / "gone.yaml")


def test_the_shipped_file_of_mirrors_is_valid() -> None:
    assert read_mirrors(Path(__file__).parents[2] / "configs" / "mirrors.yaml") == Mirrors()


@pytest.mark.parametrize("weights", ["model.hdf5", "elmo_weights_12262018.hdf5"])
def test_any_single_hdf5_file_beside_options_is_a_model(tiny: Model, tmp_path: Path, weights: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(tiny.options, folder / "options.json")
    shutil.copy(tiny.weights, folder / weights)
    assert find_elmo(str(folder), tmp_path).fingerprint == find_elmo(str(tiny.options.parent), tmp_path).fingerprint
    shutil.copy(tiny.weights, folder / "another.hdf5")
    with pytest.raises(ElmoError, match=r"one file whose name ends in \.hdf5; there is another\.hdf5, "):
        find_elmo(str(folder), tmp_path)


def _archive(path: Path, tiny: Model, folder: str = "") -> Path:
    """As NLPL packs models."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tiny.options, f"{folder}options.json")
        archive.write(tiny.weights, f"{folder}model.hdf5")
        archive.writestr("README", "who made this")
    return path


@pytest.mark.parametrize("folder", ["", "inner/", "../../outside/"])
def test_a_zip_with_both_files_is_a_model_and_is_unpacked_once(tiny: Model, tmp_path: Path, folder: str) -> None:
    archive, models = _archive(tmp_path / "144.zip", tiny, folder), tmp_path / "deep" / "er" / "models"
    models.mkdir(parents=True)
    files = find_elmo(str(archive), models)
    assert files.fingerprint == find_elmo(str(tiny.options.parent), models).fingerprint
    assert files.weights_path.parent.parent == models
    assert not (tmp_path / "deep" / "outside").exists()
    before = files.weights_path.stat().st_mtime_ns
    assert find_elmo(str(archive), models) == files
    assert files.weights_path.stat().st_mtime_ns == before
    assert len(list(models.iterdir())) == 1


def test_a_damaged_zip_is_refused_and_leaves_nothing(tiny: Model, tmp_path: Path) -> None:
    archive, models = _archive(tmp_path / "144.zip", tiny), tmp_path / "models"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 255
    archive.write_bytes(content)
    models.mkdir()
    with pytest.raises(ElmoError, match=r"144\.zip: cannot be unpacked"):
        find_elmo(str(archive), models)
    assert list(models.iterdir()) == []
