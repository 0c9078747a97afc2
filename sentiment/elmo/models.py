"""ELMo models by name: published ones, a tiny one, folders, and those that are trained on a run's own text."""

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from sentiment.config import PRETRAINED, PretrainingConfig, RunConfig
from sentiment.console import Progress
from sentiment.data.corpus.corpus import corpus_fingerprint
from sentiment.data.download import Remote, addresses, download, size_of
from sentiment.data.sources import TweetFile
from sentiment.data.word_vectors import open_text, whole_training_part
from sentiment.elmo.files import (
    OPTIONS_FILE,
    SIZES,
    WEIGHTS_FILE,
    ElmoOptions,
    check_weights,
    random_seed,
    read_options,
    read_weights,
    write_random_model,
)
from sentiment.errors import ElmoError, RunDirError
from sentiment.files import fingerprint, sha256_of, write_json
from sentiment.runs.pretrained import PretrainedDir, pretrained_dirs
from sentiment.runs.run_dir import Results

SERVERS = (
    "https://allennlp.s3.amazonaws.com/models/elmo/",
    "https://s3-us-west-2.amazonaws.com/allennlp/models/elmo/",
)
"""Both serve the same files, for which no checksum was ever published."""

TINY = "tiny"
"""Name of a model of random numbers, for tests and demonstrations."""

_LARGEST_UNPACKED = 10_000_000_000


@dataclass(frozen=True)
class PublishedModel:
    """A model of Peters et al. (2018)."""

    folder: str
    weights_size: int | None = None
    """In bytes; None where it is unknown."""

    @property
    def options_file(self) -> str:
        """Name of the file with the sizes of the model."""
        return f"elmo_{self.folder}_options.json"

    @property
    def weights_file(self) -> str:
        """Name of the file with the weights."""
        return f"elmo_{self.folder}_weights.hdf5"

    @property
    def record_file(self) -> str:
        """Name of the file that records size and SHA-256 of both files when they are first fetched."""
        return f"elmo_{self.folder}_checksums.json"


PUBLISHED = {
    "small": PublishedModel("2x1024_128_2048cnn_1xhighway"),
    "medium": PublishedModel("2x2048_256_2048cnn_1xhighway"),
    "original": PublishedModel("2x4096_512_2048cnn_2xhighway", 374_434_792),
    "original-5.5b": PublishedModel("2x4096_512_2048cnn_2xhighway_5.5B", 374_434_792),
}


@dataclass(frozen=True)
class ModelFiles:
    """A model on this machine whose weights are complete and have the shapes that its options say."""

    name: str
    options_path: Path
    weights_path: Path
    options: ElmoOptions
    checksums: dict[str, str]
    """SHA-256 by file name."""
    random: bool
    """Whether the weights are random numbers, so that results say nothing about ELMo."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the contents, whatever the names of the files."""
        return fingerprint([self.checksums[path.name] for path in (self.options_path, self.weights_path)])

    def read_weights(self) -> dict[str, np.ndarray]:
        """Read the weights.

        Raises:
            ElmoError: a part of the file is damaged.
        """
        return read_weights(self.weights_path, self.options)


def find_elmo(model: str, folder: Path) -> ModelFiles:
    """Find and check a model, without any network.

    Args:
        model: a published name, `tiny`, or the path of a folder or a zip that holds one file whose name ends in
            `options.json` and one whose name ends in `.hdf5` (of several the one that ends in `weights.hdf5`).
        folder: where published models are kept.

    Raises:
        ElmoError: the model is missing or damaged, or differs from what was first fetched.
    """
    if model in PUBLISHED:
        return _find_published(model, folder)
    if model == TINY:
        return check_model(TINY, *_tiny(folder / TINY))
    path = Path(model)
    if path.is_file() and zipfile.is_zipfile(path):
        path = _unpacked(path, folder)
    if not path.is_dir():
        raise ElmoError(f"ELMo model {model!r}: neither one of {', '.join([*PUBLISHED, TINY])} nor a folder or zip")
    found = [file for file in path.iterdir() if file.name.endswith(WEIGHTS_FILE)]
    weights = found[0] if len(found) == 1 else _only_file(path, ".hdf5")
    return check_model(model, _only_file(path, OPTIONS_FILE), weights)


def fetch_elmo(
    name: str,
    folder: Path,
    progress: Progress | None = None,
    servers: Sequence[str] = SERVERS,
    mirrors: Sequence[str] = (),
) -> ModelFiles:
    """Download the files of a published model that are missing, check them, and record their checksums.

    The next call continues an interrupted download. Files that a user has put into `folder` are accepted as well.

    Args:
        folder: where published models are kept.
        servers: tried in this order; each has a folder per model.
        mirrors: places that are tried before, see `sentiment.data.download`.

    Raises:
        DownloadError: no server answers, or what arrives differs from what was first fetched.
        ElmoError: the name is unknown, or the files are no ELMo model whose weights fit its options; files that have
            just been fetched are then deleted.
    """
    if name not in PUBLISHED:
        raise ElmoError(f"ELMo model {name!r}: published are {', '.join(PUBLISHED)}")
    model, fetched = PUBLISHED[name], []
    recorded = _read_record(folder / model.record_file)
    for file in (model.options_file, model.weights_file):
        if not (folder / file).exists():
            place = f"{model.folder}/{file}"
            urls = addresses(mirrors, (place, file)) + addresses(servers, (place,))
            known = model.weights_size if file == model.weights_file else None
            size, sha256 = recorded.get(file) or (known or size_of(file, urls, folder), "")
            fetched.append(download(Remote(file, urls, size, sha256), folder, progress))
    try:
        files = _find_published(name, folder)
    except ElmoError:
        for path in fetched:
            path.unlink()
        raise
    if not recorded:
        sizes = {path.name: path.stat().st_size for path in (files.options_path, files.weights_path)}
        record = {file: {"size": size, "sha256": files.checksums[file]} for file, size in sizes.items()}
        write_json(folder / model.record_file, record)
    return files


def _find_published(name: str, folder: Path) -> ModelFiles:
    model = PUBLISHED[name]
    paths = folder / model.options_file, folder / model.weights_file
    for path in paths:
        if not path.is_file():
            raise ElmoError(
                f"ELMo model {name!r} is not here: {path} is missing. `make elmo-weights MODELS={name}` fetches it, "
                "on a machine with access to the internet"
            )
    recorded = _read_record(folder / model.record_file)
    wanted = {model.weights_file: model.weights_size} | {file: size for file, (size, _) in recorded.items()}
    for path in paths:
        size = path.stat().st_size
        if wanted.get(path.name) not in (None, size):
            raise ElmoError(f"{path}: has {size:,} bytes where {wanted[path.name]:,} are expected; {_AGAIN}")
    files = check_model(name, *paths)
    for file, (_, sha256) in recorded.items():
        if files.checksums[file] != sha256:
            raise ElmoError(f"{folder / file}: is not the file that was fetched first (its SHA-256 differs); {_AGAIN}")
    return files


_AGAIN = "delete it and fetch it again with `make elmo-weights`"


def check_model(name: str, options_path: Path, weights_path: Path) -> ModelFiles:
    """A model of two files whose weights have the shapes that the options say.

    Raises:
        ElmoError: a file is missing or damaged, or they do not belong together.
    """
    options = read_options(options_path)
    check_weights(weights_path, options)
    checksums = {path.name: sha256_of(path) for path in (options_path, weights_path)}
    random = random_seed(weights_path) is not None
    return ModelFiles(name, options_path, weights_path, options, checksums, random)


def _tiny(folder: Path) -> tuple[Path, Path]:
    """Write the model unless it is here, into a temporary folder that is renamed when complete; returns both paths."""
    if not folder.is_dir():
        made = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        try:
            write_random_model(made, SIZES[TINY])
            made.rename(folder)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            if not folder.is_dir():
                raise ElmoError(f"{folder}: cannot be written: {error.strerror}") from None
    return folder / OPTIONS_FILE, folder / WEIGHTS_FILE


def _unpacked(archive: Path, folder: Path) -> Path:
    """The folder with the model of a zip, unpacked into `folder` unless that is done.

    Raises:
        ElmoError: it is damaged, too large, or does not hold one model.
    """
    target = folder / f"{archive.stem}-{sha256_of(archive)[:16]}"
    if target.is_dir():
        return target
    made = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        made.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as opened:
            wanted = [one for one in opened.infolist() if one.filename.endswith((OPTIONS_FILE, ".hdf5"))]
            if sum(one.file_size for one in wanted) > _LARGEST_UNPACKED:
                raise ElmoError(f"{archive}: unpacks to more than {_LARGEST_UNPACKED:,} bytes")
            for one in wanted:  # by their last names alone, so that nothing is written elsewhere
                with opened.open(one) as source, open(made / PurePath(one.filename).name, "wb") as file:
                    shutil.copyfileobj(source, file)
        made.rename(target)
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        if not target.is_dir():
            raise ElmoError(f"{archive}: cannot be unpacked into {folder}: {error}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def _only_file(folder: Path, ending: str) -> Path:
    found = sorted(path for path in folder.iterdir() if path.name.endswith(ending))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ElmoError(f"{folder}: an ELMo model has one file whose name ends in {ending}; there is {names}")
    return found[0]


def _read_record(path: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 by file name; empty before the first fetch."""
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_bytes())
        return {str(file): (int(known["size"]), str(known["sha256"])) for file, known in record.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise ElmoError(
            f"{path}: the recorded checksums cannot be read ({error}); delete it, and they are recorded anew"
        ) from None


# Raise it whenever the same text and settings would give other weights.
_VERSION = 1


@dataclass(frozen=True)
class PretrainingRequest:
    """A language model that a run asks for, and all that decides its weights."""

    model: str
    settings: PretrainingConfig
    options: ElmoOptions
    corpus: str
    """The fingerprint of the corpus whose training part is read."""
    files: list[TweetFile]
    """Unlabelled ones."""
    init: ModelFiles | None

    @property
    def plain_settings(self) -> dict[str, Any]:
        """Those that change the weights; files are known by their content."""
        return self.settings.model_dump(mode="json", exclude={"unlabelled", "init", "log_every"})

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the weights."""
        columns = [file.column for file in self.settings.unlabelled]
        return fingerprint(
            {
                "version": _VERSION,
                "options": self.options.model_dump(mode="json"),
                "settings": self.plain_settings,
                "corpus": self.corpus,
                "unlabelled": [[one.form, one.sha256, column] for one, column in zip(self.files, columns, strict=True)],
                "init": self.init.fingerprint if self.init else None,
            }
        )

    def run_dir(self, results: Results) -> PretrainedDir:
        """Where it is trained, and is once it is complete."""
        name = self.model.removeprefix(PRETRAINED)
        return PretrainedDir(results.pretrained / f"{name}-{self.fingerprint[:16]}")


def pretraining_request(config: RunConfig, results: Results) -> PretrainingRequest | None:
    """The language model that a run asks for; None if it asks for none.

    Raises:
        DataError: the tweets, or an unlabelled file, cannot be read.
        ElmoError: the model to begin with is missing or has other sizes.
    """
    if config.elmo is None or not config.elmo.pretrained:
        return None
    settings = config.pretraining or PretrainingConfig()
    options = SIZES[config.elmo.model.removeprefix(PRETRAINED)]
    init = find_elmo(settings.init, results.elmo_models) if settings.init else None
    # In files of training runs the number of characters counts otherwise.
    if init and init.options.datasets() != options.datasets():
        raise ElmoError(
            f"pretraining.init = {settings.init!r}: has other sizes than {config.elmo.model}; its "
            f"LSTMs have {init.options.lstm.dim} cells and vectors of {init.options.lstm.projection_dim} numbers"
        )
    return PretrainingRequest(
        model=config.elmo.model,
        settings=settings,
        options=init.options if init else options,
        corpus=corpus_fingerprint(whole_training_part(config.data), results),
        files=[open_text(file, "pretraining.unlabelled") for file in settings.unlabelled],
        init=init,
    )


def has_pretrained(config: RunConfig, results: Results) -> bool:
    """Whether a run asks for no language model, or for one that is complete.

    Raises:
        SentimentError: as of `pretraining_request`.
    """
    request = pretraining_request(config, results)
    return request is None or request.run_dir(results).completed


def find_elmo_of(config: RunConfig, results: Results, fingerprint: str | None = None) -> ModelFiles | None:
    """Find and check the ELMo model of a run; None for a run without ELMo.

    Args:
        fingerprint: of the model's files, if it is known from the run's record. An own model is then found by it,
            whatever has become of its text and of other models.

    Raises:
        ElmoError: it is missing or damaged, or not trained yet.
        DataError: the text of an own model cannot be read.
    """
    if config.elmo is None:
        return None
    if not config.elmo.pretrained:
        return find_elmo(config.elmo.model, results.elmo_models)
    if fingerprint:
        return _own_model(config.elmo.model, own_model_dir(fingerprint, config.elmo.model, results))
    request = pretraining_request(config, results)
    if request is None or not (run_dir := request.run_dir(results)).completed:
        raise ElmoError(
            f"ELMo model {config.elmo.model!r}: is not trained on the text of these tweets yet; `python -m sentiment "
            "pretrain` with the run's file trains it (`make pretrain`)"
        )
    return _own_model(config.elmo.model, run_dir)


def own_model_dir(fingerprint: str, name: str, results: Results) -> PretrainedDir:
    """Where the language model is that was trained here and has these files.

    Args:
        fingerprint: `ModelFiles.fingerprint`.
        name: the value of `elmo.model`, for messages.

    Raises:
        ElmoError: it is nowhere.
    """
    damaged = ""
    for run_dir in pretrained_dirs(results):
        try:
            card = run_dir.read_card()
        except RunDirError as error:  # of another model, as long as this one is found
            damaged += f"; {error}"
            continue
        if card and card.files_fingerprint == fingerprint:
            return run_dir
    raise ElmoError(
        f"ELMo model {name!r} ({fingerprint[:8]}): is not in {results.pretrained}{damaged}; copy its folder there from "
        "where it was trained"
    )


class ElmoFinder:
    """Finds the ELMo models of many runs, each model once, since that reads whole files."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._found: dict[tuple[Any, ...], ModelFiles | None] = {}

    def of(self, config: RunConfig) -> ModelFiles | None:
        """As `find_elmo_of`."""
        own = config.elmo is not None and config.elmo.pretrained
        which = config.elmo and config.elmo.model, config.pretraining, config.data if own else None
        if which not in self._found:
            self._found[which] = find_elmo_of(config, self._results)
        return self._found[which]


def _own_model(name: str, run_dir: PretrainedDir) -> ModelFiles:
    files = check_model(name, run_dir.options_file, run_dir.weights_file)
    card = run_dir.read_card()
    wanted = {"options.json": card.options_sha256, "weights.hdf5": card.weights_sha256} if card else {}
    if files.checksums != wanted:
        raise ElmoError(f"{run_dir.path}: its files are not those of its card; delete it and train it again")
    return files
