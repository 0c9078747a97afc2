"""Where encoders are: ELMo models by name or folder, those trained here, and models of the Hugging Face Hub.

Everything is fetched once, by a command, and then found and checked without any network.
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from sentiment.config import PRETRAINED, EncoderConfig, PretrainingConfig, RunConfig
from sentiment.console import Progress
from sentiment.data.corpus import corpus_fingerprint
from sentiment.data.sources import Remote, TweetFile, addresses, download, size_of, source_sha256
from sentiment.data.vocabulary import TextCount, open_text, whole_training_part
from sentiment.encoders.elmo_files import (
    OPTIONS_FILE,
    SIZES,
    WEIGHTS_FILE,
    ElmoOptions,
    check_weights,
    read_options,
    read_weights,
    write_random_model,
)
from sentiment.errors import DownloadError, ElmoError, EncoderError, RunDirError
from sentiment.files import FolderEntry, fingerprint, named_path, write_json
from sentiment.runs.records import Count, EncoderRecord, FileRecord, Record
from sentiment.runs.run_dir import Results, RunDir, read_record

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
class ElmoFiles:
    """An ELMo model on this machine whose weights are complete and have the shapes that its options say.

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


class Fetched(Record):
    """`fetched.json`, written last: what was fetched of the Hub, from which commit.

    Attributes:
        papers: of arXiv, to be cited.
        sha256: by file name.
    """

    name: str
    revision: str
    commit: str
    licence: str
    papers: list[str]
    sha256: dict[str, str]


@dataclass(frozen=True)
class HubFiles:
    """A transformer whose files are here.

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


Files = ElmoFiles | HubFiles


def find_model(config: RunConfig, results: Results, fingerprint: str | None = None) -> Files | None:
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
            f"ELMo model {config.elmo.model!r}: is not trained on the text of these tweets yet; `sentiment "
            "prepare pretrain` with the run's file trains it"
        )
    found, card = _checked(run_dir.options_file, run_dir.weights_file), run_dir.read_card()
    if card is None or found.fingerprint != card.files_fingerprint:
        raise ElmoError(f"{run_dir.path}: its files are not those of its card; delete it and train it again")
    return found


def encoder_record(name: str, model: Files) -> EncoderRecord:
    """What is recorded of the model whose vectors a run reads.

    Args:
        name: as its configuration has it.
    """
    told = model.fetched if isinstance(model, HubFiles) else None
    said = told.model_dump(include={"commit", "licence", "papers"}) if told else {}
    return EncoderRecord(model=name, fingerprint=model.fingerprint, random=model.random, **said)


def published_files(name: str) -> tuple[str, str]:
    """The names of a published model's files: options and weights."""
    return f"elmo_{PUBLISHED[name]}_{OPTIONS_FILE}", f"elmo_{PUBLISHED[name]}_{WEIGHTS_FILE}"


def find_elmo(model: str, folder: Path) -> ElmoFiles:
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
) -> ElmoFiles:
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


def _find_published(name: str, folder: Path) -> ElmoFiles:
    paths = [folder / file for file in published_files(name)]
    if missing := [path for path in paths if not path.is_file()]:
        raise ElmoError(
            f"ELMo model {name!r} is not here: {missing[0]} is missing. `sentiment prepare elmo {name}` fetches it, "
            "on a machine with access to the internet"
        )
    found, recorded = _checked(*paths), _recorded(name, folder)
    for path, sha256 in zip(paths, found.sha256, strict=True):
        if recorded.get(path.name, sha256) != sha256:
            raise ElmoError(
                f"{path}: is not the file that was fetched first (its SHA-256 differs); delete it and fetch it again "
                "with `sentiment prepare elmo`"
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


def _checked(options_path: Path, weights_path: Path) -> ElmoFiles:
    options = read_options(options_path)
    random = check_weights(weights_path, options)
    sha256 = source_sha256(options_path), source_sha256(weights_path)
    return ElmoFiles(options_path, weights_path, options, sha256, random)


def _only_file(folder: Path, ending: str) -> Path:
    found = sorted(path for path in folder.iterdir() if path.name.endswith(ending))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ElmoError(f"{folder}: an ELMo model has one file whose name ends in {ending}; there is {names}")
    return found[0]


_FETCHED = "fetched.json"
_SAFE, _TEXTS = ".safetensors", (".json", ".txt", ".model")
_UNSAFE = (
    "it holds no weights as *.safetensors; others, such as pytorch_model.bin, can run code when they are read, and are "
    "refused"
)


def find_encoder(config: EncoderConfig, models: Path) -> HubFiles:
    """Find and check a transformer, without any network.

    Args:
        models: where fetched models are kept.

    Raises:
        EncoderError: it is missing, has changed since it was fetched, or holds no safe weights.
    """
    name = f"encoder {config.model!r}"
    folder = named_path(config.model) if config.is_folder else _folder(config, models)
    if not (folder / "config.json").is_file():
        raise EncoderError(
            f"{name}: {folder} holds no model. `sentiment prepare encoder NAME` fetches one of the Hugging Face Hub, "
            "on a machine with access to the internet; a folder with one is written ./FOLDER"
        )
    names = sorted(path.name for path in folder.iterdir() if _is_read(path.name))
    if not any(file.endswith(_SAFE) for file in names):
        raise EncoderError(f"{name}: {folder}: {_UNSAFE}")
    sha256 = {file: source_sha256(folder / file) for file in names}
    fetched = _read_fetched(folder)
    if not config.is_folder and (fetched is None or fetched.sha256 != sha256):
        raise EncoderError(f"{name}: {folder} is not what was fetched; delete it and fetch it again")
    return HubFiles(config.model, folder, sha256, fetched)


def fetch_encoder(name: str, revision: str, models: Path, say: Callable[[str], None]) -> HubFiles:
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
    if _read_fetched(folder) is not None:
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
        sha256 = {file: source_sha256(folder / file) for file in sorted(wanted)}
    except (OSError, ValueError, HTTPError) as error:
        why = " ".join(str(error).split())[:300]
        raise DownloadError(f"{name!r} at {revision!r}: cannot be fetched from the Hub: {why}") from None
    if wrong := [file for file, one in wanted.items() if one.lfs and one.lfs.sha256 != sha256[file]]:
        raise DownloadError(f"{folder / wrong[0]}: is not what the Hub says; delete it and fetch the model again")
    papers = [tag.removeprefix("arxiv:") for tag in info.tags or () if tag.startswith("arxiv:")]
    record = Fetched(name=name, revision=revision, commit=str(info.sha), licence=licence, papers=papers, sha256=sha256)
    write_json(folder / _FETCHED, record.model_dump(mode="json"))
    return find_encoder(config, models)


def _folder(config: EncoderConfig, models: Path) -> Path:
    return models / f"{config.model}@{config.revision}".replace("/", "--")


def _is_read(name: str) -> bool:
    """Whether a file of a model is fetched and read: configuration, tokeniser and safe weights, at the top."""
    path = PurePath(name)
    return len(path.parts) == 1 and path.suffix in (_SAFE, *_TEXTS) and name != _FETCHED


def _read_fetched(folder: Path) -> Fetched | None:
    try:
        return Fetched.model_validate_json((folder / _FETCHED).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise EncoderError(
            f"{folder / _FETCHED}: cannot be read; delete the folder and fetch the model again"
        ) from None


class PretrainedCard(FileRecord):
    """`card.json`: what a language model was trained on and how good it is; written last.

    Attributes:
        files_fingerprint: of the model's files, as runs record it (`ElmoFiles.fingerprint`).
        training_tweets: of the corpus' training part, with those that perplexities were measured on.
        unlabelled: by the path of each further file.
        init: the model whose weights it began with; None: random ones.
        words: that are predicted, with both marks and the unknown one.
        unknown: share of the held-out tweets' words that are predicted as unknown, which makes perplexities lower.
        parameters: without those that only predict words, which are not kept.
        tokens: of an epoch.
        forward, backward: perplexity of the held-out tweets, for each word and the mark at the end.
    """

    model: str
    files_fingerprint: str
    source: str
    training_tweets: Count
    held_out_tweets: Count
    unlabelled: dict[str, TextCount]
    init: str | None
    words: Count
    unknown: float
    parameters: Count
    tokens: Count
    epochs: Count
    best_epoch: Count
    forward: float
    backward: float

    def render_lines(self) -> list[str]:
        """For a terminal."""
        return [
            f"{self.model}: {self.parameters:,} weights, {self.tokens * self.best_epoch:,} tokens read in "
            f"{self.best_epoch} epochs",
            f"  perplexity of {self.held_out_tweets:,} training tweets that were held out: {self.forward:.1f} forward, "
            f"{self.backward:.1f} backward (vocabulary {self.words:,}, {100 * self.unknown:.1f} % unknown)",
            f"  {self.training_tweets:,} training tweets of {self.source}: their text alone",
            *(f"  {path}: {count.render()}" for path, count in self.unlabelled.items()),
        ]


@dataclass(frozen=True)
class PretrainedDir(RunDir):
    """The directory of a language model: that of a run, whose outcome are the two files of an ELMo model.

    Attributes:
        card_file: written last: the model is complete if and only if it exists.
    """

    options_file = FolderEntry(OPTIONS_FILE)
    weights_file = FolderEntry(WEIGHTS_FILE)
    card_file = FolderEntry("card.json")

    @property
    def completed(self) -> bool:
        """Whether the model is complete."""
        return self.card_file.exists()

    def read_card(self) -> PretrainedCard | None:
        """The card; None unless the model is complete."""
        return read_record(self.card_file, PretrainedCard)


# Raise it whenever the same text and settings would give other weights.
_VERSION = 2


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
    init: ElmoFiles | None
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


def own_model_dir(fingerprint: str, name: str, results: Results) -> PretrainedDir:
    """Where the language model is that was trained here and has these files.

    Args:
        fingerprint: `ElmoFiles.fingerprint`.
        name: the value of `elmo.model`, for messages.

    Raises:
        ElmoError: it is nowhere.
    """
    for file in sorted(results.pretrained.glob("*/card.json")):
        with contextlib.suppress(RunDirError):  # of another model that is damaged
            if (card := PretrainedDir(file.parent).read_card()) and card.files_fingerprint == fingerprint:
                return PretrainedDir(file.parent)
    raise ElmoError(
        f"ELMo model {name!r} ({fingerprint[:8]}): is not whole in {results.pretrained}; copy its folder there from "
        "where it was trained"
    )
