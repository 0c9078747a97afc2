"""Finds and opens the tweets that a configuration asks for."""

from dataclasses import replace
from importlib import import_module

from sentiment.config import DataConfig
from sentiment.data import sources
from sentiment.data.data_source import DataSource, OpenedSource, source_names
from sentiment.data.tables.table import TableSource
from sentiment.files import named_path
from sentiment.run_dir import Results


def find_source(source: str) -> DataSource:
    """The data source of this name; a name that no data source has is the path of a table."""
    if source not in source_names():
        return TableSource(named_path(source))
    named: DataSource = import_module(f"{sources.__name__}.{source}").SOURCE
    return named


def open_source(config: DataConfig, results: Results) -> OpenedSource:
    """The files that a configuration asks for; `data.second_test` takes the place of a source's own second test set.

    No row is read yet, and nothing is fetched; a file on disk is hashed.

    Raises:
        DataError: a file is missing, unreadable or of an unknown format.
    """
    opened = find_source(config.source).open(config, results)
    if config.second_test is None:
        return opened
    second_test = TableSource(named_path(config.second_test)).open(config, results).main
    return replace(opened, second_test=second_test)
