"""What is said of a trained model that is handed on: its configuration, scores and origin, in `model.json`.

It holds no tweet, no name of a host and no path of a machine. Nothing here needs the model itself, so that torch is not
loaded: the report prints the same card.
"""

from pathlib import PurePath
from typing import Literal

from sentiment import __version__
from sentiment.config import RunConfig
from sentiment.errors import UsageError
from sentiment.records import SCHEMA_VERSION, ElmoRecord, Metrics, Overfit, Part, Recommendation, Record, Result
from sentiment.run_dir import RunDir
from sentiment.whole_run import has_baseline_model, read_whole

Scores = dict[Part, Metrics]


class HandedOn(Record):
    """`model.json`: what a model that is handed on is, and the checksums of the files beside it."""

    schema_version: int = SCHEMA_VERSION
    format: Literal["sentiment-grids model"] = "sentiment-grids model"
    version: str
    """Of the program that wrote it."""
    run_id: str
    config: RunConfig
    """Paths are reduced to the names of files."""
    label_names: tuple[str, str]
    recommended: Recommendation
    dataset: str | None
    data_fingerprint: str
    elmo: ElmoRecord | None
    git_commit: str | None
    versions: dict[str, str]
    metrics: Scores
    baseline: Scores
    combination: Scores
    lexicon: Scores
    overfit: Overfit
    parameters: int
    epochs: int
    best_epoch: int
    seconds_trained: float
    devices: list[str]
    """What it was trained on."""
    weights_sha256: str
    """As `sentiment digest` prints it."""
    files_sha256: dict[str, str]


def hand_on(run_dir: RunDir) -> HandedOn:
    """What is to be said of a completed run; without checksums of files.

    Raises:
        UsageError: the run is not completed, or is a combination.
        RunDirError: its files are damaged or of different runs.
    """
    run = read_whole(run_dir)
    if run.config.combination is not None:
        raise UsageError(f"{run_dir.path}: is a combination of runs; export its members: {_members(run.config)}")
    if run.result is None or run.record is None:
        raise UsageError(f"{run_dir.path}: is not completed yet; the command that trains it goes on")
    result, record, config = run.result, run.record, without_paths(run.config)
    elmo = None
    if record.elmo and config.elmo:
        elmo = record.elmo.model_copy(update={"model": config.elmo.model})
    return HandedOn(
        version=__version__,
        run_id=result.run_id,
        config=config,
        label_names=run.config.data.label_names,
        recommended=_recommended(run_dir, result),
        dataset=record.dataset,
        data_fingerprint=record.data_fingerprint,
        elmo=elmo,
        git_commit=record.git_commit,
        versions=record.versions,
        metrics=result.metrics,
        baseline=result.baseline,
        combination=result.combination,
        lexicon=result.lexicon,
        overfit=result.overfit,
        parameters=result.parameters,
        epochs=result.epochs,
        best_epoch=result.best_epoch,
        seconds_trained=result.seconds_trained,
        devices=sorted({attempt.device for attempt in record.attempts}),
        weights_sha256=result.weights_sha256,
        files_sha256={},
    )


def without_paths(config: RunConfig) -> RunConfig:
    """The configuration with names of files in place of paths, which would tell where somebody keeps them."""
    return config.respelled(lambda path: PurePath(path).name)


def _recommended(run_dir: RunDir, result: Result) -> Recommendation:
    return (result.recommended if has_baseline_model(run_dir) else None) or "network"


def _members(config: RunConfig) -> str:
    return ", ".join(config.combination.members) if config.combination else ""
