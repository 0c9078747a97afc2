"""Finds and opens the tweets that a configuration asks for."""

from dataclasses import replace
from functools import partial
from importlib import import_module

from sentiment.config import DataConfig, ExtraTable, LabelledTable
from sentiment.data import sources
from sentiment.data.data_source import DataSource, OpenedSource, TweetFile, source_names
from sentiment.data.tables.rows import LabelReader
from sentiment.data.tables.table import TableSource, told_as_of
from sentiment.files import named_path
from sentiment.runs.run_dir import Results


def find_source(source: str) -> DataSource:
    """The data source of this name; a name that no data source has is the path of a table."""
    if source not in source_names():
        return TableSource(named_path(source))
    named: DataSource = import_module(f"{sources.__name__}.{source}").SOURCE
    return named


def open_source(config: DataConfig, results: Results) -> OpenedSource:
    """The files that a configuration asks for; its test sets join those that the source brings, or replace them.

    No row is read yet, and nothing is fetched; a file on disk is hashed.

    Raises:
        DataError: a file is missing, unreadable or of an unknown format.
    """
    opened = find_source(config.source).open(config, results)
    opened = replace(opened, extra_train=tuple(_open_extra(table, results) for table in config.extra_train))
    tests = {name: _open_test(name, table, config, results) for name, table in config.foreign_tests.items()}
    return replace(opened, tests=dict(sorted({**opened.tests, **tests}.items())))


def _open_extra(table: ExtraTable, results: Results) -> TweetFile:
    """A table for training alone."""
    labels = partial(LabelReader.from_config, table.labels)
    opened = TableSource(named_path(table.path)).open_with(table.columns, labels, results)
    return told_as_of("data.extra_train", opened.main)


def _open_test(name: str, table: LabelledTable, config: DataConfig, results: Results) -> TweetFile:
    """A table to test on: the tweets that its publishers test on, where they say which, else all of it."""
    config = config.model_copy(update={"columns": table.columns, "labels": table.labels})
    opened = find_source(table.path).open(config, results)
    return told_as_of(f"data.tests.{name}", next(iter(opened.tests.values()), opened.main))
