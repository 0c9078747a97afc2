"""A source file is hashed again whenever it has changed, and its rows belong to the hash."""

import os
from pathlib import Path

import pytest

from sentiment.config import DataConfig
from sentiment.data.registry import open_source
from sentiment.data.tables import table as source_hash
from sentiment.errors import DataError
from sentiment.files import sha256_of
from sentiment.runs.run_dir import Results
from tests.data.made_up import sentiment140_lines

SETTLED = 1_700_000_000


def test_file_of_the_same_size_and_time_is_hashed_again(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_hash, "_SETTLED_NS", -1)
    os.utime(table, (SETTLED, SETTLED))
    first = source_hash.source_sha256(table)
    table.write_bytes(table.read_bytes()[::-1])
    os.utime(table, (SETTLED, SETTLED))
    assert source_hash.source_sha256(table) == sha256_of(table) != first


@pytest.mark.parametrize("settled", [-1, 10**12])
def test_file_is_read_once_by_a_process_unless_it_was_just_changed(
    table: Path, monkeypatch: pytest.MonkeyPatch, settled: int
) -> None:
    reads: list[Path] = []
    monkeypatch.setattr(source_hash, "_SETTLED_NS", settled)
    monkeypatch.setattr(source_hash, "sha256_of", lambda path: reads.append(path) or sha256_of(path))
    assert source_hash.source_sha256(table) == source_hash.source_sha256(table) == sha256_of(table)
    assert len(reads) == (1 if settled == -1 else 2)


@pytest.mark.parametrize("kind", ["table", "sentiment140"])
def test_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, results: Results, kind: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("label,text\n1,a\n0,b\n" if kind == "table" else "".join(sentiment140_lines(200)))
    rows = open_source(DataConfig(source=str(path)), results).main.read()
    next(rows)
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[-1])
    with pytest.raises(DataError, match="was changed while it was read"):
        list(rows)
