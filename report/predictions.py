"""What runs say of single tweets: read one run at a time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from report.load import Finished
from report.statistics import Flags, McNemar, mcnemar
from sentiment.errors import RunDirError
from sentiment.records import Part

_COLUMNS = ["part", "row", "label", "score", "floor"]
_THRESHOLD = 0.5


@dataclass(frozen=True)
class Scores:
    """Of one run on one part: probabilities of positive sentiment, each of shape (n,)."""

    corpus: str
    """The fingerprint of the corpus that the tweets stand in."""
    rows: npt.NDArray[np.int64]
    """Of the corpus."""
    labels: Flags
    model: npt.NDArray[np.float64]
    floor: npt.NDArray[np.float64]

    @property
    def combined(self) -> npt.NDArray[np.float64]:
        """The mean of both."""
        return (self.model + self.floor) / 2

    def right(self, probabilities: npt.NDArray[np.float64]) -> Flags:
        """Which tweets these probabilities have right."""
        return np.equal(probabilities >= _THRESHOLD, self.labels)


@dataclass(frozen=True)
class Comparison:
    """A run on the test part, tweet by tweet."""

    floor: McNemar
    """The run against the linear floor."""
    combination: McNemar
    """Its mean with the floor, against the run alone."""


def read_scores(run: Finished, part: Part) -> Scores | None:
    """What a run says of a part; None if it has no such part.

    Raises:
        RunDirError: the file is missing or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = run.run_dir.predictions_file
    try:
        table = pq.ParquetFile(path).read(columns=_COLUMNS)
        table = table.filter(pc.equal(table["part"].cast(pa.string()), part))
        columns = {name: table[name].to_numpy() for name in _COLUMNS[1:]}
    except (OSError, pa.ArrowException, KeyError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    if not table.num_rows:
        return None
    model, floor = (columns[name].astype(np.float64) for name in ("score", "floor"))
    return Scores(run.record.data_fingerprint, columns["row"], columns["label"] == 1, model, floor)


def compare(run: Finished) -> Comparison | None:
    """A run on its test part; None without one.

    Raises:
        RunDirError: its predictions cannot be read.
    """
    scores = read_scores(run, "test")
    if scores is None:
        return None
    right = scores.right(scores.model)
    return Comparison(mcnemar(right, scores.right(scores.floor)), mcnemar(scores.right(scores.combined), right))
