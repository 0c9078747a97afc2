"""Reports of random studies in this process, without their drawings, which cost most of the time; and what they say."""

import math
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import pytest

from report.build import build_report
from report.questions import search
from report.render import charts
from sentiment.runs.run_dir import Results
from tests.oracle.compare import read_tables

_EMPTY = '<svg width="1" height="1" role="img"><title></title></svg>'
Rows = list[dict[str, str]]

_FRESH = int(os.environ.get("FUZZ", 0))
_FIRST = int(os.environ.get("FUZZ_SEED", 0))
random_studies = pytest.mark.parametrize("seed", range(_FIRST, _FIRST + _FRESH // 10) if _FRESH else range(2))
"""Four studies for each of the relations in the suite, the same each time; `make fuzz` those that nobody has seen."""


def report_without_charts(results: Results) -> "Said":
    """Write the report of all runs into its usual folder."""
    with patch.object(charts, "draw", lambda spec, title: _EMPTY), patch.object(search, "importances", lambda *_: {}):
        build_report(results, [], results.report)
    return Said(results.report)


@dataclass(frozen=True)
class Said:
    """What the report in a folder says."""

    folder: Path

    @cached_property
    def tables(self) -> dict[str, Rows]:
        return read_tables(self.folder)

    @cached_property
    def markdown(self) -> str:
        return (self.folder / "report.md").read_text(encoding="utf-8")

    @property
    def claims(self) -> dict[str, Rows]:
        """The tables that claim something: all but those that count runs and list mistakes."""
        counts = ("runs", "usage", "data", "mistakes")
        return {name: rows for name, rows in self.tables.items() if name not in counts}

    @property
    def ranking(self) -> Rows:
        return self.tables["leaderboard"]

    @property
    def headline(self) -> str:
        """The first sentences: what to use, with its score."""
        return next((line for line in self.markdown.splitlines() if line.startswith("**Use")), "")

    @property
    def used(self) -> str:
        """The name of the predictor to use."""
        found = re.match(r"\*\*Use (?:the )?(.*?)\.?\*\*", self.headline)
        assert found, self.markdown[:2000]
        return found[1]

    @property
    def validated(self) -> float:
        """Validation macro F1 of the row in bold, in per cent."""
        bold = next(line for line in self.markdown.splitlines() if line.startswith("| **"))
        name = bold.removeprefix("| ").replace("**", "").split(" | ")[0]
        return 100 * next(float(row["validation_macro_f1"]) for row in self.ranking if row["model"] == name)


def claims_of_models(said: Said) -> list[dict[str, str]]:
    """The rows of what was trained, by their scores, whatever their names and ranks."""
    names = ("score", "score_low", "score_high", "difference", "difference_q", "verdict", "validation_macro_f1")
    rows = [{name: row[name] for name in names} for row in said.ranking if "added" not in row["model"]]
    return sorted(rows, key=lambda row: [*row.values()])


def differing(first: Said, second: Said) -> list[str]:
    """The tables of claims that differ by more than rounding."""
    names = first.claims.keys() | second.claims.keys()
    return sorted(name for name in names if not _alike(first.claims.get(name, []), second.claims.get(name, [])))


def _alike(first: Rows, second: Rows) -> bool:
    pairs = [pair for rows in zip(first, second, strict=False) for pair in zip(*map(dict.values, rows), strict=False)]
    return len(first) == len(second) and all(one == other or _close(one, other) for one, other in pairs)


def _close(one: str, other: str) -> bool:
    try:
        return math.isclose(float(one), float(other), rel_tol=1e-7, abs_tol=1e-12)  # a log loss has single precision
    except ValueError:
        return False
