"""What runs need besides their configuration, and what of it is missing or not prepared yet."""

from collections.abc import Iterable, Iterator, Sequence

from sentiment.config import WORD2VEC, EncoderConfig, RunConfig
from sentiment.errors import ElmoError, EncoderError
from sentiment.files import named_path
from sentiment.runs.run_dir import Results


def missing_for(configs: Iterable[RunConfig], results: Results) -> list[str]:
    """A line for each thing that is missing, with the command that fetches it.

    Nothing is fetched here: compute nodes often have no network, so everything has to be there before a job starts.
    """
    sources: set[tuple[str, str]] = set()
    files: set[tuple[str, str]] = set()
    models: set[tuple[str, str]] = set()
    encoders: dict[tuple[str, str], EncoderConfig] = {}
    for config in configs:
        sources |= _sources_of(config)
        files |= _files_of(config)
        if config.encoder is not None:
            encoders[config.encoder.model, config.encoder.revision] = config.encoder
        if config.elmo is not None:
            begins_with = config.pretraining.init if config.pretraining else None
            if not config.elmo.pretrained:
                models.add(("elmo.model", config.elmo.model))
            elif begins_with:
                models.add(("pretraining.init", begins_with))
    lines = [line for field, source in sorted(sources) for line in _missing_tweets(field, source, results)]
    for field, file in sorted(files):
        if not named_path(file).is_file():
            lines.append(f"{field} = {file!r}: no such file")
    lines += [line for _, encoder in sorted(encoders.items()) for line in _missing_encoder(encoder, results)]
    return lines + [line for field, model in sorted(models) for line in _missing_elmo(field, model, results)]


def unprepared(configs: Iterable[RunConfig], results: Results) -> list[RunConfig]:
    """One run for each set of tweets that is not prepared, or whose linear baseline is not fitted.

    A job without a GPU prepares them before any task that holds a GPU starts.

    Raises:
        SentimentError: the source of the tweets cannot be used.
    """
    from sentiment.data.corpus import find_corpus
    from sentiment.models.baseline import has_baseline

    found = []
    for config in {config.data: config for config in configs}.values():
        if _lacks_tweets(config, results):  # only a dry run gets as far as this without them
            found.append(config)
            continue
        corpus = find_corpus(config.data, results)
        if corpus is None or not has_baseline(corpus):
            found.append(config)
    return found


def without_vectors(configs: Sequence[RunConfig], results: Results) -> list[RunConfig]:
    """One run for each set of named word vectors that is to be learned and has not been yet.

    Raises:
        SentimentError: the tweets, or an unlabelled file, cannot be read.
    """
    if not any(config.embedding.pretrained == WORD2VEC for config in configs):
        return []
    from sentiment.data.vocabulary import has_vectors, vectors_fingerprint

    if any(_lacks_tweets(config, results) for config in configs):
        return [config for config in configs if config.embedding.pretrained == WORD2VEC][:1]
    missing = (config for config in configs if not has_vectors(config, results))
    return list({vectors_fingerprint(config, results): config for config in missing}.values())


def without_pretrained(configs: Sequence[RunConfig], results: Results) -> list[RunConfig]:
    """One run for each language model that is to be trained and is not complete yet.

    Raises:
        SentimentError: the tweets, an unlabelled file or the model to begin with cannot be read.
    """
    if not any(config.elmo and config.elmo.pretrained for config in configs):
        return []
    from sentiment.encoders.models import pretraining_request

    found = {}
    for config in configs:
        request = pretraining_request(config, results)
        if request and not request.run_dir(results).completed:
            found[request.fingerprint] = config
    return list(found.values())


def _files_of(config: RunConfig) -> set[tuple[str, str]]:
    """The files that a run reads besides its tweets, each with the field that names it."""
    pretrained = None if config.embedding.pretrained == WORD2VEC else config.embedding.pretrained
    named = {("embedding.pretrained", pretrained)}
    named |= {("data.extra_train", table.path) for table in config.data.extra_train}
    named |= {("vectors.unlabelled", file.path) for file in (config.vectors.unlabelled if config.vectors else ())}
    further = config.pretraining.unlabelled if config.pretraining else ()
    named |= {("pretraining.unlabelled", file.path) for file in further}
    return {(field, file) for field, file in named if file is not None}


def _sources_of(config: RunConfig) -> set[tuple[str, str]]:
    """Where its tweets come from, with the fields that say so."""
    tests = config.data.tests.items()
    return {("data.source", config.data.source), *((f"data.tests.{name}.path", table.path) for name, table in tests)}


def _missing_tweets(field: str, source: str, results: Results) -> Iterator[str]:
    from sentiment.data.sources import missing_tweets

    if missing := missing_tweets(source, results):
        yield f"{field} = {source!r}: {missing}"


def _lacks_tweets(config: RunConfig, results: Results) -> bool:
    return any(line for field, source in _sources_of(config) for line in _missing_tweets(field, source, results))


def _missing_encoder(encoder: EncoderConfig, results: Results) -> Iterator[str]:
    from sentiment.encoders.models import find_encoder

    try:
        find_encoder(encoder, results.encoders)
    except EncoderError as error:
        yield f"encoder.model: {error}"


def _missing_elmo(field: str, model: str, results: Results) -> Iterator[str]:
    from sentiment.encoders.models import find_elmo

    try:
        find_elmo(model, results.elmo_models)
    except ElmoError as error:
        yield f"{field}: {error}"
