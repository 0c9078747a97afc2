"""A text has the same tokens by whatever route it comes: each form of table, the library, the standard input."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentiment.config import ColumnConfig, DataConfig, TextConfig
from sentiment.data.guess_columns import Reading, open_texts
from sentiment.data.rows import Row
from sentiment.data.sources import open_source
from sentiment.data.table import RawRow, as_text
from sentiment.data.text import Tokenizer
from sentiment.predicting.explain import read_available_lines
from sentiment.runs.run_dir import Results
from tests.data.test_text import PATCHWORK

TOKENIZE = Tokenizer(TextConfig())
# Beside what tweets are made of: what programs write around them, and characters that tables treat in their own way.
HOSTILE = st.text(
    st.sampled_from("ab01,;\t\"'|\\ \u00a0\u0085\u2028\u2029\u200b\u202e\x7f\u00e9\u2019\u201c\U0001f600<>&#@=+-"),
    max_size=30,
)
TEXTS = st.lists(
    PATCHWORK | HOSTILE | st.sampled_from(["NA", "nan", "1", "=1+1", "#REF!", "true"]), min_size=2, max_size=6
)
ENDS = st.sampled_from(["\n", "\r\n"])

Writer = Callable[[Path, list[str], str], None]


def _write_delimited(delimiter: str, encoding: str) -> Writer:
    def write(path: Path, texts: list[str], end: str) -> None:
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerows([["label", "text"], *([str(index % 2), text] for index, text in enumerate(texts))])
        path.write_bytes(file.getvalue().encode(encoding, "replace"))

    return write


def _write_json_lines(path: Path, texts: list[str], end: str) -> None:
    lines = (json.dumps({"label": index % 2, "text": text}) for index, text in enumerate(texts))
    path.write_bytes("".join(line + end for line in lines).encode())


def _write_parquet(path: Path, texts: list[str], end: str) -> None:
    pq.write_table(pa.table({"label": [index % 2 for index in range(len(texts))], "text": texts}), path)


def _write_workbook(path: Path, texts: list[str], end: str) -> None:
    book = openpyxl.Workbook()
    book.active.append(["label", "text"])
    for row, text in enumerate(texts, 2):
        book.active.cell(row, 1, row % 2)
        book.active.cell(row, 2, text).data_type = "s"
    book.save(path)


WRITERS: dict[str, Writer] = {
    "t.csv": _write_delimited(",", "utf-8"),
    "marked.csv": _write_delimited(",", "utf-8-sig"),
    "t.tsv": _write_delimited("\t", "utf-8"),
    "t.jsonl": _write_json_lines,
    "t.parquet": _write_parquet,
    "t.xlsx": _write_workbook,
}


def _by_training(path: Path) -> list[list[str]]:
    rows = open_source(DataConfig(source=str(path)), Results(path.parent / "results")).main.read()
    return [TOKENIZE(row.text) for row in rows if isinstance(row, Row)]


def _by_file(path: Path) -> list[list[str]]:
    table, column, _ = open_texts(path, ColumnConfig(), Reading("text"))
    return [TOKENIZE(as_text(record.fields[column])) for record in table.read_all() if isinstance(record, RawRow)]


def _by_standard_input(texts: list[str], end: str, encoding: str) -> list[list[str]]:
    sent = "".join(text + end for text in texts).encode(encoding)
    stream = io.BufferedReader(io.BytesIO(sent))  # type: ignore[arg-type]
    return [TOKENIZE(line) for lines in read_available_lines(stream) for line in lines]


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(texts=TEXTS, end=ENDS)
def test_a_text_has_the_same_tokens_by_every_route(
    name: str, tmp_path_factory: pytest.TempPathFactory, texts: list[str], end: str
) -> None:
    texts = [f"one {text} two" for text in texts]  # a blank text is refused in training, and kept in a file
    path = tmp_path_factory.mktemp("route") / name
    WRITERS[name](path, texts, end)
    tokens = [TOKENIZE(text) for text in texts]
    assert _by_file(path) == tokens
    assert _by_training(path) == tokens


@settings(max_examples=100)
@given(texts=TEXTS, end=ENDS, encoding=st.sampled_from(["utf-8", "utf-8-sig"]))
def test_a_line_of_the_standard_input_has_the_tokens_of_its_text(texts: list[str], end: str, encoding: str) -> None:
    assert _by_standard_input(texts, end, encoding) == [TOKENIZE(text) for text in texts]


@pytest.mark.parametrize("text", ["I don\u2019t like it", "\u201cnot\u201d good \u2026 caf\u00e9", "\u20ac5"])
def test_files_and_lines_of_windows_have_the_tokens_of_their_texts(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(f"label,text\n0,{text}\n1,plain\n".encode("cp1252"))
    tokens = [TOKENIZE(text), ["plain"]]
    assert _by_standard_input([text, "plain"], "\n", "cp1252") == tokens
    assert _by_file(path) == tokens
    assert _by_training(path) == tokens
