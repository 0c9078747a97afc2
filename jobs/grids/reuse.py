"""Runs that are completed in another grid are taken over, if they were trained on what is here now."""

import os
import shutil
from functools import cache

from jobs.grids.grid import ExpandedGrid
from sentiment.config import DataConfig, RunConfig
from sentiment.errors import SentimentError
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import Results, RunDir


def completed_elsewhere(results: Results, grid: ExpandedGrid) -> dict[str, RunDir]:
    """Runs that have no directory in this grid and are completed in another, on what is here now; by run id."""
    name, found = grid.plan.name, {file.parent.name: file.parent for file in results.runs.glob("*/*/result.json")}
    origin = _Origin(results)
    return {
        config.run_id: RunDir(found[config.run_id])
        for config in grid.configs
        if config.run_id in found
        and not results.run_dir(config.run_id, name).path.exists()
        and origin.is_that_of(RunDir(found[config.run_id]), config)
    }


def trained_on_others(results: Results, grid: ExpandedGrid) -> list[str]:
    """Ids of this grid's completed runs that were trained on other files than those which are here now."""
    origin = _Origin(results)
    run_dirs = [(config, results.run_dir(config.run_id, grid.plan.name)) for config in grid.configs]
    return [config.run_id for config, run_dir in run_dirs if run_dir.completed and origin.has_changed(run_dir, config)]


class _Origin:
    """What the tweets, vectors and ELMo models that configurations name are now; each is looked at once."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._data = cache(self._fingerprint_of_data)

    def is_that_of(self, run_dir: RunDir, config: RunConfig) -> bool:
        """Whether a completed run asks this question, and was trained on what it names now; False if unknown."""
        try:
            record = run_dir.read_record()
            asked = run_dir.read_config().fingerprint()
            return record is not None and asked == config.fingerprint() and self._is_same(record, config)
        except SentimentError:
            return False

    def has_changed(self, run_dir: RunDir, config: RunConfig) -> bool:
        """Whether a completed run was certainly trained on something else; False if unknown, as without its files."""
        try:
            record = run_dir.read_record()
            return record is not None and not self._is_same(record, config, without_model=True)
        except SentimentError:
            return False

    def _is_same(self, record: RunRecord, config: RunConfig, without_model: bool = False) -> bool:
        from sentiment.data.sources import source_sha256
        from sentiment.data.vocabulary import pretrained_file, vectors_fingerprint
        from sentiment.encoders.models import find_model

        if record.data_fingerprint != self._data(config.data):
            return False
        if record.encoder:
            model = find_model(config, self._results)
            if model is None:
                return without_model
            if record.encoder.fingerprint != model.fingerprint:
                return False
        file = pretrained_file(config, self._results)
        learned = vectors_fingerprint(config, self._results)
        return record.vectors_sha256 == (learned or (source_sha256(file) if file else None))

    def _fingerprint_of_data(self, data: DataConfig) -> str:
        from sentiment.data.corpus import corpus_fingerprint

        return corpus_fingerprint(data, self._results)


def reuse_completed(results: Results, grid: ExpandedGrid) -> None:
    """Copy such runs into this grid, each as a whole or not at all; the caller must hold the grid's lock.

    Raises:
        OSError: the disk refuses it.
    """
    for leftover in results.grid_file(grid.plan.name).parent.glob(".*.tmp/"):  # of a copy that was killed
        shutil.rmtree(leftover)
    for run_id, source in completed_elsewhere(results, grid).items():
        target = results.run_dir(run_id, grid.plan.name).path
        made = target.with_name(f".{run_id}.{os.getpid()}.tmp")
        try:
            shutil.copytree(source.path, made)
            made.rename(target)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
