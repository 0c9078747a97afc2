"""What runs train on and are compared with: tweets and the linear floor, prepared once for all runs on them."""

from collections.abc import Iterable

from sentiment.config import RunConfig
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.models.linear import Floor, linear_floor
from sentiment.run_dir import Results
from sentiment.training.console import Console, stoppable
from sentiment.training.stop import Stop, StoppedError, StopRequest


def prepare_data(config: RunConfig, results: Results, stop: StopRequest, console: Console) -> tuple[Corpus, Floor]:
    """The corpus and its floor, both from their caches if they are there.

    Raises:
        StoppedError: there was a reason to stop; what was begun is simply begun again.
        SentimentError: the data cannot be used.
    """
    progress = stoppable(console, stop)
    corpus = prepare_corpus(config.data, results, progress)
    return corpus, linear_floor(corpus, progress)


def run_preparation(configs: Iterable[RunConfig], results: Results, stop: StopRequest, console: Console) -> Stop | None:
    """Prepare the tweets of all these runs, and their floors.

    Returns:
        None when all is there, else why it stopped: the same call goes on from there.

    Raises:
        SentimentError: the data cannot be used.
    """
    try:
        for config in configs:
            corpus, _ = prepare_data(config, results, stop, console)
            console.say(f"{len(corpus.labels):,} tweets of {config.data.source} and their floor are in {corpus.path}")
    except StoppedError as stopped:
        return stopped.stop
    return None
