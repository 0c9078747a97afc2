"""Models of the Hub: fetched once with their commit and licence, then found and checked without a network."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the extra hub is not installed")

from sentiment.config import EncoderConfig
from sentiment.encoders.models import fetch_encoder, find_encoder
from sentiment.errors import DownloadError, EncoderError
from tests.encoders.tiny import COMMIT, Hub, tiny_bert
from tests.serving import serving

NAME = "some/model"
MODEL = EncoderConfig(model=NAME)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def hub(model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub(model)) as running:
        for name in ("huggingface_hub.constants.ENDPOINT", "huggingface_hub.hf_api.ENDPOINT"):
            monkeypatch.setattr(name, running.url, raising=False)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            running.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield running


def test_fetching_tells_size_and_licence_first_and_records_the_commit(hub: Hub, tmp_path: Path) -> None:
    hub.files |= {"README.md": b"a card", "pytorch_model.bin": b"pickled", "own.py": b"raise SystemExit"}
    told: list[tuple[str, list[str]]] = []
    files = fetch_encoder(NAME, "main", tmp_path, lambda text: told.append((text, [*hub.asked])))
    ((text, asked_before),) = told
    assert not any("resolve" in path for path in asked_before)
    assert all(part in text for part in (NAME, COMMIT, "MB in 4 files", "licence: apache-2.0"))
    assert files.fetched
    assert (files.fetched.commit, files.fetched.licence, files.fetched.papers) == (COMMIT, "apache-2.0", ["1908.10084"])
    found = {path.name for path in files.folder.iterdir() if path.is_file()}
    assert found == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "fetched.json"}
    hub.asked.clear()
    assert fetch_encoder(NAME, "main", tmp_path, pytest.fail) == files == find_encoder(MODEL, tmp_path)
    assert not hub.asked


def test_a_fetch_that_broke_off_goes_on_and_nothing_is_found_before(hub: Hub, tmp_path: Path) -> None:
    hub.unanswered = "model.safetensors"
    with pytest.raises(DownloadError, match="cannot be fetched from the Hub"):
        fetch_encoder(NAME, "main", tmp_path, lambda _: None)
    with pytest.raises(EncoderError):
        find_encoder(MODEL, tmp_path)
    hub.unanswered = ""
    hub.asked.clear()
    assert fetch_encoder(NAME, "main", tmp_path, lambda _: None).fetched
    assert not any(path.endswith("tokenizer.json") for path in hub.asked)


def test_weights_that_are_not_those_of_the_hub_are_named(hub: Hub, tmp_path: Path) -> None:
    whole = hub.files["model.safetensors"]
    hub.sha256_of_weights = hashlib.sha256(whole[:-1]).hexdigest()
    with pytest.raises(DownloadError, match=r"model\.safetensors: is not what the Hub says"):
        fetch_encoder(NAME, "main", tmp_path, lambda _: None)


def test_weights_that_can_run_code_are_refused_by_name(hub: Hub, model: Path, tmp_path: Path) -> None:
    hub.files["pytorch_model.bin"] = hub.files.pop("model.safetensors")
    with pytest.raises(EncoderError, match=r"'some/model' at 'main': it holds no weights as \*.safetensors"):
        fetch_encoder(NAME, "main", tmp_path, pytest.fail)
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_bytes((model / "config.json").read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(EncoderError, match=r"no weights as \*.safetensors"):
        find_encoder(EncoderConfig(model=str(folder)), tmp_path)


def test_what_changed_or_is_not_there_is_named(hub: Hub, model: Path, tmp_path: Path) -> None:
    files = fetch_encoder(NAME, "main", tmp_path, lambda _: None)
    (files.folder / "config.json").write_text("{}")
    with pytest.raises(EncoderError, match="is not what was fetched; delete it"):
        find_encoder(MODEL, tmp_path)
    with pytest.raises(EncoderError, match="`sentiment prepare encoder NAME` fetches one"):
        find_encoder(EncoderConfig(model="other/model"), tmp_path)
    with pytest.raises(DownloadError, match="'other/model' at 'main': cannot be fetched"):
        fetch_encoder("other/model", "main", tmp_path, pytest.fail)
    folder = find_encoder(EncoderConfig(model=str(model)), tmp_path)
    assert folder.fetched is None
    assert folder.vector_size == 16
