"""Published vectors: fetched by name, resumed, from mirrors; of the archive only what a corpus needs is kept."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jobs.grids.requirements import missing_for, without_vectors
from sentiment.config import PUBLISHED_VECTORS, RunConfig
from sentiment.config_file import resolve
from sentiment.console import silent
from sentiment.data.corpus.corpus import prepare_corpus
from sentiment.data.vector_files import ARCHIVE, fetch_archive, read_types, read_vectors
from sentiment.data.word_vectors import has_vectors, prepare_vectors, pretrained_file
from sentiment.errors import ConfigError, DataError, DownloadError
from sentiment.runs.run_dir import Results
from tests.elmo.server import Server
from tests.serving import serving

NAME = "glove-twitter-25"
TYPES = ("the", "love", "<user>", "neverseen", "tea", "n\u00e4e")
NOWHERE = ("http://127.0.0.1:1/",)


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A folder with an archive like GloVe's, of six types."""
    folder = tmp_path / "a mirror"
    folder.mkdir()
    with zipfile.ZipFile(folder / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        for size in PUBLISHED_VECTORS.values():
            rng = np.random.default_rng(size)
            lines = [" ".join([token, *(f"{value:.5f}" for value in rng.normal(size=size))]) for token in TYPES]
            archive.writestr(f"glove.twitter.27B.{size}d.txt", "\n".join(lines) + "\n")
    return folder


@pytest.fixture
def server(served: Path) -> Iterator[Server]:
    with serving(Server(served)) as running:
        yield running


def _config(table: Path, name: str = NAME) -> RunConfig:
    size = PUBLISHED_VECTORS[name]
    return resolve({}, {"data.source": str(table), "embedding.pretrained": name, "embedding.size": size}, "a test")


@pytest.mark.parametrize("kind", ["folder", "file", "http", "the publishers"])
def test_the_archive_comes_from_whatever_place_has_it(
    server: Server, served: Path, results: Results, kind: str
) -> None:
    mirrors = {"folder": [str(served)], "file": [served.as_uri()], "http": [server.url]}.get(kind, [])
    path = fetch_archive(results, silent, mirrors, NOWHERE if mirrors else (server.url,))
    assert path.read_bytes() == (served / ARCHIVE).read_bytes()


def test_a_download_that_was_cut_off_is_continued_and_an_archive_that_is_here_is_not_fetched(
    server: Server, results: Results
) -> None:
    server.cut = [500, 100]
    fetch_archive(results, silent, [server.url], NOWHERE)
    assert [line.split()[-1] for line in server.asked if line.startswith("GET")] == ["0", "500", "600"]
    asked = list(server.asked)
    fetch_archive(results, silent, [server.url], NOWHERE)
    assert server.asked == asked


def test_where_no_place_has_it_all_are_named_and_where_to_put_it(results: Results, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as refused:
        fetch_archive(results, silent, [str(tmp_path / "gone")], NOWHERE)
    for text in ((tmp_path / "gone").as_uri(), NOWHERE[0], str(results.downloads / ARCHIVE)):
        assert text in str(refused.value)


@pytest.mark.parametrize("name", PUBLISHED_VECTORS)
def test_only_types_of_the_corpus_are_kept_with_their_own_numbers(
    served: Path, table: Path, results: Results, name: str
) -> None:
    config = _config(table, name)
    fetch_archive(results, silent, [str(served)])
    record = prepare_vectors(config, results)
    file = pretrained_file(config, results)
    assert record is not None
    assert file is not None
    known = [token for token in TYPES if token in prepare_corpus(config.data, results).types]
    assert 0 < len(known) < len(TYPES)
    assert list(read_types(file)) == known
    rng = np.random.default_rng(PUBLISHED_VECTORS[name])
    expected = {token: rng.normal(size=PUBLISHED_VECTORS[name]) for token in TYPES}
    for number, vector in read_vectors(file, {token: n for n, token in enumerate(TYPES)}, PUBLISHED_VECTORS[name]):
        assert vector == pytest.approx(expected[TYPES[number]], abs=1e-5)
    (results.downloads / ARCHIVE).unlink()  # may be deleted then
    assert prepare_vectors(config, results) == record
    assert f"for {len(known)} of the" in "\n".join(record.render_lines())


def test_without_the_archive_it_is_said_what_fetches_it_and_grids_say_so_before_they_start(
    served: Path, table: Path, results: Results
) -> None:
    config = _config(table)
    with pytest.raises(DataError, match=rf"{ARCHIVE}: is missing; `python -m sentiment vectors` .* fetches it"):
        prepare_vectors(config, results)
    (line,) = missing_for([config], results)
    assert 'make vectors SET="embedding.pretrained=glove-twitter-25 embedding.size=25"' in line
    fetch_archive(results, silent, [str(served)])
    assert missing_for([config], results) == []
    assert without_vectors([config], results) == [config]
    prepare_vectors(config, results)
    assert without_vectors([config], results) == []
    (results.downloads / ARCHIVE).unlink()
    assert missing_for([config], results) == []


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_archive_is_refused(served: Path, table: Path, results: Results, damage: str) -> None:
    path = fetch_archive(results, silent, [str(served)])
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("something else", "")
    with pytest.raises(DataError, match="delete it and fetch it again" if damage == "cut" else "holds no glove"):
        prepare_vectors(_config(table), results)
    assert not has_vectors(_config(table), results)


def test_an_archive_that_differs_from_the_first_download_is_refused(
    served: Path, table: Path, results: Results
) -> None:
    path = fetch_archive(results, silent, [str(served)])
    prepare_vectors(_config(table), results)
    other = _config(table, "glove-twitter-50")
    path.unlink()
    with zipfile.ZipFile(served / ARCHIVE, "a") as archive:
        archive.writestr("more.txt", "added on a mirror")
    fetch_archive(results, silent, [str(served)])
    with pytest.raises(
        DataError, match=rf"differs from the archive of the first download \(SHA-256 in {ARCHIVE}\.sha256\)"
    ):
        prepare_vectors(other, results)
    assert not has_vectors(other, results)
    path.with_name(f"{ARCHIVE}.sha256").unlink()
    assert prepare_vectors(other, results) is not None


def test_a_line_of_the_archive_that_does_not_end_is_refused_before_memory_is_full(
    table: Path, results: Results, tmp_path: Path
) -> None:
    mirror = tmp_path / "endless"
    mirror.mkdir()
    with zipfile.ZipFile(mirror / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("glove.twitter.27B.25d.txt", "0 " * 4_000_000)
    fetch_archive(results, silent, [str(mirror)])
    with pytest.raises(DataError, match=r"27B\.zip:1: is longer than [\d,]+ bytes"):
        prepare_vectors(_config(table), results)


def test_a_size_that_published_vectors_do_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="glove-twitter-50 has 50 numbers per token, but size is 100; set it to 50"):
        resolve({}, {"embedding.pretrained": "glove-twitter-50"}, "a test")
