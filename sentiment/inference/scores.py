"""What several models say of the same labelled tweets: their scores, and by how much they differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sentiment.errors import RunDirError
from sentiment.models.calibration import Probabilities
from sentiment.records import BASELINE, BOTH, LEXICON, NETWORK, THRESHOLD, Metrics, Part
from sentiment.run_dir import RunDir
from sentiment.training.tasks.metrics import Flags, Labels, PairedDifference, measure, paired_differences
from sentiment.whole_run import check_file, read_whole


@dataclass(frozen=True)
class NamedScores:
    """Labels and each model's probabilities of positive sentiment, all of shape (n,)."""

    labels: Labels
    models: dict[str, Probabilities]
    """By what the models are called in the output."""
    what: str = "tweets"
    """What the tweets are called in warnings."""
    threshold: float = THRESHOLD
    """From which probability on a model says positive; the lexicon's scores are none, and keep the usual one."""

    def _threshold(self, name: str) -> float:
        return THRESHOLD if name == LEXICON else self.threshold

    def _right(self, name: str) -> Flags:
        right: Flags = (self.models[name] >= self._threshold(name)) == (self.labels == 1)
        return right

    def metrics(self) -> dict[str, Metrics]:
        """The scores of each model."""
        return {name: measure(self.labels, said, self._threshold(name)) for name, said in self.models.items()}

    def differences_from(self, chosen: str) -> dict[str, PairedDifference]:
        """The accuracy of one model less that of each of the others, corrected for their number."""
        others = [name for name in self.models if name != chosen]
        gaps = paired_differences(self._right(chosen), [self._right(name) for name in others])
        return dict(zip(others, gaps, strict=True))

    def warnings(self, names: tuple[str, str]) -> list[str]:
        """What should be known of models that say the same of all tweets.

        Args:
            names: of the negative and the positive label.
        """
        found = []
        for name, probabilities in self.models.items():
            said = np.unique(probabilities >= self._threshold(name))
            if len(said) == 1 and len(self.labels) > 1:
                found.append(
                    f"warning: the {name} says {names[int(said[0])]!r} of all {len(self.labels):,} {self.what}"
                )
        return found


def own_scores_of_seeds(run_dirs: Sequence[RunDir], part: Part, name: str) -> NamedScores | None:
    """The same of the first of several seeds, with the mean of all their networks beside it.

    Args:
        name: of the mean.

    Raises:
        RunDirError: as `own_scores`, or the seeds were not tested on the same tweets.
    """
    found = [own_scores(run_dir, part) for run_dir in run_dirs]
    first = found[0]
    if first is None:
        return None
    networks = []
    for scores, run_dir in zip(found, run_dirs, strict=True):
        if scores is None or not np.array_equal(scores.labels, first.labels):
            raise RunDirError(f"{run_dir.path}: was tested on other tweets than {run_dirs[0].path}")
        networks.append(scores.models[NETWORK])
    models = first.models if len(networks) == 1 else first.models | {name: np.mean(networks, axis=0)}
    return NamedScores(first.labels, models, first.what)


def own_scores(run_dir: RunDir, part: Part) -> NamedScores | None:
    """What a completed run said of a part of its own data, beside its baselines; None if it has no such part.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = run_dir.predictions_file
    check_file(path, read_whole(run_dir).result)
    try:
        table = pq.read_table(path)
        table = table.filter(pc.equal(table["part"].cast(pa.string()), part))
        labels = table["label"].cast(pa.int8()).to_numpy().astype(np.int64)
        columns: dict[str, Any] = {
            name: table[name].to_numpy().astype(np.float64)
            for name in ("score", "baseline", "both", "lexicon")
            if name in table.column_names
        }
        models = {NETWORK: columns["score"], BASELINE: columns["baseline"], BOTH: columns["both"]}
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    if not len(labels):
        return None
    if not np.isin(labels, (0, 1)).all() or not all(((one >= 0) & (one <= 1)).all() for one in columns.values()):
        raise RunDirError(f"{path}: is damaged: a label or a probability is none")
    lexicon = {LEXICON: columns["lexicon"]} if "lexicon" in columns else {}
    return NamedScores(labels, models | lexicon, f"{part} tweets")
