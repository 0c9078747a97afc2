"""ELMo models by name: published ones, a tiny one, folders, and those that are trained on a run's own text."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from sentiment.config import PRETRAINED, PretrainingConfig, RunConfig
from sentiment.console import Progress
from sentiment.data.corpus import corpus_fingerprint
from sentiment.data.sources import Remote, TweetFile, addresses, download, size_of
from sentiment.data.vocabulary import open_text, whole_training_part
from sentiment.elmo.files import (
    OPTIONS_FILE,
    SIZES,
    WEIGHTS_FILE,
    ElmoOptions,
    check_weights,
    read_options,
    read_weights,
    write_random_model,
)
from sentiment.encoders.hub import EncoderFiles, find_encoder
from sentiment.errors import ElmoError, RunDirError
from sentiment.files import fingerprint, sha256_of, write_json
from sentiment.runs.pretrained import PretrainedDir, pretrained_dirs
from sentiment.runs.run_dir import Results

# Both serve the same files, for which no checksum was ever published.
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


@dataclass(frozen=True)
class ModelFiles:
    """A model on this machine whose weights are complete and have the shapes that its options say.

    Attributes:
        sha256: of the options' file and of that of the weights.
        random: whether the weights are random numbers, so that results say nothing about ELMo.
    """

    options_path: Path
    weights_path: Path
    options: ElmoOptions
    sha256: tuple[str, str]
    random: bool

    @property
    def fingerprint(self) -> str:
        """Of the contents, whatever the names of the files."""
        return fingerprint(self.sha256)

    @property
    def vector_size(self) -> int:
        """Values per token and layer."""
        return self.options.vector_size

    def read_weights(self) -> dict[str, np.ndarray]:
        """The weights, float32, by their names in the file.

        Raises:
            ElmoError: a part of the file is damaged.
        """
        return read_weights(self.weights_path, self.options)


def published_files(name: str) -> tuple[str, str]:
    """The names of a published model's files: options and weights."""
    return f"elmo_{PUBLISHED[name]}_{OPTIONS_FILE}", f"elmo_{PUBLISHED[name]}_{WEIGHTS_FILE}"


def find_elmo(model: str, folder: Path) -> ModelFiles:
    """Find and check a model, without any network.

    Args:
        model: a published name, `tiny`, or the path of a folder that holds one file whose name ends in `options.json`
            and one whose name ends in `.hdf5`.
        folder: where published models are kept.

    Raises:
        ElmoError: the model is missing or damaged, or differs from what was first fetched.
    """
    if model == TINY:
        paths = folder / TINY / OPTIONS_FILE, folder / TINY / WEIGHTS_FILE
        return _checked(*(paths if paths[1].exists() else write_random_model(folder / TINY, SIZES[TINY])))
    if model in PUBLISHED:
        return _find_published(model, folder)
    if not Path(model).is_dir():
        raise ElmoError(f"ELMo model {model!r}: neither one of {', '.join([*PUBLISHED, TINY])} nor a folder")
    return _checked(_only_file(Path(model), OPTIONS_FILE), _only_file(Path(model), ".hdf5"))


def fetch_elmo(
    name: str,
    folder: Path,
    progress: Progress | None = None,
    servers: Sequence[str] = SERVERS,
    mirrors: Sequence[str] = (),
) -> ModelFiles:
    """Download the files of a published model that are missing, check them, and record their SHA-256.

    The next call continues an interrupted download. Files that a user has put into `folder` are accepted as well.

    Args:
        folder: where published models are kept.
        servers: tried in this order; each has a folder per model.
        mirrors: places that are tried before, see `sentiment.data.sources`.

    Raises:
        DownloadError: no server answers, or what arrives differs from what was first fetched.
        ElmoError: the name is unknown, or the files are no ELMo model whose weights fit its options.
    """
    if name not in PUBLISHED:
        raise ElmoError(f"ELMo model {name!r}: published are {', '.join(PUBLISHED)}")
    recorded = _recorded(name, folder)
    for file in published_files(name):
        if not (folder / file).exists():
            place = f"{PUBLISHED[name]}/{file}"
            urls = addresses(mirrors, (place, file)) + addresses(servers, (place,))
            remote = Remote(file, urls, size_of(file, urls, folder), recorded.get(file, ""))
            download(remote, folder, progress)
    found = _find_published(name, folder)
    if not recorded:
        write_json(_record(name, folder), dict(zip(published_files(name), found.sha256, strict=True)))
    return found


def _find_published(name: str, folder: Path) -> ModelFiles:
    paths = [folder / file for file in published_files(name)]
    if missing := [path for path in paths if not path.is_file()]:
        raise ElmoError(
            f"ELMo model {name!r} is not here: {missing[0]} is missing. `make elmo-weights MODELS={name}` fetches it, "
            "on a machine with access to the internet"
        )
    found, recorded = _checked(*paths), _recorded(name, folder)
    for path, sha256 in zip(paths, found.sha256, strict=True):
        if recorded.get(path.name, sha256) != sha256:
            raise ElmoError(
                f"{path}: is not the file that was fetched first (its SHA-256 differs); delete it and fetch it again "
                "with `make elmo-weights`"
            )
    return found


def _record(name: str, folder: Path) -> Path:
    """Where the SHA-256 of a published model's files stand since they were first fetched."""
    return folder / f"elmo_{PUBLISHED[name]}_sha256.json"


def _recorded(name: str, folder: Path) -> dict[str, str]:
    """SHA-256 by file name; empty before the first fetch."""
    path = _record(name, folder)
    try:
        return TypeAdapter(dict[str, str]).validate_json(path.read_bytes()) if path.exists() else {}
    except ValidationError:
        raise ElmoError(f"{path}: is damaged; delete it, and what is here is recorded anew") from None


def _checked(options_path: Path, weights_path: Path) -> ModelFiles:
    options = read_options(options_path)
    random = check_weights(weights_path, options)
    return ModelFiles(options_path, weights_path, options, (sha256_of(options_path), sha256_of(weights_path)), random)


def _only_file(folder: Path, ending: str) -> Path:
    found = sorted(path for path in folder.iterdir() if path.name.endswith(ending))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ElmoError(f"{folder}: an ELMo model has one file whose name ends in {ending}; there is {names}")
    return found[0]


# Raise it whenever the same text and settings would give other weights.
_VERSION = 1


@dataclass(frozen=True)
class PretrainingRequest:
    """A language model that a run asks for.

    Attributes:
        files: unlabelled ones.
        init: the model whose weights it begins with; None: random ones.
        fingerprint: SHA-256 of all that decides the weights.
    """

    model: str
    settings: PretrainingConfig
    options: ElmoOptions
    files: list[TweetFile]
    init: ModelFiles | None
    fingerprint: str

    def run_dir(self, results: Results) -> PretrainedDir:
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
    model, settings = config.elmo.model, config.pretraining or PretrainingConfig()
    options = SIZES[model.removeprefix(PRETRAINED)]
    init = find_elmo(settings.init, results.elmo_models) if settings.init else None
    if init:
        # In files of training runs the number of characters counts otherwise.
        if init.options.datasets() != options.datasets():
            raise ElmoError(
                f"pretraining.init = {settings.init!r}: has other sizes than {model}; its LSTMs have "
                f"{init.options.lstm.dim} cells and vectors of {init.options.lstm.projection_dim} numbers"
            )
        options = init.options
    files = [open_text(file, "pretraining.unlabelled") for file in settings.unlabelled]
    columns = [file.column for file in settings.unlabelled]
    identity = {
        "version": _VERSION,
        "options": options.model_dump(mode="json"),
        # Those that change the weights; files are known by their content.
        "settings": settings.model_dump(mode="json", exclude={"unlabelled", "init", "log_every"}),
        "corpus": corpus_fingerprint(whole_training_part(config.data), results),
        "unlabelled": [[one.form, one.sha256, column] for one, column in zip(files, columns, strict=True)],
        "init": init.fingerprint if init else None,
    }
    return PretrainingRequest(model, settings, options, files, init, fingerprint(identity))


def has_pretrained(config: RunConfig, results: Results) -> bool:
    """Whether a run asks for no language model, or for one that is complete.

    Raises:
        SentimentError: as of `pretraining_request`.
    """
    request = pretraining_request(config, results)
    return request is None or request.run_dir(results).completed


def find_elmo_of(
    config: RunConfig, results: Results, fingerprint: str | None = None
) -> ModelFiles | EncoderFiles | None:
    """Find and check the model whose vectors a run reads; None for a run that reads none.

    Args:
        fingerprint: of the model's files, if it is known from the run's record. An own model is then found by it,
            whatever has become of its text and of other models.

    Raises:
        ElmoError: it is missing or damaged, or not trained yet.
        EncoderError: likewise of a model of the Hub.
        DataError: the text of an own model cannot be read.
    """
    if config.encoder is not None:
        return find_encoder(config.encoder, results.encoders)
    if config.elmo is None:
        return None
    if not config.elmo.pretrained:
        return find_elmo(config.elmo.model, results.elmo_models)
    if fingerprint:
        run_dir = own_model_dir(fingerprint, config.elmo.model, results)
    elif (request := pretraining_request(config, results)) and request.run_dir(results).completed:
        run_dir = request.run_dir(results)
    else:
        raise ElmoError(
            f"ELMo model {config.elmo.model!r}: is not trained on the text of these tweets yet; `python -m sentiment "
            "pretrain` with the run's file trains it (`make pretrain`)"
        )
    found, card = _checked(run_dir.options_file, run_dir.weights_file), run_dir.read_card()
    if card is None or found.fingerprint != card.files_fingerprint:
        raise ElmoError(f"{run_dir.path}: its files are not those of its card; delete it and train it again")
    return found


def own_model_dir(fingerprint: str, name: str, results: Results) -> PretrainedDir:
    """Where the language model is that was trained here and has these files.

    Args:
        fingerprint: `ModelFiles.fingerprint`.
        name: the value of `elmo.model`, for messages.

    Raises:
        ElmoError: it is nowhere.
    """
    for run_dir in pretrained_dirs(results):
        with contextlib.suppress(RunDirError):  # of another model that is damaged
            if (card := run_dir.read_card()) and card.files_fingerprint == fingerprint:
                return run_dir
    raise ElmoError(
        f"ELMo model {name!r} ({fingerprint[:8]}): is not whole in {results.pretrained}; copy its folder there from "
        "where it was trained"
    )


class ElmoFinder:
    """Finds the models whose vectors many runs read, each model once, since that reads whole files."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._found: dict[tuple[Any, ...], ModelFiles | EncoderFiles | None] = {}

    def of(self, config: RunConfig) -> ModelFiles | EncoderFiles | None:
        own = config.elmo is not None and config.elmo.pretrained
        encoder = config.encoder and (config.encoder.model, config.encoder.revision)
        which = encoder, config.elmo and config.elmo.model, config.pretraining, config.data if own else None
        if which not in self._found:
            self._found[which] = find_elmo_of(config, self._results)
        return self._found[which]
