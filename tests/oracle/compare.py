"""Compares the CSV tables of a report with the second opinion on them; each difference is a line."""

import csv
import math
import re
from collections.abc import Iterator
from html import unescape
from itertools import chain, product
from pathlib import Path
from typing import Any

from tests.oracle.recompute_files import Row
from tests.oracle.recompute_tables import recompute

# Tables and columns without a formula: what files hold, and what is counted. The expected report shows them.
_COPIED = ("published", "data", "mistakes", "runs", "usage", "check-list", "confusion", "calibration")
_COUNTED = ("gpu_seconds", "cpu_seconds", "attempts", "overfits", "parameters", "best_epoch")
# An interval of a share or of a difference, in per cent or points, as pages, Markdown and LaTeX write it.
_INTERVAL = re.compile(r"([+\u2212-]?\d+\.\d)(?:\u2013|--| to )([+\u2212-]?\d+\.\d)(?![\d.])")
# Scripts, tags, and the levels of intervals.
_NO_TEXT = re.compile(r"(?s)<(script|style)\b.*?</\1>|<[^>]*>|[\d.]+ to [\d.]+\s% intervals")


def judge(results: Path, report: Path) -> list[str]:
    """The differences between the CSV tables of a report and the second opinion on them."""
    expected = recompute(results)
    written = read_tables(report)
    missing = expected.keys() - written.keys()
    lines = [f"{name}: a table is missing" for name in missing]
    for name in written.keys() - {*_COPIED}:
        if name not in expected:
            lines.append(f"{name}: a table without a second opinion")
        elif len(written[name]) != len(expected[name]):
            lines.append(f"{name}: has {len(written[name])} rows, not {len(expected[name])}")
        else:
            lines += _of_rows(name, written[name], expected[name])
    return lines


def _of_rows(name: str, written: list[dict[str, str]], expected: list[Row]) -> Iterator[str]:
    """Each row is compared with the one that is most like it, in whatever order they are."""
    remaining = [*expected]
    for number, row in enumerate(written, 1):
        differences = [[*_of_row(row, other)] for other in remaining]
        closest = min(range(len(remaining)), key=lambda place: len(differences[place]))
        del remaining[closest]
        yield from (f"{name}, row {number}, {line}" for line in differences[closest])


def read_tables(report: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of each CSV table of a report, by the table's name."""
    tables = {}
    for path in sorted((report / "tables").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            tables[path.stem] = list(csv.DictReader(file))
    return tables


def printed_elsewhere(report: Path) -> list[str]:
    """The intervals in the page, the Markdown and the LaTeX tables that stand in no CSV table."""
    known = set()
    for row in chain.from_iterable(read_tables(report).values()):
        for key, low in row.items():
            high = row.get(f"{key.removesuffix('_low')}_high") if key.endswith("_low") else None
            if low and high:
                known |= _ways(float(low), float(high)) | _ways(-float(high), -float(low))
    lines = []
    for path in (report / "report.html", report / "report.md", *sorted((report / "tables").glob("*.tex"))):
        text = unescape(_NO_TEXT.sub(" ", path.read_text(encoding="utf-8"))).replace("$-$", "-")
        found = {tuple(map(_number, ends)) for ends in _INTERVAL.findall(text)}
        lines += [f"{path.name}: {low} to {high} is in no CSV table" for low, high in sorted(found - known)]
    return lines


def _ways(low: float, high: float) -> set[tuple[float, float]]:
    """An interval in per cent with a decimal; two ways where a digit depends on the last bits of the computation."""
    ends = [
        {_number(f"{scale * end + error:.1f}") for error in (-1e-9, 1e-9)} for scale in (1, 100) for end in (low, high)
    ]
    return {*product(*ends[:2]), *product(*ends[2:])}


def _number(text: str) -> float:
    """Of a figure in a text, without the sign of zero."""
    return float(text.replace("\u2212", "-")) + 0.0


def _of_row(written: dict[str, str], expected: Row) -> Iterator[str]:
    for key, text in written.items():
        if key in expected and not _is_equal(text, expected[key]):
            yield f"{key}: {text!r}, not {expected[key]!r}"
        elif key not in (*expected, *_COUNTED) and _is_number(text):
            yield f"{key}: {text!r}, a number without a second opinion"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+\.?\d*(e[+-]?\d+)?", text) is not None


def _is_equal(written: str, expected: Any) -> bool:
    if expected is None:
        return written == ""
    if isinstance(expected, str):
        return " ".join(written.split()) == " ".join(expected.split())
    try:
        return math.isclose(float(written), float(expected), rel_tol=1e-7, abs_tol=1e-9)
    except ValueError:
        return False
