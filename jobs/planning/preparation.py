"""Which runs find their tweets not prepared yet; a job without a GPU does that before any task with one starts."""

from collections.abc import Iterable

from sentiment.config import RunConfig
from sentiment.run_dir import Results


def unprepared(configs: Iterable[RunConfig], results: Results) -> list[RunConfig]:
    """One run for each set of tweets that is not prepared, or whose linear baseline is not fitted.

    Raises:
        SentimentError: the source of the tweets cannot be used.
    """
    from sentiment.data.corpus.corpus import find_corpus
    from sentiment.models.baseline import has_baseline

    found = []
    for config in {config.data: config for config in configs}.values():
        corpus = find_corpus(config.data, results)
        if corpus is None or not has_baseline(corpus):
            found.append(config)
    return found
