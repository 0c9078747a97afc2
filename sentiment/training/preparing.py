"""What runs train on and are compared with: tweets and the linear baseline, prepared once for all runs on them."""

from collections.abc import Iterable

from sentiment.config import RunConfig
from sentiment.console import Console
from sentiment.data.corpus.corpus import Corpus, prepare_corpus
from sentiment.models.baseline import Baseline, linear_baseline
from sentiment.run_dir import Results
from sentiment.training.stop import Stop, StoppedError, StopRequest


def prepare_data(config: RunConfig, results: Results, stop: StopRequest, console: Console) -> tuple[Corpus, Baseline]:
    """The corpus and its baseline, both from their caches if they are there.

    Raises:
        StoppedError: there was a reason to stop; what was begun is simply begun again.
        SentimentError: the data cannot be used.
    """
    progress = stop.interrupting(console.progress)
    corpus = prepare_corpus(config.data, results, progress)
    return corpus, linear_baseline(corpus, progress)


def run_preparation(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> Stop | None:
    """Prepare the tweets of all these runs, and their baselines.

    Returns:
        None when all is there, else why it stopped: the same call goes on from there.

    Raises:
        SentimentError: the data cannot be used.
    """
    try:
        for config in configs:
            corpus, _ = prepare_data(config, results, stop, console)
            console.say(
                f"{len(corpus.labels):,} tweets of {config.data.source} and their baseline are in {corpus.path}"
            )
    except StoppedError as stopped:
        return stopped.stop
    return None
