"""What runs need besides their configuration, and what of it is missing or not prepared yet."""

from collections.abc import Iterable, Iterator

from sentiment.config import RunConfig
from sentiment.errors import ElmoError
from sentiment.files import named_path
from sentiment.run_dir import Results


def missing_for(configs: Iterable[RunConfig], results: Results) -> list[str]:
    """A line for each thing that is missing, with the command that fetches it.

    Nothing is fetched here: compute nodes often have no network, so everything has to be there before a job starts.
    """
    sources, files, models = set(), set(), set()
    for config in configs:
        sources.add(config.data.source)
        files |= {("data.second_test", config.data.second_test), ("embedding.pretrained", config.embedding.pretrained)}
        if config.elmo is not None:
            models.add(config.elmo.model)
    lines = [line for source in sorted(sources) for line in _missing_tweets(source, results)]
    for field, file in sorted((field, file) for field, file in files if file is not None):
        if not named_path(file).is_file():
            lines.append(f"{field} = {file!r}: no such file")
    return lines + [line for model in sorted(models) for line in _missing_elmo(model, results)]


def unprepared(configs: Iterable[RunConfig], results: Results) -> list[RunConfig]:
    """One run for each set of tweets that is not prepared, or whose linear baseline is not fitted.

    A job without a GPU prepares them before any task that holds a GPU starts.

    Raises:
        SentimentError: the source of the tweets cannot be used.
    """
    from sentiment.data.corpus.corpus import find_corpus
    from sentiment.models.baseline.baseline import has_baseline

    found = []
    for config in {(config.data, config.baseline): config for config in configs}.values():
        corpus = find_corpus(config.data, results)
        if corpus is None or not has_baseline(corpus, config.baseline):
            found.append(config)
    return found


def _missing_tweets(source: str, results: Results) -> Iterator[str]:
    from sentiment.data.registry import find_source

    if missing := find_source(source).missing(results):
        yield f"data.source = {source!r}: {missing}"


def _missing_elmo(model: str, results: Results) -> Iterator[str]:
    from sentiment.elmo.models import find_elmo

    try:
        find_elmo(model, results.elmo_models)
    except ElmoError as error:
        yield f"elmo.model: {error}"
