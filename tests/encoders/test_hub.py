"""Models of the Hub: fetched once with their commit and licence, then found and checked without a network."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from sentiment.config import EncoderConfig
from sentiment.encoders.pretrained import fetch_encoder, find_encoder
from sentiment.errors import DownloadError, EncoderError
from tests.encoders.tiny import needs_transformers

pytestmark = [needs_transformers, pytest.mark.slow]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "some/model"
MODEL = EncoderConfig(model=NAME)


class Hub:
    """Stands in for the Hub's client, which knows one model at one commit."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        self.given: list[str] = []
        self.unanswered = ""  # a file that it says it has, and does not give
        self.sha256_of_weights = ""  # what it says; empty: the truth

    def model_info(self, name: str, *, revision: str, files_metadata: bool) -> object:
        from huggingface_hub.hf_api import ModelInfo

        if (name, revision, files_metadata) != (NAME, "main", True):
            raise OSError("404")
        siblings: list[dict[str, Any]] = [{"rfilename": one, "size": len(self.files[one])} for one in self.files]
        for one in siblings:
            if one["rfilename"].endswith(".safetensors"):
                sha256 = self.sha256_of_weights or hashlib.sha256(self.files[one["rfilename"]]).hexdigest()
                one["lfs"] = {"sha256": sha256, "size": one["size"], "pointerSize": 134}
        card = {"license": "apache-2.0"}
        return ModelInfo(id=NAME, sha=COMMIT, siblings=siblings, tags=["bert", "arxiv:1908.10084"], cardData=card)

    def snapshot_download(self, name: str, *, revision: str, local_dir: Path, allow_patterns: list[str]) -> None:
        assert (name, revision) == (NAME, COMMIT)
        local_dir.mkdir(parents=True, exist_ok=True)
        for file in allow_patterns:
            if file == self.unanswered:
                raise OSError("503")
            self.given.append(file)
            (local_dir / file).write_bytes(self.files[file])


@pytest.fixture
def hub(bert: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(bert)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    return hub


def test_fetching_tells_size_and_licence_first_and_records_the_commit(hub: Hub, tmp_path: Path) -> None:
    hub.files |= {"README.md": b"a card", "pytorch_model.bin": b"pickled", "own.py": b"raise SystemExit"}
    told: list[tuple[str, list[str]]] = []
    files = fetch_encoder(NAME, "main", tmp_path, lambda text: told.append((text, [*hub.given])))
    ((text, given_before),) = told
    assert given_before == []
    assert all(part in text for part in (NAME, COMMIT, "MB in 4 files", "licence: apache-2.0"))
    assert (files.fetched.commit, files.fetched.licence, files.fetched.papers) == (COMMIT, "apache-2.0", ["1908.10084"])
    found = {path.name for path in files.folder.iterdir() if path.is_file()}
    assert found == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "fetched.json"}
    assert fetch_encoder(NAME, "main", tmp_path, pytest.fail) == files == find_encoder(MODEL, tmp_path)
    assert {*hub.given} == found - {"fetched.json"}


def test_a_note_beside_a_model_leaves_it_the_same_and_a_file_that_is_read_does_not(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "bert"))
    model = EncoderConfig(model=str(folder))
    plain = find_encoder(model, tmp_path)
    for note in ("notes.txt", "my_results.json", "README.md", ".gitattributes", "training_args.bin"):
        (folder / note).write_text("good on Mondays")
    assert find_encoder(model, tmp_path) == plain
    (folder / "added_tokens.json").write_text("{}")
    assert find_encoder(model, tmp_path).fingerprint != plain.fingerprint


def test_of_a_fetch_that_broke_off_nothing_is_found_until_it_is_whole(hub: Hub, tmp_path: Path) -> None:
    hub.unanswered = "model.safetensors"
    with pytest.raises(DownloadError, match="from the Hub"):
        fetch_encoder(NAME, "main", tmp_path, lambda _: None)
    with pytest.raises(EncoderError, match=r"holds no whole model\. `sentiment prepare encoder some/model"):
        find_encoder(MODEL, tmp_path)
    hub.unanswered = ""
    assert fetch_encoder(NAME, "main", tmp_path, lambda _: None).fetched


def test_weights_that_are_not_those_of_the_hub_are_named(hub: Hub, tmp_path: Path) -> None:
    whole = hub.files["model.safetensors"]
    hub.sha256_of_weights = hashlib.sha256(whole[:-1]).hexdigest()
    with pytest.raises(DownloadError, match=r"model\.safetensors: differs from the Hub"):
        fetch_encoder(NAME, "main", tmp_path, lambda _: None)


def test_weights_that_can_run_code_are_refused_by_name(hub: Hub, bert: Path, tmp_path: Path) -> None:
    hub.files["pytorch_model.bin"] = hub.files.pop("model.safetensors")
    with pytest.raises(EncoderError, match=r"'some/model' at 'main': it has no weights as \*.safetensors"):
        fetch_encoder(NAME, "main", tmp_path, pytest.fail)
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_bytes((bert / "config.json").read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(EncoderError, match=r"no weights as \*.safetensors"):
        find_encoder(EncoderConfig(model=str(folder)), tmp_path)


def test_what_changed_or_is_not_there_is_named(hub: Hub, bert: Path, tmp_path: Path) -> None:
    files = fetch_encoder(NAME, "main", tmp_path, lambda _: None)
    (files.folder / "config.json").write_text("{}")
    (files.folder / "vocab.txt").write_text("good")
    (files.folder / "README.md").write_text("counts for nothing")
    with pytest.raises(EncoderError, match=r"main: config\.json, vocab\.txt: not as it was downloaded"):
        find_encoder(MODEL, tmp_path)
    with pytest.raises(EncoderError, match="`sentiment prepare encoder other/model --revision main --results "):
        find_encoder(EncoderConfig(model="other/model"), tmp_path)
    with pytest.raises(DownloadError, match="'other/model' at 'main': "):
        fetch_encoder("other/model", "main", tmp_path, pytest.fail)
    folder = find_encoder(EncoderConfig(model=str(bert)), tmp_path)
    assert folder.fetched is None
    assert folder.vector_size == 16


def test_copy_of_a_fetched_model_has_its_commit_and_licence_until_it_is_changed(hub: Hub, tmp_path: Path) -> None:
    copy = fetch_encoder(NAME, "main", tmp_path, lambda _: None).folder.rename(tmp_path / "copy")
    found = find_encoder(EncoderConfig(model=str(copy)), tmp_path)
    assert found.fetched is not None
    assert found.fetched.commit == COMMIT
    (copy / "tokenizer_config.json").write_text("{}")
    assert find_encoder(EncoderConfig(model=str(copy)), tmp_path).fetched is None
