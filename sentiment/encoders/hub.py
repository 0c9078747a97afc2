"""Models of the Hugging Face Hub: fetched once by name and revision, then found and checked without any network."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar

from pydantic import ValidationError

from sentiment.config import EncoderConfig
from sentiment.errors import DownloadError, EncoderError
from sentiment.files import fingerprint, named_path, sha256_of, write_json
from sentiment.runs.records import Record

_RECORD = "fetched.json"
_SAFE, _TEXTS = ".safetensors", (".json", ".txt", ".model")
_UNSAFE = (
    "it holds no weights as *.safetensors; others, such as pytorch_model.bin, can run code when they are read, and are "
    "refused"
)


class Fetched(Record):
    """`fetched.json`, written last: what was fetched, from which commit."""

    name: str
    revision: str
    commit: str
    licence: str
    papers: list[str]
    """Of arXiv, to be cited."""
    sha256: dict[str, str]
    """By file name."""


@dataclass(frozen=True)
class EncoderFiles:
    """A model whose files are here.

    Attributes:
        fetched: None of a folder that nobody fetched.
    """

    name: str
    folder: Path
    sha256: dict[str, str]
    fetched: Fetched | None
    random: ClassVar[bool] = False

    @property
    def fingerprint(self) -> str:
        """Of the contents of all files."""
        return fingerprint(self.sha256)

    @property
    def vector_size(self) -> int:
        """Values of a vector, as `config.json` says under the names that transformers gives it.

        Raises:
            EncoderError: it says nothing of the kind.
        """
        try:
            said = json.loads((self.folder / "config.json").read_bytes())
            return int(next(said[name] for name in ("hidden_size", "dim", "d_model") if name in said))
        except (OSError, ValueError, TypeError, StopIteration, RecursionError):
            raise EncoderError(f"encoder {self.name!r}: its config.json names no hidden_size") from None


def find_encoder(config: EncoderConfig, models: Path) -> EncoderFiles:
    """Find and check a model, without any network.

    Args:
        models: where fetched models are kept.

    Raises:
        EncoderError: it is missing, has changed since it was fetched, or holds no safe weights.
    """
    name = f"encoder {config.model!r}"
    folder = named_path(config.model) if config.is_folder else _folder(config, models)
    if not (folder / "config.json").is_file():
        raise EncoderError(
            f"{name}: {folder} holds no model. `sentiment fetch NAME` fetches one of the Hugging Face Hub, on a "
            "machine with access to the internet; a folder with one is written ./FOLDER"
        )
    names = sorted(path.name for path in folder.iterdir() if _is_read(path.name))
    if not any(file.endswith(_SAFE) for file in names):
        raise EncoderError(f"{name}: {folder}: {_UNSAFE}")
    sha256 = {file: sha256_of(folder / file) for file in names}
    fetched = _read_record(folder)
    if not config.is_folder and (fetched is None or fetched.sha256 != sha256):
        raise EncoderError(f"{name}: {folder} is not what was fetched; delete it and fetch it again")
    return EncoderFiles(config.model, folder, sha256, fetched)


def fetch_encoder(name: str, revision: str, models: Path, say: Callable[[str], None]) -> EncoderFiles:
    """Fetch a model unless it is here. An interrupted download goes on; a revision that was fetched stays as it was.

    Args:
        models: where fetched models are kept.
        say: told size, commit and licence before anything is fetched.

    Raises:
        DownloadError: the Hub does not answer, or has no such model.
        EncoderError: it has no safe weights.
    """
    config = EncoderConfig(model=name, revision=revision)
    if config.is_folder:
        raise DownloadError(f"{name!r}: is a path; names on the Hub are as sentence-transformers/all-MiniLM-L6-v2")
    folder = _folder(config, models)
    if _read_record(folder) is not None:
        return find_encoder(config, models)
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HTTPError

    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True)
        wanted = {one.rfilename: one for one in info.siblings or () if _is_read(one.rfilename)}
        if not any(file.endswith(_SAFE) for file in wanted):
            raise EncoderError(f"{name!r} at {revision!r}: {_UNSAFE}")
        licence = str((info.card_data and info.card_data.get("license")) or "none is stated")
        size = sum(one.size or 0 for one in wanted.values()) / 1e6
        say(f"{name} at {info.sha}: {size:,.1f} MB in {len(wanted)} files; licence: {licence}; into {folder}")
        snapshot_download(name, revision=info.sha, local_dir=folder, allow_patterns=[*wanted])
        sha256 = {file: sha256_of(folder / file) for file in sorted(wanted)}
    except (OSError, ValueError, HTTPError) as error:
        why = " ".join(str(error).split())[:300]
        raise DownloadError(f"{name!r} at {revision!r}: cannot be fetched from the Hub: {why}") from None
    if wrong := [file for file, one in wanted.items() if one.lfs and one.lfs.sha256 != sha256[file]]:
        raise DownloadError(f"{folder / wrong[0]}: is not what the Hub says; delete it and fetch the model again")
    papers = [tag.removeprefix("arxiv:") for tag in info.tags or () if tag.startswith("arxiv:")]
    record = Fetched(name=name, revision=revision, commit=str(info.sha), licence=licence, papers=papers, sha256=sha256)
    write_json(folder / _RECORD, record.model_dump(mode="json"))
    return find_encoder(config, models)


def _folder(config: EncoderConfig, models: Path) -> Path:
    return models / f"{config.model}@{config.revision}".replace("/", "--")


def _is_read(name: str) -> bool:
    """Whether a file of a model is fetched and read: configuration, tokeniser and safe weights, at the top."""
    path = PurePath(name)
    return len(path.parts) == 1 and path.suffix in (_SAFE, *_TEXTS) and name != _RECORD


def _read_record(folder: Path) -> Fetched | None:
    try:
        return Fetched.model_validate_json((folder / _RECORD).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise EncoderError(f"{folder / _RECORD}: cannot be read; delete the folder and fetch the model again") from None
