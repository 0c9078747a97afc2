"""The models of a completed run, in its directory or in an exported zip file with a Hugging Face model card, and those
of a classifier that was fitted in Python.

All are loaded by the same code and have the same interface.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import StringIO
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from ruamel.yaml import YAML

from sentiment.answers.recommendation import compared_by
from sentiment.blocks.wording import code, escape
from sentiment.config import RunConfig
from sentiment.console import visible
from sentiment.errors import CheckpointError, RunDirError, UsageError
from sentiment.files import open_user_file, read_user_file, write_user_file
from sentiment.models.baseline import BaselineModel, LinearModel
from sentiment.models.predictors import all_models
from sentiment.models.text_model import MeanModel, TextModel, check_arrays, checked_threshold, described
from sentiment.runs.corpus_records import PUBLISHED_DATA, PublishedData
from sentiment.runs.records import (
    DEFAULT_THRESHOLD,
    PREDICTORS,
    FitResult,
    ModelKind,
    Record,
    Result,
    RunRecord,
    UnitFraction,
)
from sentiment.runs.run_dir import (
    SINGLE,
    Results,
    RunDir,
    check_file,
    find_run,
    parse_sealed,
    read_whole,
    sealed_bytes,
)
from sentiment.statistics.metrics import Metric
from sentiment.version import __version__

if TYPE_CHECKING:
    import torch
    from jinja2 import Template

CARD = "README.md"
CONFIG = "config.json"
NETWORK_FILE = "network.safetensors"
BASELINE_FILE = "baseline.safetensors"  # the same file name as in a run directory
VOCABULARY_FILE = "vocabulary.txt"  # as in a run directory
_NAMES = (CARD, BASELINE_FILE, CONFIG, NETWORK_FILE, VOCABULARY_FILE)
# Files of a model; a classifier may have been fitted with one of the two alone.
_FILES_OF: dict[ModelKind, tuple[str, ...]] = {
    "network": (NETWORK_FILE, VOCABULARY_FILE),
    "baseline": (BASELINE_FILE,),
    "both": (),
}
_MAX_BYTES = 1_000_000_000
_MAX_REASON_LENGTH = 200
_UNREADABLE = (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class Exported(Record):
    """`config.json`: the configuration and the result of an exported model.

    Attributes:
        choice: which of the run's models predicts; None: the recommended one.
        threshold: its decision threshold, of two classes.
    """

    config: RunConfig
    result: Result | FitResult
    choice: ModelKind | None = None
    threshold: UnitFraction = DEFAULT_THRESHOLD


@dataclass(frozen=True, kw_only=True)
class StoredModels:
    """The stored data from which models are loaded: of a completed run, of an exported file, or of a fit in memory.

    Attributes:
        path: of the run directory or of the exported file, for messages.
        results: the results folder in which its encoder is looked for.
        choice: the model that was chosen at the export; None: the recommended one.
        threshold: the decision threshold of that model.
        files: the content of the files that are in memory.
        record: that of the run; None for an exported file and a fit.
    """

    path: str
    config: RunConfig
    result: Result | FitResult
    results: Results
    choice: ModelKind | None = None
    threshold: float = DEFAULT_THRESHOLD
    files: Mapping[str, bytes] = field(default_factory=dict)
    record: RunRecord | None = None

    @property
    def default_choice(self) -> ModelKind:
        """The model that predicts unless another one is asked for."""
        return self.choice or self.result.recommended

    def read(self, name: str) -> bytes:
        """The content of a file of an exported model."""
        return self.files[name]

    def weights(self) -> "dict[str, torch.Tensor]":
        """The network's weights at the best epoch.

        Raises:
            CheckpointError: they are missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            return load(self.read(NETWORK_FILE))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self.path}/{NETWORK_FILE}: holds no weights: {error}") from None

    def model(
        self,
        choice: ModelKind | None = None,
        threshold: float | None = None,
        device: "torch.device | None" = None,
    ) -> TextModel:
        """A model with its decision threshold and the reason why it predicts; networks use a GPU if available.

        Args:
            choice: which of the models; None: the one that was chosen at the export, else the recommended one.
            threshold: None: that of the export for the model chosen there, else 0.5.

        Raises:
            SentimentError: the stored files are damaged, or do not belong together; or as `checked_threshold`.
        """
        model = self._load(choice or self.default_choice, device)
        if choice:
            model.reason = f"--with {choice}"
        elif self.choice:
            model.reason = "chosen at the export"
        if threshold is not None:
            model.threshold = checked_threshold(threshold, self.config.data.label_names)
        elif model.kind == self.default_choice:
            model.threshold = self.threshold
        if model.threshold != DEFAULT_THRESHOLD:
            model.reason += f"; decision threshold {model.threshold:g}"
        return model

    def models(self) -> list[TextModel]:
        """All predictors that read texts, in the order of tables, where all models were fitted; raises as `model`."""
        network = self._load("network", None)
        return all_models(network, self._load("baseline", None), self.result.temperatures["both"])

    def _load(self, kind: ModelKind, device: "torch.device | None") -> TextModel:
        if kind not in self.result.temperatures:
            raise UsageError(f"{self.path}: {kind!r} was not fitted; valid: {', '.join(self.result.temperatures)}")
        temperature = self.result.temperatures[kind]
        if kind == "both":
            return MeanModel(self._load("network", device), self._load("baseline", device), temperature)
        if kind == "network":
            return _network(self, device, temperature)
        data = self.config.data
        path = f"{self.path}/{BASELINE_FILE}"
        linear = LinearModel.from_bytes(self.read(BASELINE_FILE), path, len(data.label_names), data.is_english)
        return BaselineModel(self.config, linear, temperature)


@dataclass(frozen=True, kw_only=True)
class TrainedRun(StoredModels):
    """A completed run in its directory, with its weights in a checkpoint."""

    result: Result
    record: RunRecord
    run_dir: RunDir

    @cached_property
    def metric(self) -> Metric:
        """The metric by which its predictors are compared. Raises RunDirError if its grid's plan cannot be read."""
        grid = self.run_dir.grid
        return compared_by(self.config, None if grid == SINGLE else self.run_dir.results.read_grid(grid))

    def read(self, name: str) -> bytes:
        """The content of a file of an exported model; RunDirError if it does not match the result's hash."""
        if name == NETWORK_FILE:
            return weights_as_bytes(self.weights())
        check_file(self.run_dir.path / name, self.result)
        return read_user_file(self.run_dir.path / name, _MAX_BYTES)

    def with_choice(self, choice: ModelKind | None, threshold: float | None) -> "TrainedRun":
        """This run with the model and the decision threshold that its exported file is to predict with.

        Raises:
            UsageError: as `checked_threshold`.
        """
        if threshold is None:
            return replace(self, choice=choice)
        return replace(self, choice=choice, threshold=checked_threshold(threshold, self.config.data.label_names))

    def weights(self) -> "dict[str, torch.Tensor]":
        from sentiment.training.checkpoint import read_weights, weights_sha256

        weights = read_weights(self.run_dir.best_weights)
        if weights_sha256(weights) != self.result.weights_sha256:
            raise CheckpointError(f"{self.run_dir.best_weights}: its weights do not match result.json (SHA-256)")
        return weights


def open_run(name: Path, results: Path | None = None) -> TrainedRun:
    """A completed run.

    Args:
        name: as `find_runs` takes it.
        results: the results folder with its encoder; None: the one that the run is in.

    Raises:
        UsageError: as `find_runs`, or the run is not completed.
        RunDirError: its records are damaged or belong to different runs.
    """
    run_dir = find_run(str(name), Results(results) if results else Results())
    path = run_dir.path
    if not run_dir.config_file.exists():
        raise UsageError(f"{name}: run {path.name} of grid {run_dir.grid} has not begun; {_how_to_go_on(run_dir)}")
    config, record, result = read_whole(run_dir)
    if result is None or record is None:  # a result without a record is refused
        raise UsageError(f"{path}: is not completed yet; {_how_to_go_on(run_dir)}")
    return TrainedRun(
        path=str(path),
        config=config,
        result=result,
        results=Results(results) if results else run_dir.results,
        run_dir=run_dir,
        record=record,
    )


def _how_to_go_on(run_dir: RunDir) -> str:
    if run_dir.grid == SINGLE:
        return "repeat the command that began it"
    return f"`{run_dir.results.command('status', run_dir.grid)}` says what it waits for, and how it goes on"


def _open_archive(path: Path, results: Results) -> StoredModels:
    """The models in an exported zip file.

    Entries are stored uncompressed, so memory use is bounded by the file size.

    Raises:
        RunDirError: it cannot be read or holds other files.
    """
    try:
        with open_user_file(path) as file, zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry.compress_type for entry in archive.infolist()}
            is_plain = {*entries.values()} == {zipfile.ZIP_STORED} and len(entries) == len(archive.infolist())
            if is_plain and CONFIG in entries and entries.keys() <= {*_NAMES}:
                files = {name: archive.read(name) for name in entries}
                exported = parse_sealed(files[CONFIG], Exported, f"{path}:{CONFIG}")
                if files.keys() == {CARD, CONFIG, *_model_files(exported.result)}:
                    return StoredModels(
                        path=str(path),
                        config=exported.config,
                        result=exported.result,
                        results=results,
                        files=files,
                        choice=exported.choice,
                        threshold=exported.threshold,
                    )
            names = visible(", ".join(archive.namelist()))[:_MAX_REASON_LENGTH]
            reason = f"it holds {names}, and not {', '.join(_NAMES)}, each once and not compressed"
    except _UNREADABLE as error:
        reason = visible(str(error))[:_MAX_REASON_LENGTH] or "it ends too early"
    raise RunDirError(f"{path}: is not a model that `sentiment export` wrote: {reason}")


def _model_files(result: Result | FitResult) -> list[str]:
    """The names of the files of all models of a result."""
    return [name for model in result.temperatures for name in _FILES_OF[model]]


def open_stored(path: Path, results: Path | None = None) -> StoredModels:
    """A completed run in its directory, or the models in a file that `sentiment export` wrote.

    Args:
        results: the results folder with its encoder; None: that of the run, for an exported file `./results`.

    Raises:
        SentimentError: there is nothing at the path, it is neither of the two, or it is damaged.
    """
    if not path.is_file() and path.suffix != ".zip":
        return open_run(path, results)
    folder = Results(results) if results else Results()
    if not path.exists():
        command = folder.command("export", "last", str(path))
        raise UsageError(f"{path}: no such file; `{command}` exports the run that was trained last")
    return _open_archive(path, folder)


def _network(run: StoredModels, device: "torch.device | None", temperature: float) -> TextModel:
    import torch

    from sentiment.data.vocabulary import Vocabulary
    from sentiment.models.classifier import NetworkModel, build_classifier, frozen_encoder, recorded_files
    from sentiment.training.device import choose_device

    weights = run.weights()
    vocabulary = Vocabulary.from_bytes(run.read(VOCABULARY_FILE), f"{run.path}/{VOCABULARY_FILE}")
    files = recorded_files(run.config, run.result.encoder, run.results)
    with torch.device("meta"):  # no memory for weights before their shapes are known to be those of the file
        model = build_classifier(run.config, len(vocabulary), files)
    check_arrays(run.path, weights, {name: described(array) for name, array in model.state_dict().items()})
    # Copied, since the last digits of products may depend on the position in memory.
    model.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, assign=True)
    chosen = device or choose_device("auto")
    encoder = frozen_encoder(run.config, files, chosen)
    return NetworkModel(run.config, vocabulary, model, encoder, chosen, temperature)


EXAMPLE = "what a lovely day"  # example sentence in messages; the models of `make run` classify it correctly


def uses_of(name: str, options: str) -> list[str]:
    """Lines with the commands that use and export a run's model; its name is quoted for a shell."""
    model = f"{name} {options}".rstrip()
    return [
        f'use it       sentiment predict {model} "{EXAMPLE}"',
        f"hand it on   sentiment export {name} model.zip {options}".rstrip(),
    ]


def without_paths(config: RunConfig) -> RunConfig:
    """The configuration with file names in place of paths, which would reveal the directory structure of the author."""
    return config.with_paths(lambda path: PurePath(path).name)


def model_card(run: StoredModels) -> str:
    """The model card as Markdown; markup in descriptions, labels and file names is escaped."""
    config = without_paths(run.config)
    source = config.data.source
    if isinstance(run.result, FitResult):
        source = f"{run.result.texts:,} texts that were passed to SentimentClassifier.fit"
    unknown = PublishedData(source, "not known; ask who gave you this model", "")
    data = PUBLISHED_DATA.get(run.record.dataset if run.record else source, unknown)
    metadata = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(_card_metadata(config, data), metadata)
    return _template().render(
        metadata=metadata.getvalue(),
        run=run,
        config=config,
        data=data,
        predictors=PREDICTORS,
        version=__version__,
    )


def _template() -> "Template":
    """The template of model cards, which escapes all values for Markdown."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["code"] = code
    templates.filters["score"] = "{:.3f}".format
    return templates.get_template("model_card.md.j2")


def _card_metadata(config: RunConfig, data: PublishedData) -> dict[str, Any]:
    """The keys that the Hugging Face Hub reads; names of data sets and of the encoder are links there."""
    metadata: dict[str, Any] = {
        "language": config.data.language,
        "license": "mit" if data.licence == "MIT" else "other",
        "library_name": "sentiment-grids",
        "pipeline_tag": "text-classification",
        "tags": ["sentiment-analysis", "tweets", config.model.kind],
        "metrics": ["accuracy", "recall", "f1"],
    }
    if metadata["license"] == "other":
        metadata["license_name"] = "see-data-and-encoder"
    if data.hub:
        metadata["datasets"] = [data.hub]
    if config.encoder and not config.encoder.is_folder:
        metadata["base_model"] = config.encoder.model
    return metadata


def exported_files(run: StoredModels) -> dict[str, bytes]:
    """The files with the models of a completed run or a fitted classifier, by name; no path is in them.

    Raises:
        SentimentError: as `load_model`.
    """
    if CONFIG in run.files:  # exported already
        return {**run.files}
    config = without_paths(run.config)
    result = run.result
    if result.encoder and config.any_encoder:
        encoder = result.encoder.model_copy(update={"model": config.any_encoder.model})
        result = result.model_copy(update={"encoder": encoder})
    exported = Exported(config=config, result=result, choice=run.choice, threshold=run.threshold)
    files = {name: run.read(name) for name in _model_files(result)}
    files[CARD] = model_card(run).encode()
    files[CONFIG] = sealed_bytes(exported)
    return files


def weights_as_bytes(weights: "dict[str, torch.Tensor]") -> bytes:
    """The content of an archive's `network.safetensors`."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(weights.items())})


def write_archive(files: dict[str, bytes], target: Path) -> None:
    """Write `exported_files` to a zip file; equal files give equal bytes.

    Raises:
        UsageError: the target is not called `*.zip`.
        OSError: the target cannot be written.
    """
    if target.suffix.lower() != ".zip":
        name = target.parent / f"{target.stem or 'model'}.zip"
        raise UsageError(f"{target}: models are exported as zip files; name it {name}")

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in sorted(files.items()):
                entry = zipfile.ZipInfo(name)  # with a fixed timestamp, so that equal runs give equal bytes
                archive.writestr(entry, content)

    write_user_file(target, write)


def export_warnings(run: StoredModels) -> list[str]:
    """Warnings for a user who shares an exported file: of names and links in its vocabulary, and its encoder."""
    warnings = []
    for setting, description in (("mentions", "@names"), ("urls", "links")):  # they identify people
        if "network" in run.result.temperatures and getattr(run.config.data.text, setting) == "keep":
            warnings.append(
                f"warning: vocabulary.txt holds {description} of the tweets, since data.text.{setting} = keep"
            )
    config = run.config
    if config.any_encoder is None:
        return warnings
    model = config.any_encoder.model
    fetched = "elmo" if config.elmo else "encoder"
    return [
        *warnings,
        f"the model needs the encoder {model!r}, which is not in the file: `sentiment prepare {fetched}` fetches a "
        "published one; a folder has to be copied",
    ]
