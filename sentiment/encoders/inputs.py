"""The hashes of all that determines a run's numbers besides code: configuration, tweets, word vectors and encoder."""

from dataclasses import asdict, dataclass

from sentiment.config import RunConfig
from sentiment.data.sources import cached_sha256
from sentiment.data.text import tokenizer_fingerprint
from sentiment.data.vocabulary import pretrained_file, vectors_fingerprint
from sentiment.encoders.pretrained import EncoderFiles
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import Results


@dataclass(frozen=True)
class Inputs:
    """Hashes of a run's inputs; None where a run has no such input.

    Attributes:
        config: fingerprint of the configuration, which names the other inputs.
        tokenizer: fingerprint of NLTK's patterns.
        data: fingerprint of the corpus, which depends on the tokenizer.
        vectors: SHA-256 of the file of pretrained vectors; the fingerprint of learned ones, whose file may be gone.
        encoder: fingerprint of the encoder's files.
    """

    config: str
    tokenizer: str
    data: str
    vectors: str | None
    encoder: str | None

    def by_name(self) -> dict[str, str]:
        """The inputs that the run has, by their names."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def differences(self, other: "Inputs") -> list[str]:
        """The names of the inputs that differ; with another tokenizer the tweets cannot be compared."""
        others = asdict(other)
        names = [name for name, value in asdict(self).items() if value != others[name]]
        return [name for name in names if name != "data" or "tokenizer" not in names]


def current_inputs(config: RunConfig, results: Results, data: str, encoder: EncoderFiles | None) -> Inputs:
    """The inputs as they are now.

    Args:
        data: the fingerprint of the corpus.

    Raises:
        SentimentError: the file of vectors or their text is missing.
    """
    vectors = None
    if file := pretrained_file(config, results):
        vectors = vectors_fingerprint(config, results) or cached_sha256(file)
    return Inputs(
        config.fingerprint(), tokenizer_fingerprint(), data, vectors, encoder.fingerprint if encoder else None
    )


def recorded_inputs(config: RunConfig, record: RunRecord) -> Inputs:
    """The inputs that a run was trained with."""
    encoder = record.encoder.fingerprint if record.encoder else None
    return Inputs(
        config.fingerprint(), record.tokenizer_fingerprint, record.data_fingerprint, record.vectors_sha256, encoder
    )
