"""Readers of configurations and records refuse what they cannot read, and raise nothing else.

The suite reads a few invented and damaged files of each kind, the same each time; `FUZZ=2000 pytest tests/test_fuzz.py`
reads so many others.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.grids.sweep_file import read_grid_file
from sentiment.encoders.pretrained import read_options
from sentiment.errors import SentimentError
from sentiment.runs.records import Result
from sentiment.runs.run_dir import RunDir, read_record
from tests.small_runs import load_config

pytestmark = pytest.mark.slow

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)
_JSON_FILE = _JSON.map(json.dumps).map(str.encode)
_JSON_LINES = st.lists(_JSON.map(json.dumps), min_size=1, max_size=6).map(lambda rows: "\n".join(rows).encode())
_YAML = st.text("ab:-[]{}&*!|>#'\"\n 01,<", max_size=80).map(str.encode)
READERS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[Path], object]]] = {
    "run.yaml": (_YAML, load_config),
    "sweep.yaml": (_YAML, read_grid_file),
    "options.json": (_JSON_FILE, read_options),
    "result.json": (_JSON_FILE, lambda path: read_record(path, Result)),
    "metrics.jsonl": (_JSON_LINES, lambda path: RunDir(path.parent).read_metrics()),
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
