"""What runs say of single tweets: read one run at a time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from report.analysis.statistics import Flags, McNemar, mcnemar
from report.read.load import CompletedRun
from sentiment.errors import RunDirError
from sentiment.records import THRESHOLD, Part

_COLUMNS = ("row", "label", "score", "baseline")
_EARLIER_NAMES = {"floor": "baseline"}


@dataclass(frozen=True)
class Scores:
    """Of one run on one part: probabilities of positive sentiment, each of shape (n,)."""

    corpus: str
    """The fingerprint of the corpus that the tweets stand in."""
    rows: npt.NDArray[np.int64]
    """Of the corpus."""
    labels: Flags
    model: npt.NDArray[np.float64]
    baseline: npt.NDArray[np.float64]

    @property
    def combined(self) -> npt.NDArray[np.float64]:
        """The mean of both."""
        return (self.model + self.baseline) / 2

    def right(self, probabilities: npt.NDArray[np.float64]) -> Flags:
        """Which tweets these probabilities have right."""
        return np.equal(probabilities >= THRESHOLD, self.labels)


@dataclass(frozen=True)
class Comparison:
    """A run on the test part, tweet by tweet."""

    baseline: McNemar
    """The run against the linear baseline."""
    combination: McNemar
    """Its mean with the baseline, against the run alone."""


def read_scores(run: CompletedRun, part: Part) -> Scores | None:
    """What a run says of a part; None if it has no such part.

    Raises:
        RunDirError: the file is missing or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = run.run_dir.predictions_file
    try:
        table = pq.ParquetFile(path).read()
        table = table.rename_columns([_EARLIER_NAMES.get(name, name) for name in table.column_names])
        table = table.filter(pc.equal(table["part"].cast(pa.string()), part))
        columns = {name: table[name].to_numpy() for name in _COLUMNS}
    except (OSError, pa.ArrowException, KeyError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    if not table.num_rows:
        return None
    model, baseline = (columns[name].astype(np.float64) for name in ("score", "baseline"))
    return Scores(run.record.data_fingerprint, columns["row"], columns["label"] == 1, model, baseline)


def compare(run: CompletedRun) -> Comparison | None:
    """A run on its test part; None without one.

    Raises:
        RunDirError: its predictions cannot be read.
    """
    scores = read_scores(run, "test")
    if scores is None:
        return None
    right = scores.right(scores.model)
    return Comparison(mcnemar(right, scores.right(scores.baseline)), mcnemar(scores.right(scores.combined), right))
