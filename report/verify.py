"""Check a written report: the files of its runs against their digests, and all numbers by computing them again."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from report.build import build_report, results_by_name
from report.compare.findings import Findings
from report.evaluated import CompletedRun
from report.render.page import figures_and_tables
from sentiment.console import Progress
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.run_dir import Results, check_sha256

# How much a score may differ from the recorded one: that of another machine's arithmetic.
_ROUNDING = 1e-6
# The number of characters that are shown before and after a difference.
_CONTEXT = 25
_REMEDY = "restore the file, or train the run again"


def verify_report(
    results: Results, grids: list[str], folder: Path, title: str, progress: Progress
) -> tuple[Findings, list[str]]:
    """Check the report in `folder`, with the arguments that `build_report` had; nothing is changed.

    Returns:
        The findings, and a line with the file for each thing that does not hold.

    Raises:
        UsageError: there is no report.
        SentimentError: as `build_report`.
    """
    if not (folder / "report.html").is_file():
        raise UsageError(f"{folder}: holds no report.html; `sentiment report` writes it, and then --verify checks it")
    complaints: list[str] = []
    folder = folder.resolve()
    with TemporaryDirectory() as temporary, results_by_name(results) as named:
        again = Path(temporary)
        findings, _ = build_report(named, grids, again, title, progress)
        complaints += findings.problems
        for run in findings.study.runs:
            if run.completed:
                complaints += [*_changed_files(run.completed), *_changed_scores(run.completed)]
        files = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
        for file in files:
            complaints += _difference(folder / file, again / file)
    for path in figures_and_tables(folder):
        if path.relative_to(folder) not in files:
            complaints.append(f"{path}: is not of this report, which has no such figure or table")
    return findings, list(dict.fromkeys(complaints))


def _changed_files(run: CompletedRun) -> Iterator[str]:
    for name, digest in run.result.files_sha256.items():
        try:
            check_sha256(run.run_dir.path / name, digest, _REMEDY)
        except RunDirError as error:
            yield str(error)


def _changed_scores(run: CompletedRun) -> Iterator[str]:
    """The scores in `result.json` that differ from those of the predictions; of training tweets none are stored."""
    for part in run.result.parts[1:]:
        try:
            predictions = run.predictions(part)
        except RunDirError as error:
            yield str(error)
            return
        for kind, by_part in run.result.scores.items():
            expected = predictions.of(kind).metrics(predictions.labels)
            for name, value in by_part[part]:
                again = getattr(expected, name)
                if not np.allclose(value, again, rtol=0, atol=_ROUNDING):
                    place = f"{run.run_dir.result_file}: scores.{kind}.{part}"
                    yield f"{place}: {name} is {value}, the predictions give {again}"


def _difference(written: Path, again: Path) -> Iterator[str]:
    """The first difference between a file of the report and the same file written again."""
    if not written.is_file():
        yield f"{written}: is missing"
        return
    text, expected = (path.read_bytes().decode(errors="backslashreplace") for path in (written, again))
    if text != expected:
        pairs = enumerate(zip_longest(text, expected))
        start = next(index for index, (before, now) in pairs if before != now)
        line = text.count("\n", 0, start) + 1
        shown = slice(max(start - _CONTEXT, 0), start + _CONTEXT)
        yield f"{written}, line {line}: has {text[shown]!r}, the runs give {expected[shown]!r}"
