"""Check the runs of a report: their files against their digests, and their scores against their predictions."""

from collections.abc import Iterator

import numpy as np

from report.compare.findings import analyse
from report.evaluated import CompletedRun
from report.read import Study, load_study
from sentiment.console import Progress
from sentiment.errors import RunDirError
from sentiment.runs.run_dir import Results, check_sha256

# How much a score may differ from the recorded one: that of another machine's arithmetic.
_ROUNDING = 1e-6
_REMEDY = "restore the file, or train the run again"


def verify_runs(results: Results, grids: list[str], progress: Progress) -> tuple[Study, list[str]]:
    """Check what a report of these grids rests on: digests, ids and scores; nothing is changed.

    Returns:
        The study, and a line with the file for each thing that does not hold.

    Raises:
        SentimentError: as `load_study`.
    """
    study = load_study(results, grids, progress)
    complaints = analyse(study).problems
    for run in study.completed_runs:
        complaints += [*_changed_files(run), *_changed_scores(run)]
    return study, list(dict.fromkeys(complaints))


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
