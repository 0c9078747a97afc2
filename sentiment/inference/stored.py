"""What the models of a run are made of, in its directory or in a file of `export`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sentiment.config import RunConfig
from sentiment.models.baseline import LinearModel
from sentiment.runs.records import EncoderRecord, Recommendation, Result
from sentiment.runs.run_dir import Results, RunDir

if TYPE_CHECKING:
    from sentiment.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class StoredRun:
    """What the models of a run are made of, wherever that is stored.

    Attributes:
        place: where, for messages.
        result: None unless the run is completed.
        encoder: whose vectors the run was trained with.
        results: where that is looked for.
        network: reads the vocabulary and the weights.
        baseline: reads the linear baseline.
        run_dir: None for a file of `export`.
    """

    place: str
    config: RunConfig
    result: Result | None
    encoder: EncoderRecord | None
    results: Results
    network: "Callable[[], tuple[Vocabulary, dict[str, Any]]]"
    baseline: Callable[[], LinearModel]
    run_dir: RunDir | None = None

    @property
    def recommended(self) -> Recommendation:
        """What is best on validation tweets; the network if the run is not completed."""
        return self.result.recommended if self.result else "network"

    def temperature(self, model: Recommendation) -> float:
        """That calibrates what a model says; 1 if the run is not completed."""
        return self.result.temperatures[model] if self.result else 1.0
