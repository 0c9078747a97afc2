"""The models that a run saved, as far as they are read without torch: what the card says, and the linear baseline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from report.read.load import CompletedRun
from sentiment.data.text import TokenRows
from sentiment.inference.explain import left_out
from sentiment.inference.model_card import model_card
from sentiment.models.baseline import LinearModel
from sentiment.models.calibration import calibrated
from sentiment.runs.run_dir import check_file


@dataclass(frozen=True)
class BaselineReasons:
    """What the linear baseline says of a tweet, and why."""

    score: float
    """The probability of positive sentiment."""
    weights: list[float]
    """By how much the log-odds of positive sentiment fall without each token, as `explain` says; shape (tokens,)."""


@dataclass(frozen=True)
class SavedBaseline:
    """The linear baseline of a run."""

    model: LinearModel
    temperature: float
    """By which it is calibrated."""

    def explain(self, tokens: list[str]) -> BaselineReasons:
        """What it says of one tweet."""
        return BaselineReasons(float(self._scores([tokens])[0]), left_out(tokens, self._scores))

    def _scores(self, tweets: Sequence[list[str]]) -> npt.NDArray[np.float64]:
        return calibrated(self.model.read(TokenRows.of_tweets(tweets)).probabilities, self.temperature)


def read_baseline(run: CompletedRun) -> SavedBaseline:
    """The baseline that was saved with a run.

    Raises:
        RunDirError: it is missing, damaged, or not the one that belongs to the result.
    """
    path = run.run_dir.baseline_file
    check_file(path, run.result)
    return SavedBaseline(LinearModel.load(path), run.result.temperatures["baseline"])


def read_card(run: CompletedRun) -> str:
    """The model card, as `sentiment card` prints it; of several folds the first one's.

    Raises:
        RunDirError: the run's files are damaged.
    """
    run_dir = run.folds[0].run_dir if run.folds else run.run_dir
    return model_card(run_dir)
