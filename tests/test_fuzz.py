"""Readers of tables, configurations and records refuse what they cannot read, and raise nothing else.

The suite reads a few invented and damaged files of each kind, the same each time; `FUZZ=2000 pytest tests/test_fuzz.py`
reads so many others.
"""

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.grids.sweep_file import read_grid_file
from sentiment.config import DataConfig
from sentiment.data.sources import open_source
from sentiment.encoders.pretrained import read_options
from sentiment.errors import SentimentError
from sentiment.runs.records import Result
from sentiment.runs.run_dir import Results, RunDir, read_record
from tests.small_runs import load_config

pytestmark = pytest.mark.slow

_CELLS = st.text('ab01,\t"\n\r\x00é=\u202e ', max_size=20) | st.text(max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)
_FIELDS = st.fixed_dictionaries({"label": st.sampled_from([0, 1, "x", None]) | _JSON, "text": _CELLS | _JSON})


def _delimited(end: str) -> st.SearchStrategy[bytes]:
    row = st.lists(_CELLS, max_size=4).map(end.join)
    return st.lists(row, max_size=8).map(lambda rows: "\n".join([f"label{end}text", *rows]).encode("utf-8", "replace"))


def _parquet(rows: list[tuple[Any, Any]]) -> bytes:
    buffer = io.BytesIO()
    labels, texts = zip(*rows, strict=True)
    pq.write_table(pa.table({"label": pa.array(labels, pa.int64()), "text": pa.array(texts, pa.string())}), buffer)
    return buffer.getvalue()


def _lines(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return st.lists(values.map(json.dumps), min_size=1, max_size=6).map(lambda rows: "\n".join(rows).encode())


def _table(path: Path) -> None:
    config = DataConfig(source=str(path))
    list(open_source(config, Results(path.parent / "results")).main.read())


_PARQUET = st.lists(st.tuples(st.none() | st.integers(0, 1), st.none() | st.text()), min_size=1).map(_parquet)
_YAML = st.text("ab:-[]{}&*!|>#'\"\n 01,<", max_size=80).map(str.encode)
READERS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[Path], object]]] = {
    "t.csv": (_delimited(","), _table),
    "t.tsv": (_delimited("\t"), _table),
    "t.jsonl": (_lines(_FIELDS | _JSON), _table),
    "t.parquet": (_PARQUET, _table),
    "run.yaml": (_YAML, load_config),
    "sweep.yaml": (_YAML, read_grid_file),
    "options.json": (_JSON.map(json.dumps).map(str.encode), read_options),
    "result.json": (_JSON.map(json.dumps).map(str.encode), lambda path: read_record(path, Result)),
    "metrics.jsonl": (_lines(_JSON), lambda path: RunDir(path.parent).read_metrics()),
}
_DAMAGE = st.none() | st.tuples(st.integers(0, 10**6), st.binary(max_size=4))


@pytest.mark.parametrize("name", READERS)
def test_reader_refuses_what_it_cannot_read(name: str) -> None:
    contents, read = READERS[name]
    examples = int(os.environ.get("FUZZ", 25))

    @settings(
        max_examples=examples, derandomize="FUZZ" not in os.environ, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(contents, _DAMAGE)
    def check(content: bytes, damage: tuple[int, bytes] | None) -> None:
        if damage:
            place = damage[0] % (len(content) + 1)
            content = content[:place] + damage[1] + content[place + len(damage[1]) :]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            with contextlib.suppress(SentimentError):
                read(path)

    check()
