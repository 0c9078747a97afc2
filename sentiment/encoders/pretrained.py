"""ELMo models and transformers of the Hugging Face Hub: downloaded by a command, then located and verified offline."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pydantic import ValidationError

from sentiment.config import EncoderConfig, RunConfig
from sentiment.config_file import describe_mistakes
from sentiment.console import Progress, silent
from sentiment.data.sources import cached_sha256
from sentiment.download import candidate_urls, download
from sentiment.encoders.elmo_files import (
    OPTIONS_FILE,
    WEIGHTS_FILE,
    ElmoOptions,
    check_weights,
)
from sentiment.errors import DownloadError, EncoderError, in_one_line
from sentiment.files import Remote, fingerprint, read_user_file, user_path, write_atomically
from sentiment.runs.records import EncoderRecord, Record
from sentiment.runs.run_dir import Results, read_record, sealed

# Both serve the same files. Their checksums were never published.
SERVERS = (
    "https://allennlp.s3.amazonaws.com/models/elmo/",
    "https://s3-us-west-2.amazonaws.com/allennlp/models/elmo/",
)

# The models of Peters et al. (2018): the folder of each on the servers, which is also part of its file names.
PUBLISHED = {
    "small": "2x1024_128_2048cnn_1xhighway",
    "medium": "2x2048_256_2048cnn_1xhighway",
    "original": "2x4096_512_2048cnn_2xhighway",
    "original-5.5b": "2x4096_512_2048cnn_2xhighway_5.5B",
}


@dataclass(frozen=True)
class ElmoFiles:
    """An ELMo model on this machine; its weights are complete and have the shapes that its options give."""

    options_path: Path
    weights_path: Path
    options: ElmoOptions
    fingerprint: str  # of the contents of both files
    vector_size: int


class Checksums(Record):
    """SHA-256 of each downloaded file, by name."""

    sha256: dict[str, str]


class FetchRecord(Checksums):
    """`fetched.json`, written last: checksums, commit, licence and arXiv ids (`papers`) of a model of the Hub."""

    commit: str
    licence: str
    papers: list[str]


@dataclass(frozen=True)
class HubFiles:
    """A transformer on this machine; `fetched` is None for a user's own folder, unless it is as it was downloaded."""

    name: str
    folder: Path
    fingerprint: str  # of the names and contents of the files that are read
    vector_size: int
    fetched: FetchRecord | None


EncoderFiles = ElmoFiles | HubFiles


def find_model(config: RunConfig, results: Results) -> EncoderFiles | None:
    """Locate and verify a run's encoder; None if it has none. Raises EncoderError if it is missing or damaged."""
    if config.encoder is not None:
        return find_encoder(config.encoder, results.encoders)
    if config.elmo is not None:
        return find_elmo(config.elmo.model, results.elmo_models)
    return None


def encoder_record(name: str, model: EncoderFiles) -> EncoderRecord:
    """The record of a run's encoder."""
    origin = {}
    if isinstance(model, HubFiles) and model.fetched:
        origin = model.fetched.model_dump(include={"commit", "licence", "papers"})
    return EncoderRecord(model=name, fingerprint=model.fingerprint, **origin)


def published_files(name: str) -> tuple[str, str]:
    """The file names of the options and of the weights of a published model."""
    return f"elmo_{PUBLISHED[name]}_{OPTIONS_FILE}", f"elmo_{PUBLISHED[name]}_{WEIGHTS_FILE}"


def find_elmo(model: str, folder: Path) -> ElmoFiles:
    """Locate and verify an ELMo model, offline.

    Args:
        model: a published name, or a folder with one file `*options.json` and one `*.hdf5`.
        folder: where published models are stored.

    Raises:
        EncoderError: the model is missing or damaged, or differs from the first download.
    """
    if model in PUBLISHED:
        options, weights = (folder / file for file in published_files(model))
        if missing := [path for path in (options, weights) if not path.is_file()]:
            hint = f"`{_command(folder, 'elmo', model)}` downloads it, on a machine with access to the internet"
            raise EncoderError(f"ELMo model {model!r} is not here: {missing[0]} is missing. {hint}")
        recorded = _recorded(model, folder)
        for path in (options, weights):
            if recorded and recorded.get(path.name) != cached_sha256(path):
                hint = f"delete it and download it again with `{_command(folder, 'elmo', model)}`"
                raise EncoderError(f"{path}: differs from the first download (another SHA-256); {hint}")
        return _checked(options, weights)
    if not Path(model).is_dir():
        raise EncoderError(f"ELMo model {model!r}: neither one of {', '.join(PUBLISHED)} nor a folder")
    return _checked(_only_file(Path(model), OPTIONS_FILE), _only_file(Path(model), ".hdf5"))


def fetch_elmo(name: str, folder: Path, progress: Progress = silent, mirrors: Sequence[str] = ()) -> ElmoFiles:
    """Download the files of a published model that `folder` lacks, verify them, and record their SHA-256.

    Nobody has published checksums of them: so a file is compared with the first download.

    Args:
        folder: where published models are stored.
        mirrors: folders or addresses that are tried before the servers, see `sentiment.download`.

    Raises:
        DownloadError: no server answers, or a file differs from the first download.
        EncoderError: the name is unknown, or the files are not an ELMo model whose weights fit its options.
    """
    if name not in PUBLISHED:
        raise EncoderError(f"ELMo model {name!r}: is not published; valid: {', '.join(PUBLISHED)}")
    recorded = _recorded(name, folder)
    for file in published_files(name):
        if not (folder / file).exists():
            path = f"{PUBLISHED[name]}/{file}"
            urls = candidate_urls(mirrors, (path, file)) + candidate_urls(SERVERS, (path,))
            download(Remote(file, urls, None, recorded.get(file, "")), folder, progress)
    model = find_elmo(name, folder)
    if not recorded:
        checksums = Checksums(sha256=_checksums(folder, published_files(name)))
        write_atomically(_checksums_file(name, folder), sealed(checksums))
    return model


def _checksums_file(name: str, folder: Path) -> Path:
    return folder / f"elmo_{PUBLISHED[name]}_sha256.json"


def _recorded(name: str, folder: Path) -> dict[str, str]:
    """The SHA-256 of the files of a published model when they were downloaded first; empty if they were not."""
    remedy = f"delete it, and `{_command(folder, 'elmo', name)}` records the files that are there"
    checksums = read_record(_checksums_file(name, folder), Checksums, remedy)
    return checksums.sha256 if checksums else {}


def _command(models: Path, *words: str) -> str:
    """A command that downloads a model into a folder of models, which is `data/NAME` in the folder of results."""
    return Results(models.parents[1]).command("prepare", *words)


_MAX_OPTIONS_BYTES = 1_000_000


def read_options(path: Path) -> ElmoOptions:
    """Read the options of a model; raises EncoderError listing all invalid fields."""
    try:
        return ElmoOptions.model_validate_json(read_user_file(path, _MAX_OPTIONS_BYTES))
    except OSError as error:
        raise EncoderError(f"{path}: cannot be read as options of an ELMo model: {error.strerror or error}") from None
    except ValidationError as error:
        mistakes = describe_mistakes(error, ElmoOptions, path.name)
        raise EncoderError(f"{path}: not options of an ELMo model:\n{mistakes}") from None


def _checked(options_path: Path, weights_path: Path) -> ElmoFiles:
    options = read_options(options_path)
    check_weights(weights_path, options)
    sha256 = [cached_sha256(path) for path in (options_path, weights_path)]
    return ElmoFiles(options_path, weights_path, options, fingerprint(sha256), options.vector_size)


def _checksums(folder: Path, files: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each of the files in a folder."""
    return {file: cached_sha256(folder / file) for file in files}


def _only_file(folder: Path, ending: str) -> Path:
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(ending))
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise EncoderError(f"{folder}: an ELMo model has one file whose name ends in {ending}; there is {names}")
    return paths[0]


_FETCHED = "fetched.json"
_WEIGHTS_ENDING = ".safetensors"
# What transformers reads of a model that gives vectors of texts; a note beside these changes nothing.
_READ_NAMES = (
    "config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "bpe.codes",
)
_READ_ENDINGS = (_WEIGHTS_ENDING, ".model")  # .model: of SentencePiece
_UNSAFE = (
    "it has no weights as *.safetensors; other formats, such as pytorch_model.bin, can run code when they are read and "
    "are not supported"
)


def find_encoder(config: EncoderConfig, models: Path) -> HubFiles:
    """Locate and verify a transformer, offline.

    Args:
        models: where downloaded transformers are stored.

    Raises:
        EncoderError: it is missing, has changed since it was downloaded, or has no safe weights.
    """
    name = f"encoder {config.model!r}"
    folder = user_path(config.model) if config.is_folder else _folder(config, models)
    if not (folder / ("config.json" if config.is_folder else _FETCHED)).is_file():
        arguments = ["NAME"] if config.is_folder else [config.model, "--revision", config.revision]
        raise EncoderError(
            f"{name}: {folder} holds no whole model. `{_command(models, 'encoder', *arguments)}` downloads one from "
            "the Hugging Face Hub, on a machine with access to the internet; a folder with a model is written ./FOLDER"
        )
    files = sorted(path.name for path in folder.iterdir() if _is_read(path.name))
    if not any(file.endswith(_WEIGHTS_ENDING) for file in files):
        raise EncoderError(f"{name}: {folder}: {_UNSAFE}")
    sha256 = _checksums(folder, files)
    fetched = read_record(folder / _FETCHED, FetchRecord, "delete it, and `sentiment prepare encoder` writes it again")
    changed = sorted({file for file, _ in fetched.sha256.items() ^ sha256.items()}) if fetched else []
    if changed and not config.is_folder:
        hint = "delete the folder and download it again"
        raise EncoderError(f"{name}: {folder}: {', '.join(changed)}: not as it was downloaded; {hint}")
    return HubFiles(config.model, folder, fingerprint(sha256), _vector_size(folder, name), None if changed else fetched)


def _vector_size(folder: Path, name: str) -> int:
    try:
        config = json.loads((folder / "config.json").read_bytes())
        return int(next(config[key] for key in ("hidden_size", "dim", "d_model") if key in config))
    except (ValueError, TypeError, StopIteration):
        raise EncoderError(f"{name}: its config.json names no hidden_size") from None


def fetch_encoder(name: str, revision: str, models: Path, say: Callable[[str], None]) -> HubFiles:
    """Download a transformer of the Hub. Interrupted downloads are resumed; a downloaded revision is never updated.

    Args:
        models: where downloaded transformers are stored.
        say: called with size, commit and licence before the download starts.

    Raises:
        DownloadError: the Hub does not answer, has no such model, or states another checksum than that of a file.
        EncoderError: the model has no safe weights.
    """
    config = EncoderConfig(model=name, revision=revision)
    if config.is_folder:
        raise DownloadError(f"{name!r}: is a path; names on the Hub look like sentence-transformers/all-MiniLM-L6-v2")
    folder = _folder(config, models)
    if (folder / _FETCHED).exists():
        return find_encoder(config, models)
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HTTPError

    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True)
        files = {file.rfilename: file for file in info.siblings or () if _is_read(file.rfilename)}
        if not any(file.endswith(_WEIGHTS_ENDING) for file in files):
            raise EncoderError(f"{name!r} at {revision!r}: {_UNSAFE}")
        licence = str((info.card_data and info.card_data.get("license")) or "none is stated")
        size = sum(file.size or 0 for file in files.values()) / 1e6
        say(f"{name} at {info.sha}: {size:,.1f} MB in {len(files)} files; licence: {licence}; into {folder}")
        snapshot_download(name, revision=info.sha, local_dir=folder, allow_patterns=[*files])
        sha256 = _checksums(folder, sorted(files))
    except (OSError, ValueError, HTTPError) as error:
        reason = in_one_line(error)[:300]
        raise DownloadError(f"{name!r} at {revision!r}: cannot be downloaded from the Hub: {reason}") from None
    for file, entry in files.items():
        if entry.lfs and entry.lfs.sha256 != sha256[file]:
            raise DownloadError(f"{folder / file}: differs from the Hub's checksum; delete it and download it again")
    papers = [tag.removeprefix("arxiv:") for tag in info.tags or () if tag.startswith("arxiv:")]
    record = FetchRecord(commit=str(info.sha), licence=licence, papers=papers, sha256=sha256)
    write_atomically(folder / _FETCHED, sealed(record))
    return find_encoder(config, models)


def _folder(config: EncoderConfig, models: Path) -> Path:
    return models / f"{config.model}@{config.revision}".replace("/", "--")


def _is_read(name: str) -> bool:
    """Whether a file of a model is downloaded and read: configuration, tokeniser and safe weights at the top level."""
    path = PurePath(name)
    return len(path.parts) == 1 and (name in _READ_NAMES or path.suffix in _READ_ENDINGS)
