"""Feeds the readers of tables, configurations and records with invented input: `python -m tests.fuzz MINUTES`."""

import contextlib
import io
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jobs.grids.sweep_file import read_sweep
from sentiment.config import DataConfig
from sentiment.config_file import load_config
from sentiment.data.sources import open_source
from sentiment.encoders.elmo_files import read_options
from sentiment.errors import SentimentError
from sentiment.runs.records import GridPlan, Result, RunRecord
from sentiment.runs.run_dir import Results, check_log_row, read_record, read_rows

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


def _log(path: Path) -> None:
    for row in read_rows(path):
        with contextlib.suppress(ValueError):  # which callers turn into a RunDirError
            check_log_row(row)


_YAML = st.text("ab:-[]{}&*!|>#'\"\n 01,<", max_size=80).map(str.encode)
_TABLES = {
    "t.csv": _delimited(","),
    "t.tsv": _delimited("\t"),
    "t.jsonl": _lines(_FIELDS | _JSON),
    "t.parquet": st.lists(st.tuples(st.none() | st.integers(0, 1), st.none() | st.text()), min_size=1).map(_parquet),
}
READERS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[Path], object]]] = {
    **{name: (content, _table) for name, content in _TABLES.items()},
    "run.yaml": (_YAML, load_config),
    "sweep.yaml": (_YAML, read_sweep),
    "options.json": (_JSON.map(json.dumps).map(str.encode), read_options),
    "result.json": (_JSON.map(json.dumps).map(str.encode), lambda path: read_record(path, Result)),
    "run.json": (_JSON.map(json.dumps).map(str.encode), lambda path: read_record(path, RunRecord)),
    "grid.json": (_JSON.map(json.dumps).map(str.encode), lambda path: read_record(path, GridPlan)),
    "metrics.jsonl": (_lines(_JSON), _log),
}
_DAMAGE = st.none() | st.tuples(st.integers(0, 10**6), st.binary(max_size=4))


def read_invented(name: str, seed: int, examples: int) -> int:
    """Read so many invented files of one kind, some of them damaged afterwards; return how many were read.

    Raises:
        Exception: whatever a reader raises that is no SentimentError, with the input that it needs.
    """
    contents, read = READERS[name]
    count = 0

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(contents, _DAMAGE)
    def check(content: bytes, damage: tuple[int, bytes] | None) -> None:
        nonlocal count
        count += 1
        if damage:
            place = damage[0] % (len(content) + 1)
            content = content[:place] + damage[1] + content[place + len(damage[1]) :]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            with contextlib.suppress(SentimentError):
                read(path)

    check()
    return count


def main(minutes: float) -> int:
    """Read invented files until the time is up; say how many, and what was found."""
    end = time.monotonic() + 60 * minutes
    counts: Counter[str] = Counter()
    findings = 0
    seed = int(time.time())
    while time.monotonic() < end and not findings:
        for name in READERS:
            try:
                counts[name] += read_invented(name, seed, 200)
            except Exception as error:
                findings += 1
                print(
                    f"{name}, seed {seed}: {type(error).__name__}: {error}", *getattr(error, "__notes__", []), sep="\n"
                )
        seed += 1
    kinds = ", ".join(f"{n:,} {name}" for name, n in counts.items())
    print(f"{counts.total():,} files read ({kinds}), {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
