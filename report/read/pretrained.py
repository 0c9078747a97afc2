"""Language models that were or are trained on a run's own text."""

from dataclasses import dataclass

from sentiment.errors import RunDirError
from sentiment.pretrained_runs import PerplexityPoint, PretrainedCard, pretrained_dirs, read_points
from sentiment.run_dir import Results
from sentiment.run_state import RunState, judge, read_progress


@dataclass(frozen=True)
class OwnModel:
    """A language model, complete or not."""

    name: str
    """Of its folder."""
    state: RunState
    attempts: int
    """All lives of the tasks that trained it."""
    points: list[PerplexityPoint]
    """One for each epoch so far."""
    card: PretrainedCard | None
    """None unless it is complete."""


def read_own_models(results: Results) -> tuple[list[OwnModel], list[str]]:
    """All models that can be read, and a line for each that cannot."""
    found, problems = [], []
    for run_dir in pretrained_dirs(results):
        try:
            card, points = run_dir.read_card(), read_points(run_dir)
            progress = read_progress(run_dir)
        except RunDirError as error:
            problems.append(" ".join(str(error).split()))
            continue
        state = RunState("COMPLETED") if card else judge(progress)
        found.append(OwnModel(run_dir.path.name, state, progress.attempts, points, card))
    return found, problems
