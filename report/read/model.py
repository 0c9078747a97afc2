"""The model that a run saved, as far as it is read without torch: what its card says of it."""

from report.read.load import CompletedRun
from sentiment.handing_on.handed_on import hand_on
from sentiment.handing_on.model_card import model_card
from sentiment.whole_run import has_baseline_model


def read_card(run: CompletedRun) -> str | None:
    """The model card, as `sentiment card` prints it; of several folds the first one's, None of a combination.

    Raises:
        RunDirError: the run's files are damaged.
    """
    if run.config.combination is not None:
        return None
    run_dir = run.folds[0].run_dir if run.folds else run.run_dir
    return model_card(hand_on(run_dir), has_baseline_model(run_dir))
