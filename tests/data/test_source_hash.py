"""The hash of a source file is remembered as long as the file does not change."""

import os
from pathlib import Path

import pytest

from sentiment.data.tables import source_hash
from sentiment.files import sha256_of
from sentiment.run_dir import Results

SETTLED = 1_700_000_000


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which files are read to be hashed."""
    calls: list[Path] = []

    def counted(path: Path) -> str:
        calls.append(path)
        return sha256_of(path)

    monkeypatch.setattr(source_hash, "sha256_of", counted)
    return calls


def test_an_unchanged_file_is_read_once(table: Path, results: Results, reads: list[Path]) -> None:
    os.utime(table, (SETTLED, SETTLED))
    assert source_hash.source_sha256(table, results) == source_hash.source_sha256(table, results) == sha256_of(table)
    assert reads == [table]


def test_a_changed_file_is_read_again(table: Path, results: Results, reads: list[Path]) -> None:
    os.utime(table, (SETTLED, SETTLED))
    first = source_hash.source_sha256(table, results)
    table.write_bytes(table.read_bytes()[::-1])
    os.utime(table, (SETTLED, SETTLED + 1))
    assert source_hash.source_sha256(table, results) == sha256_of(table) != first


def test_a_file_that_was_just_changed_is_not_trusted(table: Path, results: Results, reads: list[Path]) -> None:
    source_hash.source_sha256(table, results)
    source_hash.source_sha256(table, results)
    assert len(reads) == 2


@pytest.mark.parametrize("memory", ["", "[]", "{oops", '{"x": 1}'])
def test_a_damaged_memory_only_costs_time(table: Path, results: Results, memory: str) -> None:
    os.utime(table, (SETTLED, SETTLED))
    path = results.root / "data" / "source_hashes.json"
    path.parent.mkdir(parents=True)
    path.write_text(memory)
    assert source_hash.source_sha256(table, results) == sha256_of(table)
