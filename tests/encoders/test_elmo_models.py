"""Models are found by name or folder, fetched from wherever they are, and refused once they have changed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentiment.encoders.elmo import ElmoEncoder
from sentiment.encoders.elmo_files import read_weights
from sentiment.encoders.models import PUBLISHED, ElmoFiles, fetch_elmo, find_elmo, published_files
from sentiment.errors import DownloadError, EncoderError
from sentiment.files import sha256_of
from tests.encoders.server import Server
from tests.encoders.tweets import Model
from tests.serving import serving

OPTIONS, WEIGHTS = published_files("small")
NOWHERE = ("http://127.0.0.1:1/",)


@pytest.fixture
def server(tiny: Model, tmp_path: Path) -> Iterator[Server]:
    """Gives a tiny model under the names of the small one."""
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copy(tiny.options, folder / OPTIONS)
    shutil.copy(tiny.weights, folder / WEIGHTS)
    with serving(Server(folder)) as running:
        yield running


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def fetch(server: Server, folder: Path) -> ElmoFiles:
    return fetch_elmo("small", folder, servers=[server.url])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_published_model_arrives_is_remembered_and_found(server: Server, models: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    files = fetch_elmo("small", models, lambda *report: seen.append(report), [server.url])
    size = files.weights_path.stat().st_size
    assert seen[-1] == (f"fetching {WEIGHTS}", size, size)
    (record,) = models.glob("*sha256.json")
    known = {path.name: sha256_of(path) for path in (files.options_path, files.weights_path)}
    assert json.loads(record.read_bytes()) == {"sha256": known}
    assert find_elmo("small", models) == files
    assert ElmoEncoder(files.options, read_weights(files.weights_path, files.options)).vector_size == 32
    asked = list(server.asked)
    assert fetch(server, models) == files
    assert server.asked == asked


def test_an_interrupted_download_is_continued(server: Server, models: Path) -> None:
    server.cut = [10**6, 1000, 5000]
    fetch(server, models)
    starts = [line.split()[-1] for line in server.asked if line.startswith(f"GET {WEIGHTS}")]
    assert starts == ["0", "1000", "6000"]


def test_the_next_server_is_tried_and_all_are_named(server: Server, models: Path) -> None:
    fetch_elmo("small", models, servers=[*NOWHERE, server.url])
    (server.folder / OPTIONS).unlink()
    with pytest.raises(DownloadError, match=r"(?s)options\.json could not be fetched.*HTTP Error 404.*put the file at"):
        fetch(server, models / "elsewhere")


def test_what_does_not_fit_its_options_is_told_with_what_to_do(server: Server, models: Path) -> None:
    (server.folder / WEIGHTS).write_bytes(b"<html>" * 100)
    with pytest.raises(EncoderError, match=r"no HDF5 file .*delete it and fetch it again"):
        fetch(server, models)
    assert not list(models.glob("*sha256.json"))


def test_files_of_a_user_are_taken_without_any_network(server: Server, models: Path) -> None:
    shutil.copytree(server.folder, models)
    assert fetch_elmo("small", models, servers=[]) == find_elmo("small", models)
    assert server.asked == []


def test_a_file_that_changed_since_is_refused_here_and_from_a_server(server: Server, models: Path) -> None:
    path = fetch(server, models).weights_path
    _flip(path)
    for again in (lambda: find_elmo("small", models), lambda: fetch(server, models)):
        with pytest.raises(EncoderError, match=r"weights\.hdf5: is not the file that was fetched first .* delete it"):
            again()
    path.unlink()
    _flip(server.folder / WEIGHTS)
    with pytest.raises(DownloadError, match="is not the expected file"):
        fetch(server, models)


def test_a_missing_or_unknown_model_is_told_with_what_helps(models: Path) -> None:
    for name in PUBLISHED:
        command = f"`sentiment prepare elmo {name}`"
        with pytest.raises(EncoderError, match=rf"'{name}' is not here: .*{published_files(name)[0]} .*{command}"):
            find_elmo(name, models)
    with pytest.raises(EncoderError, match=r"'large': published are small, medium, original, original-5\.5b"):
        fetch_elmo("large", models)
    with pytest.raises(EncoderError, match=r"'large': neither one of small, .*, tiny nor a folder"):
        find_elmo("large", models)


def test_tiny_is_made_when_it_is_needed_and_says_that_it_is_random(models: Path) -> None:
    first, second = (find_elmo("tiny", models) for _ in range(2))
    assert first == second
    assert first.random
    assert [path.name for path in models.iterdir()] == ["tiny"]


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


@pytest.mark.parametrize("kind", ["folder", "file", "http", "in the publishers' folders"])
def test_a_model_comes_from_a_mirror_where_its_publishers_are_gone(
    server: Server, models: Path, tmp_path: Path, kind: str
) -> None:
    served = server.folder
    place = {"folder": str(served), "file": served.as_uri(), "http": server.url}.get(kind)
    if place is None:
        served.rename(tmp_path / PUBLISHED["small"])
        place = str(tmp_path)
    assert fetch_elmo("small", models, servers=NOWHERE, mirrors=[place]) == find_elmo("small", models)


def test_mirrors_are_tried_in_their_order_before_the_publishers_and_all_are_named(
    server: Server, models: Path, tmp_path: Path
) -> None:
    mirrors = [str(tmp_path / "gone"), server.url]
    fetch_elmo("small", models, servers=NOWHERE, mirrors=mirrors)
    with pytest.raises(DownloadError) as refused:
        fetch_elmo("medium", models, servers=NOWHERE, mirrors=mirrors)
    places = [(tmp_path / "gone").as_uri(), server.url, NOWHERE[0]]
    assert sorted(places, key=str(refused.value).index) == places
