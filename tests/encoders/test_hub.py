"""Models of the Hub: fetched once with their commit and licence, then found and checked without a network."""

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="the extra hub is not installed")

from sentiment.config import EncoderConfig
from sentiment.encoders.models import fetch_encoder, find_encoder
from sentiment.errors import DownloadError, EncoderError
from tests.encoders.tiny import tiny_bert
from tests.serving import serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "some/model"
MODEL = EncoderConfig(model=NAME)


class Hub(ThreadingHTTPServer):
    """Answers on loopback as the Hub does for one model of one commit.

    Attributes:
        unanswered: a file that it says it has, and does not give.
        sha256_of_weights: what it says; empty: the truth.
    """

    def __init__(self, folder: Path, licence: str | None = "apache-2.0") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        self.licence, self.asked = licence, list[str]()
        self.unanswered = self.sha256_of_weights = ""
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def info(self) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = [
            {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
            for name, content in self.files.items()
        ]
        for one in siblings:
            if one["rfilename"].endswith(".safetensors"):
                sha256 = self.sha256_of_weights or hashlib.sha256(self.files[one["rfilename"]]).hexdigest()
                one["lfs"] = {"sha256": sha256, "size": one["size"], "pointerSize": 134}
        said = {"id": "some/model", "sha": COMMIT, "siblings": siblings, "tags": ["bert", "arxiv:1908.10084"]}
        return said | ({"cardData": {"license": self.licence}} if self.licence else {})

    def tree(self) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": one["rfilename"], "size": one["size"], "oid": one["blobId"]}
            for one in self.info()["siblings"]
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        path = self.path.partition("?")[0]
        name = path.removeprefix(f"/some/model/resolve/{COMMIT}/")
        if path == "/api/models/some/model/revision/main":
            self._answer(json.dumps(self.server.info()).encode())
        elif path == f"/api/models/some/model/tree/{COMMIT}":
            self._answer(json.dumps(self.server.tree()).encode())
        elif name in self.server.files and name != self.server.unanswered:
            self._answer(self.server.files[name])
        else:
            self.send_error(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


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
    with pytest.raises(EncoderError, match="`sentiment prepare encoder other/model --revision main` fetches one"):
        find_encoder(EncoderConfig(model="other/model"), tmp_path)
    with pytest.raises(DownloadError, match="'other/model' at 'main': cannot be fetched"):
        fetch_encoder("other/model", "main", tmp_path, pytest.fail)
    folder = find_encoder(EncoderConfig(model=str(model)), tmp_path)
    assert folder.fetched is None
    assert folder.vector_size == 16
