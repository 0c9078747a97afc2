"""ELMo models that are trained on a run's own text: their sizes, what identifies them, and where they are."""

from dataclasses import dataclass
from typing import Any

from sentiment.config import PRETRAINED, PretrainingConfig, RunConfig
from sentiment.data.corpus.corpus import corpus_fingerprint
from sentiment.data.data_source import TweetFile
from sentiment.data.word_vectors.training_text import open_text, whole_training_part
from sentiment.elmo.models import ModelFiles, check_model, find_elmo
from sentiment.elmo.options import ElmoOptions
from sentiment.elmo.random_weights import SIZES
from sentiment.errors import ElmoError, RunDirError
from sentiment.files import fingerprint
from sentiment.pretrained_runs import PretrainedDir, pretrained_dirs
from sentiment.run_dir import Results

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
        files=[open_text(file, results, "pretraining.unlabelled") for file in settings.unlabelled],
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
