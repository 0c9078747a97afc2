import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentiment.elmo.encoder import ElmoEncoder
from sentiment.elmo.models import PUBLISHED, ModelFiles, fetch_elmo, find_elmo
from sentiment.errors import DownloadError, ElmoError
from tests.elmo.server import Server
from tests.elmo.tweets import Model
from tests.serving import serving

SMALL = PUBLISHED["small"]


@pytest.fixture
def server(tiny: Model, tmp_path: Path) -> Iterator[Server]:
    """Gives a tiny model under the names of the small one."""
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copy(tiny.options, folder / SMALL.options_file)
    shutil.copy(tiny.weights, folder / SMALL.weights_file)
    with serving(Server(folder)) as running:
        yield running


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def fetch(server: Server, folder: Path) -> ModelFiles:
    return fetch_elmo("small", folder, servers=[server.url])


def test_a_published_model_arrives_is_remembered_and_found(server: Server, models: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    files = fetch_elmo("small", models, lambda *report: seen.append(report), [server.url])
    size = files.weights_path.stat().st_size
    assert seen[-1] == (f"fetching {SMALL.weights_file}", size, size)
    record = json.loads((models / SMALL.record_file).read_bytes())
    assert record[SMALL.weights_file] == {"size": size, "sha256": files.checksums[SMALL.weights_file]}
    assert find_elmo("small", models) == files
    assert ElmoEncoder(files.options, files.read_weights()).vector_size == 32
    asked = list(server.asked)
    assert fetch(server, models) == files
    assert server.asked == asked


def test_an_interrupted_download_is_continued(server: Server, models: Path) -> None:
    server.cut = [10**6, 1000, 5000]
    fetch(server, models)
    starts = [line.split()[-1] for line in server.asked if line.startswith(f"GET {SMALL.weights_file}")]
    assert starts == ["0", "1000", "6000"]


def test_the_next_server_is_tried_and_all_are_named(server: Server, models: Path) -> None:
    fetch_elmo("small", models, servers=["http://127.0.0.1:1/", server.url])
    (server.folder / SMALL.options_file).unlink()
    with pytest.raises(DownloadError, match=r"(?s)options\.json could not be fetched.*HTTP Error 404.*put the file at"):
        fetch(server, models / "elsewhere")


def test_a_known_size_is_insisted_on(server: Server, models: Path) -> None:
    original = PUBLISHED["original"]
    for mine, theirs in ((SMALL.options_file, original.options_file), (SMALL.weights_file, original.weights_file)):
        (server.folder / mine).rename(server.folder / theirs)
    with pytest.raises(DownloadError, match=r"ended after [\d,]+ of 374,434,792 bytes"):
        fetch_elmo("original", models, servers=[server.url])
    shutil.copy(server.folder / original.weights_file, models)
    with pytest.raises(ElmoError, match=r"has [\d,]+ bytes where 374,434,792 are expected; delete it"):
        find_elmo("original", models)


def test_what_does_not_fit_its_options_is_not_kept(server: Server, models: Path) -> None:
    (server.folder / SMALL.weights_file).write_bytes(b"<html>" * 100)
    with pytest.raises(ElmoError, match="no HDF5 file"):
        fetch(server, models)
    assert list(models.iterdir()) == []


def test_files_of_a_user_are_taken_without_any_network(server: Server, models: Path) -> None:
    shutil.copytree(server.folder, models)
    files = fetch_elmo("small", models, servers=[])
    assert (models / SMALL.record_file).exists()
    assert find_elmo("small", models) == files
    assert server.asked == []


def test_a_file_that_changed_since_is_refused(server: Server, models: Path) -> None:
    path = fetch(server, models).weights_path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for again in (lambda: find_elmo("small", models), lambda: fetch(server, models)):
        with pytest.raises(ElmoError, match=r"weights\.hdf5: is not the file that was fetched first .* delete it"):
            again()
    path.write_bytes(content[:-1])
    with pytest.raises(ElmoError, match=r"has [\d,]+ bytes where [\d,]+ are expected"):
        find_elmo("small", models)


def test_a_server_whose_file_changed_since_is_refused(server: Server, models: Path) -> None:
    fetch(server, models).weights_path.unlink()
    served = server.folder / SMALL.weights_file
    content = bytearray(served.read_bytes())
    content[-1] ^= 1
    served.write_bytes(content)
    with pytest.raises(DownloadError, match="is not the expected file"):
        fetch(server, models)


def test_a_missing_model_names_the_command_that_fetches_it(models: Path) -> None:
    for name, published in PUBLISHED.items():
        command = f"`make elmo-weights MODELS={name}`"
        with pytest.raises(ElmoError, match=rf"'{name}' is not here: .*{published.options_file} .*{command}"):
            find_elmo(name, models)


def test_an_unknown_name_is_told_what_there_is(models: Path) -> None:
    with pytest.raises(ElmoError, match=r"'large': published are small, medium, original, original-5\.5b"):
        fetch_elmo("large", models)
    with pytest.raises(ElmoError, match=r"'large': neither one of small, .*, tiny nor a folder"):
        find_elmo("large", models)


def test_damaged_record_of_checksums_is_named(server: Server, models: Path) -> None:
    fetch(server, models)
    (models / SMALL.record_file).write_text("[1]")
    with pytest.raises(ElmoError, match=r"checksums\.json: the recorded checksums cannot be read"):
        find_elmo("small", models)


def test_tiny_is_made_when_it_is_needed_and_says_that_it_is_random(models: Path) -> None:
    models.mkdir()
    first, second = (find_elmo("tiny", models) for _ in range(2))
    assert first == second
    assert first.random
    assert [path.name for path in models.iterdir()] == ["tiny"]


def test_a_folder_is_a_model_whatever_its_files_are_called(tiny: Model, server: Server, models: Path) -> None:
    mine, theirs = find_elmo(str(tiny.options.parent), models), find_elmo(str(server.folder), models)
    assert mine.fingerprint == theirs.fingerprint
    (server.folder / "options.json").write_text("{}")
    with pytest.raises(ElmoError, match=r"one file whose name ends in options\.json; there is elmo_.*, options"):
        find_elmo(str(server.folder), models)
    models.mkdir()
    with pytest.raises(ElmoError, match="there is none"):
        find_elmo(str(models), models)
