"""ELMo models and those of the Hugging Face Hub: fetched once, by a command; then found and checked without network."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar

from sentiment.config import EncoderConfig, RunConfig
from sentiment.console import Progress, silent
from sentiment.data.sources import Remote, cached_sha256, candidate_urls, download
from sentiment.encoders.elmo_files import (
    OPTIONS_FILE,
    TINY_OPTIONS,
    WEIGHTS_FILE,
    ElmoOptions,
    check_weights,
    read_options,
    write_random_model,
)
from sentiment.errors import DownloadError, EncoderError
from sentiment.files import fingerprint, named_path, write_json
from sentiment.runs.records import EncoderRecord, Record
from sentiment.runs.run_dir import Results, read_record

# Both serve the same files, whose checksums were never published.
SERVERS = (
    "https://allennlp.s3.amazonaws.com/models/elmo/",
    "https://s3-us-west-2.amazonaws.com/allennlp/models/elmo/",
)

# The models of Peters et al. (2018): the folder of each on the servers, which is also a part of its files' names.
PUBLISHED = {
    "small": "2x1024_128_2048cnn_1xhighway",
    "medium": "2x2048_256_2048cnn_1xhighway",
    "original": "2x4096_512_2048cnn_2xhighway",
    "original-5.5b": "2x4096_512_2048cnn_2xhighway_5.5B",
}

# A model of random numbers, for tests and demonstrations.
TINY = "tiny"
_CHECKSUMS = "elmo_{}_sha256.json"


@dataclass(frozen=True)
class ElmoFiles:
    """An ELMo model on this machine whose weights are complete and have the shapes that its options say."""

    options_path: Path
    weights_path: Path
    options: ElmoOptions
    fingerprint: str  # of the contents, whatever the names of the files
    random: bool  # so that results say nothing about ELMo
    vector_size: int


class Checksums(Record):
    """What was fetched: the SHA-256 of each file, by its name."""

    sha256: dict[str, str]


class Fetched(Checksums):
    """`fetched.json`, written last: the same of a model of the Hub; `papers` are those of arXiv."""

    commit: str
    licence: str
    papers: list[str]


@dataclass(frozen=True)
class HubFiles:
    """A transformer whose files are here; `fetched` is None of a folder of the user's own."""

    name: str
    folder: Path
    fingerprint: str
    vector_size: int
    fetched: Fetched | None
    random: ClassVar[bool] = False


EncoderFiles = ElmoFiles | HubFiles


def find_model(config: RunConfig, results: Results) -> EncoderFiles | None:
    """The model whose vectors a run reads, or an EncoderError: it is missing or damaged; None for a run without one."""
    if config.encoder is not None:
        return find_encoder(config.encoder, results.encoders)
    return find_elmo(config.elmo.model, results.elmo_models) if config.elmo else None


def encoder_record(name: str, model: EncoderFiles) -> EncoderRecord:
    """What is recorded of the model whose vectors a run reads."""
    told = model.fetched if isinstance(model, HubFiles) else None
    said = told.model_dump(include={"commit", "licence", "papers"}) if told else {}
    return EncoderRecord(model=name, fingerprint=model.fingerprint, random=model.random, **said)


def published_files(name: str) -> tuple[str, str]:
    return f"elmo_{PUBLISHED[name]}_{OPTIONS_FILE}", f"elmo_{PUBLISHED[name]}_{WEIGHTS_FILE}"


def find_elmo(model: str, folder: Path) -> ElmoFiles:
    """Find and check a model, without any network.

    Args:
        model: a published name, `tiny`, or a folder with one file `*options.json` and one `*.hdf5`.
        folder: where published models are kept.

    Raises:
        EncoderError: the model is missing or damaged, or differs from what was first fetched.
    """
    if model == TINY:
        paths = folder / TINY / OPTIONS_FILE, folder / TINY / WEIGHTS_FILE
        return _checked(*(paths if paths[1].exists() else write_random_model(folder / TINY, TINY_OPTIONS)))
    if model in PUBLISHED:
        paths = folder / published_files(model)[0], folder / published_files(model)[1]
        if missing := [path for path in paths if not path.is_file()]:
            fetches = f"`sentiment prepare elmo {model}` fetches it, on a machine with access to the internet"
            raise EncoderError(f"ELMo model {model!r} is not here: {missing[0]} is missing. {fetches}")
        return _checked(*paths, _recorded(model, folder))
    if not Path(model).is_dir():
        raise EncoderError(f"ELMo model {model!r}: neither one of {', '.join([*PUBLISHED, TINY])} nor a folder")
    return _checked(_only_file(Path(model), OPTIONS_FILE), _only_file(Path(model), ".hdf5"))


def fetch_elmo(name: str, folder: Path, progress: Progress = silent, mirrors: Sequence[str] = ()) -> ElmoFiles:
    """Download the files of a published model that `folder` lacks, check them, and record their SHA-256.

    Args:
        folder: where published models are kept.
        mirrors: places that are tried before the servers, see `sentiment.data.sources`.

    Raises:
        DownloadError: no server answers, or what arrives differs from what was first fetched.
        EncoderError: the name is unknown, or the files are no ELMo model whose weights fit its options.
    """
    if name not in PUBLISHED:
        raise EncoderError(f"ELMo model {name!r}: published are {', '.join(PUBLISHED)}")
    recorded = _recorded(name, folder)
    for file in published_files(name):
        if not (folder / file).exists():
            place = f"{PUBLISHED[name]}/{file}"
            urls = candidate_urls(mirrors, (place, file)) + candidate_urls(SERVERS, (place,))
            download(Remote(file, urls, None, recorded.get(file, "")), folder, progress)
    found = find_elmo(name, folder)
    if not recorded:
        sha256 = {file: cached_sha256(folder / file) for file in published_files(name)}
        write_json(folder / _CHECKSUMS.format(PUBLISHED[name]), {"sha256": sha256})
    return found


def _recorded(name: str, folder: Path) -> dict[str, str]:
    found = read_record(folder / _CHECKSUMS.format(PUBLISHED[name]), Checksums)
    return found.sha256 if found else {}


def _checked(options_path: Path, weights_path: Path, recorded: dict[str, str] | None = None) -> ElmoFiles:
    options = read_options(options_path)
    random = check_weights(weights_path, options)
    sha256 = {path: cached_sha256(path) for path in (options_path, weights_path)}
    for path, found in sha256.items():
        if recorded and recorded.get(path.name) != found:
            again = "delete it and fetch it again with `sentiment prepare elmo`"
            raise EncoderError(f"{path}: is not the file that was fetched first (its SHA-256 differs); {again}")
    return ElmoFiles(options_path, weights_path, options, fingerprint([*sha256.values()]), random, options.vector_size)


def _only_file(folder: Path, ending: str) -> Path:
    found = sorted(path for path in folder.iterdir() if path.name.endswith(ending))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise EncoderError(f"{folder}: an ELMo model has one file whose name ends in {ending}; there is {names}")
    return found[0]


_FETCHED = "fetched.json"
_SAFE, _TEXTS = ".safetensors", (".json", ".txt", ".model")
_UNSAFE = (
    "it holds no weights as *.safetensors; others, such as pytorch_model.bin, can run code when they are read, and are "
    "refused"
)


def find_encoder(config: EncoderConfig, models: Path) -> HubFiles:
    """Find and check a transformer in `models`, where fetched ones are kept, without any network.

    Raises:
        EncoderError: it is missing, has changed since it was fetched, or holds no safe weights.
    """
    name = f"encoder {config.model!r}"
    folder = named_path(config.model) if config.is_folder else _folder(config, models)
    if not (folder / "config.json").is_file():
        one = "NAME" if config.is_folder else f"{config.model} --revision {config.revision}"
        raise EncoderError(
            f"{name}: {folder} holds no model. `sentiment prepare encoder {one}` fetches one of the Hugging Face Hub, "
            "on a machine with access to the internet; a folder with one is written ./FOLDER"
        )
    names = sorted(path.name for path in folder.iterdir() if _is_read(path.name))
    if not any(file.endswith(_SAFE) for file in names):
        raise EncoderError(f"{name}: {folder}: {_UNSAFE}")
    sha256 = {file: cached_sha256(folder / file) for file in names}
    fetched = read_record(folder / _FETCHED, Fetched)
    if not config.is_folder and (fetched is None or fetched.sha256 != sha256):
        raise EncoderError(f"{name}: {folder} is not what was fetched; delete it and fetch it again")
    try:
        said = json.loads((folder / "config.json").read_bytes())
        vector_size = int(next(said[size] for size in ("hidden_size", "dim", "d_model") if size in said))
    except (OSError, ValueError, TypeError, StopIteration, RecursionError):
        raise EncoderError(f"{name}: its config.json names no hidden_size") from None
    return HubFiles(config.model, folder, fingerprint(sha256), vector_size, fetched)


def fetch_encoder(name: str, revision: str, models: Path, say: Callable[[str], None]) -> HubFiles:
    """Fetch a model unless it is here. An interrupted download goes on; a revision that was fetched stays as it was.

    Args:
        say: told size, commit and licence before anything is fetched.

    Raises:
        DownloadError: the Hub does not answer, or has no such model.
        EncoderError: it has no safe weights.
    """
    config = EncoderConfig(model=name, revision=revision)
    if config.is_folder:
        raise DownloadError(f"{name!r}: is a path; names on the Hub are as sentence-transformers/all-MiniLM-L6-v2")
    folder = _folder(config, models)
    if (folder / _FETCHED).exists():
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
        sha256 = {file: cached_sha256(folder / file) for file in sorted(wanted)}
    except (OSError, ValueError, HTTPError) as error:
        why = " ".join(str(error).split())[:300]
        raise DownloadError(f"{name!r} at {revision!r}: cannot be fetched from the Hub: {why}") from None
    if wrong := [file for file, one in wanted.items() if one.lfs and one.lfs.sha256 != sha256[file]]:
        raise DownloadError(f"{folder / wrong[0]}: is not what the Hub says; delete it and fetch the model again")
    papers = [tag.removeprefix("arxiv:") for tag in info.tags or () if tag.startswith("arxiv:")]
    record = Fetched(commit=str(info.sha), licence=licence, papers=papers, sha256=sha256)
    write_json(folder / _FETCHED, record.model_dump(mode="json"))
    return find_encoder(config, models)


def _folder(config: EncoderConfig, models: Path) -> Path:
    return models / f"{config.model}@{config.revision}".replace("/", "--")


def _is_read(name: str) -> bool:
    """Whether a file of a model is fetched and read: configuration, tokeniser and safe weights, at the top."""
    path = PurePath(name)
    return len(path.parts) == 1 and path.suffix in (_SAFE, *_TEXTS) and name != _FETCHED
