"""What is said of a trained model that is handed on: its configuration, scores and origin, in `model.json`.

It holds no tweet, no name of a host and no path of a machine. Nothing here needs the model itself, so that torch is not
loaded: the report prints the same card.
"""

from pathlib import PurePath
from typing import Literal

from sentiment import __version__
from sentiment.config import RunConfig
from sentiment.errors import UsageError
from sentiment.records import SCHEMA_VERSION, Record, Result, SchemaVersion
from sentiment.run_dir import RunDir
from sentiment.whole_run import read_whole


class HandedOn(Record):
    """`model.json`: what a model that is handed on is."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    format: Literal["sentiment-grids model"] = "sentiment-grids model"
    version: str
    """Of the program that wrote it."""
    config: RunConfig
    """Paths are reduced to the names of files."""
    result: Result
    dataset: str
    data_fingerprint: str
    git_commit: str | None
    versions: dict[str, str]
    devices: list[str]
    """What it was trained on."""


def hand_on(run_dir: RunDir) -> HandedOn:
    """What is to be said of a completed run.

    Raises:
        UsageError: the run is not completed, or is a combination.
        RunDirError: its files are damaged or of different runs.
    """
    run = read_whole(run_dir)
    if run.config.combination is not None:
        members = ", ".join(run.config.combination.members)
        raise UsageError(f"{run_dir.path}: is a combination of runs; export its members: {members}")
    if run.result is None or run.record is None:
        raise UsageError(f"{run_dir.path}: is not completed yet; the command that trains it goes on")
    result, record, config = run.result, run.record, without_paths(run.config)
    if result.elmo and config.elmo:
        result = result.model_copy(update={"elmo": result.elmo.model_copy(update={"model": config.elmo.model})})
    return HandedOn(
        version=__version__,
        config=config,
        result=result,
        dataset=record.dataset,
        data_fingerprint=record.data_fingerprint,
        git_commit=record.git_commit,
        versions=record.versions,
        devices=sorted({attempt.device for attempt in record.attempts}),
    )


def without_paths(config: RunConfig) -> RunConfig:
    """The configuration with names of files in place of paths, which would tell where somebody keeps them."""
    return config.respelled(lambda path: PurePath(path).name)
