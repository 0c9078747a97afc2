"""Tables are read as pandas reads them, or are refused by name: files of many programs, and random ones.

`FUZZ=2000 pytest tests/data/test_as_pandas.py` compares so many random tables, from the one on that FUZZ_SEED names.
"""

import csv
import io
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from sentiment.config import ColumnConfig
from sentiment.data.classes import Classes
from sentiment.data.guess_columns import resolve_with_guesses
from sentiment.data.rows import Row, read_rows
from sentiment.data.sources import open_source
from sentiment.data.table import Refusal, as_text
from sentiment.data.table_files import open_table
from sentiment.errors import SentimentError, UsageError
from sentiment.runs.run_dir import Results

Rows = list[list[str]]

TWEETS = [
    "What a lovely day",
    "don't like it, at all",
    'she said "no" and left',
    "two lines\nof a tweet",
    "semi;colons; everywhere | and pipes",
    "a\ttab",
    "caf\u00e9 na\u00efve \u20ac5",
    '"quoted"',
    'ends with a quote"',
    "@ann: http://ex.am/ple?a=1,2 #fun",
]
LABELS = ["positive", "negative"]


def _ours(path: Path, quotes: bool | None = True) -> tuple[Rows, list[Refusal]]:
    """The texts, labels and numbers of the rows, and the refused ones."""
    columns = ColumnConfig(text="text", label="label", user="n")
    classes = Classes.parse("negative positive")
    table = open_table(path, ["text", "label", "n"], quotes=quotes)
    found = [*read_rows(table, columns, classes, path.name)]
    rows = [[row.text, classes.names[row.label or 0], row.user or ""] for row in found if isinstance(row, Row)]
    return rows, [row for row in found if isinstance(row, Refusal)]


def _pandas(content: bytes, **options: Any) -> Rows:
    frame = pd.read_csv(io.BytesIO(content), header=None, dtype=str, keep_default_na=False, index_col=False, **options)
    return frame.fillna("").to_numpy().tolist()


def _usable(rows: Rows) -> Rows:
    return [[text, label.strip().lower(), n.strip()] for text, label, n in rows if text.strip() and label.strip()]


# --- random files ---------------------------------------------------------------------------------------------------


class Dialect(NamedTuple):
    """How a random file is written."""

    delimiter: str
    end: str
    encoding: str
    quoting: int
    spoilt: int  # how many characters are put in, deleted or changed afterwards

    @property
    def is_valid(self) -> bool:
        """Python's writer quotes line feeds only where they are a part of the line's end."""
        return not self.spoilt and (
            self.quoting == csv.QUOTE_ALL or (self.quoting, self.end[-1:]) == (csv.QUOTE_MINIMAL, "\n")
        )


def _random_text(rng: random.Random) -> str:
    words = rng.choices(
        [
            "good",
            "it's",
            '"',
            'a"b',
            ",",
            ";",
            "\t",
            "|",
            "\n",
            "\r\n",
            "\u00e9 ",
            "\u20ac ",
            "\u2028",
            "\u200b",
            "=1",
            "",
            " ",
        ],
        k=6,
    )
    return rng.choice(TWEETS) if rng.random() < 0.5 else rng.choice(["", " "]).join(words)


def _random_file(rng: random.Random) -> tuple[bytes, Dialect]:
    delimiter = rng.choice(",;\t|")
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE])
    encoding = rng.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    dialect = Dialect(delimiter, rng.choice(["\n", "\r\n", "\r"]), encoding, quoting, rng.choice([0, 0, 1, 3]))
    rows = [["text", "label", "n"]]
    rows += [[_random_text(rng), rng.choice(LABELS), str(n)] for n in range(rng.randint(2, 12))]
    if quoting == csv.QUOTE_NONE:  # as programs write that do not know of quoting: some lines are broken
        text = "".join(delimiter.join(row) + dialect.end for row in rows)
    else:
        file = io.StringIO()
        csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=dialect.end).writerows(rows)
        text = file.getvalue()
    for _ in range(dialect.spoilt):
        place = rng.randrange(len(rows[0]) * 5, len(text) + 1)
        text = text[:place] + rng.choice(['"', delimiter, "\n", "", '""', "x"]) + text[place + rng.randint(0, 1) :]
    return text.encode(encoding, "replace"), dialect


def _compare(path: Path, content: bytes, dialect: Dialect) -> str:
    """Compare a file with what pandas reads; returns what became of it."""
    path.write_bytes(content)
    try:
        ours, refused = _ours(path)
    except SentimentError as error:  # an unknown label, a column that is gone, a quote that does not close
        assert path.name in str(error)  # noqa: PT017
        assert not dialect.is_valid
        return "file refused"
    reasons = {refusal.reason for refusal in refused} - {"empty text", "empty label"}
    assert not (dialect.is_valid and reasons)
    try:
        theirs = _pandas(content, sep=dialect.delimiter, encoding=dialect.encoding)
    except pd.errors.ParserError:
        assert reasons
        return "line refused, and the file by pandas"
    if reasons:
        return "line refused"
    header = [name.strip() for name in theirs[0]]
    places = [header.index(name) for name in ("text", "label", "n")]
    assert _usable([[row[place] for place in places] for row in theirs[1:]]) == ours
    try:
        assert _ours(path, None) == (ours, refused)
    except UsageError as error:
        assert "--no-quotes" in str(error)  # noqa: PT017
        return "valid, but asked" if dialect.is_valid else "asked, and the same"
    return "same"


def _write_typed(rng: random.Random, path: Path) -> Rows:
    """Write a random table in a format with types; returns what pandas reads."""
    size = rng.randint(1, 12)
    texts = [_random_text(rng).replace("\r\n", "\n") for _ in range(size)]
    columns: dict[str, list[Any]] = {"text": texts, "label": [rng.choice(LABELS) for _ in texts]}
    numbers = rng.choice([[*range(size)], [10**15, *(rng.choice([None, 5]) for _ in texts[1:])], [0.5] * size])
    columns["n"] = numbers
    if path.suffix == ".jsonl":
        objects = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        kept = [{name: value for name, value in one.items() if value is not None} for one in objects]
        rng.shuffle(kept)
        path.write_text("".join(json.dumps(one) + "\n" for one in kept))
        return [[one["text"], one["label"], as_text(one.get("n"))] for one in kept]
    frame = pd.DataFrame(columns).astype({"n": object})
    if path.suffix == ".parquet":
        frame.to_parquet(path)
        read = pd.read_parquet(path)
    else:
        frame.to_excel(path, index=False)
        read = pd.read_excel(path, engine="calamine", dtype=object, keep_default_na=False)
    return [[as_text(cell) for cell in row] for row in read.to_numpy().tolist()]


def test_random_tables_have_the_rows_that_pandas_reads_or_are_refused_with_the_reason(tmp_path: Path) -> None:
    counts = Counter[str]()
    first = int(os.environ.get("FUZZ_SEED", 0))
    for seed in range(first, first + int(os.environ.get("FUZZ", 400))):
        rng = random.Random(seed)
        if seed % 10 == 0:
            path = tmp_path / rng.choice(["t.jsonl", "t.parquet", "t.xlsx"])
            theirs = _usable(_write_typed(rng, path))
            if theirs:
                assert _ours(path)[0] == theirs, seed
            counts["same"] += 1
            continue
        content, dialect = _random_file(rng)
        path = tmp_path / ("t.tsv" if dialect.delimiter == "\t" else "t.csv")
        try:
            counts[_compare(path, content, dialect)] += 1
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert counts["same"] > 0.4 * counts.total(), counts
    assert counts["valid, but asked"] < 0.02 * counts.total(), counts


# --- files of programs ----------------------------------------------------------------------------------------------


def _tweets(quotes: bool = True, lines: bool = True, accents: bool = True) -> Rows:
    """Texts with their labels; without what a program cannot write."""
    texts = [text for text in TWEETS if (quotes or '"' not in text) and (lines or not {*"\t\n"} & {*text})]
    texts = [text for text in texts if accents or text.isascii()]
    return [[f"{text} {number}", LABELS[number % 2]] for number, text in enumerate(texts * 4)]


def _written(
    rows: Rows, header: str = "text label", delimiter: str = ",", end: str = "\r\n", quoting: int = csv.QUOTE_MINIMAL
) -> str:
    file = io.StringIO()
    table = [header.split(), *rows] if header else rows
    csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(table)
    return file.getvalue()


def _unquoted(rows: Rows, header: str = "text label", delimiter: str = "\t", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in [header.split(), *rows] if row)


def _numbered(rows: Rows) -> Rows:
    return [[str(number), *row] for number, row in enumerate(rows, start=1)]


def _wide(rows: Rows) -> Rows:
    """With the columns of an export of tweets, of which the last ones are mostly empty."""
    return [["1" * 18, label, "0.5", "Delta", f"ann{len(text)}", text, "2015-02-24", "", ""] for text, label in rows]


def _sentiment140(rows: Rows) -> Rows:
    labels = {"positive": "4", "negative": "0"}
    return [[labels[label], "1", "Mon Apr 06 22:19:45 PDT 2009", "NO_QUERY", "ann", text] for text, label in rows]


_ALL, _PLAIN, _ASCII = _tweets(), _tweets(quotes=False, lines=False), _tweets(accents=False)
_WIDE = "tweet_id sentiment confidence airline name text created coord location"
_FRAME = pd.DataFrame(_ALL, columns=["text", "label"])
_UTF16 = _written(_ALL, delimiter="\t").encode("utf-16")
# By program: the name of a file, its content, and its tweets.
FILES: dict[str, tuple[str, bytes, Rows]] = {
    "Excel, CSV UTF-8": ("a.csv", _written(_ALL).encode("utf-8-sig"), _ALL),
    "Excel, CSV": ("a.csv", _written(_ALL).encode("cp1252"), _ALL),
    "Excel in French, CSV UTF-8": ("a.csv", _written(_ALL, "texte label", ";").encode("utf-8-sig"), _ALL),
    "Excel, Unicode text": ("a.tsv", _UTF16, _ALL),
    "Excel, CSV of the Macintosh": ("a.csv", _written(_ASCII, end="\r", quoting=csv.QUOTE_ALL).encode(), _ASCII),
    "Excel, delimiter in the first line": ("a.csv", b"sep=;\r\n" + _written(_ALL, delimiter=";").encode(), _ALL),
    "Excel, trailing empty cells left out": (
        "a.csv",
        _written([row[:6] if number % 32 > 15 else row for number, row in enumerate(_wide(_ALL))], _WIDE).encode(),
        _ALL,
    ),
    "LibreOffice": ("a.csv", _written(_ALL, end="\n").encode(), _ALL),
    "Google Sheets, TSV": ("a.tsv", _unquoted(_PLAIN, end="\r\n").encode(), _PLAIN),
    "R, write.csv": (
        "a.csv", _written(_numbered(_ALL), '"" text label', end="\n", quoting=csv.QUOTE_ALL).encode(), _ALL
    ),
    "R, write.csv2": ("a.csv", _written(_ALL, end="\n", delimiter=";", quoting=csv.QUOTE_ALL).encode("cp1252"), _ALL),
    "pandas": ("a.csv", _FRAME.to_csv(index=False).encode(), _ALL),
    "pandas with its index": ("a.csv", _FRAME.to_csv().encode(), _ALL),
    "pandas without names": ("a.csv", _FRAME.to_csv(index=False, header=False).encode(), _ALL),
    "pandas with numbers as names": ("a.csv", pd.DataFrame(_ALL).to_csv(index=False).encode(), _ALL),
    "Sentiment140": (
        "a.csv", _written(_sentiment140(_PLAIN), "", end="\n", quoting=csv.QUOTE_ALL).encode("latin-1", "replace"),
        [[text.replace("\u20ac", "?"), label] for text, label in _PLAIN],
    ),
    "Kaggle, tweets on airlines": ("a.csv", _written(_wide(_ALL), _WIDE, end="\n").encode(), _ALL),
    "Kaggle, blank lines at the end": ("a.csv", (_written(_ALL) + "\r\n  \r\n\r\n").encode(), _ALL),
    "MySQL, batch": ("a.tsv", _unquoted(_PLAIN).encode(), _PLAIN),
    "SQLite, pipes": ("a.csv", _unquoted([row for row in _PLAIN if "|" not in row[0]], delimiter="|").encode(),
                      [row for row in _PLAIN if "|" not in row[0]]),
    "SQL Server": ("a.csv", _written(_numbered(_ALL), "id text label").encode("utf-16"), _ALL),
    "SemEval, without names": ("a.tsv", _unquoted(_numbered(_PLAIN), "").encode(), _PLAIN),
    "semicolons, without names": ("a.csv", _written(_ALL[1:], "", ";").encode(), _ALL[1:]),
    "UTF-8 and Windows-1252 mixed": (
        "a.csv",
        b"".join(f"{line}\n".encode("cp1252" if number % 3 else "utf-8") for number, line in
                 enumerate(_written(_PLAIN, end="\n").splitlines())),
        _PLAIN,
    ),
}  # fmt: skip


@pytest.mark.parametrize("program", FILES)
def test_files_of_programs_are_read_tweet_by_tweet(tmp_path: Path, program: str) -> None:
    name, content, tweets = FILES[program]
    path = tmp_path / name
    path.write_bytes(content)
    data = resolve_with_guesses({}, (), {"data.source": str(path)}, "a test")[0].data
    rows = [row for row in open_source(data, Results(tmp_path)).main.read() if isinstance(row, Row)]
    read = [[row.text, data.label_names[row.label]] for row in rows if row.label is not None]
    assert read == tweets
