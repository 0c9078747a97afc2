"""The hashes of all that determines a run's numbers besides code: configuration, tweets, word vectors and encoder."""

from sentiment.config import RunConfig
from sentiment.data.sources import cached_sha256
from sentiment.data.text import tokenizer_fingerprint
from sentiment.data.vocabulary import pretrained_file, vectors_fingerprint
from sentiment.encoders.pretrained import EncoderFiles
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import Results

# The hashes of those inputs that a run has, by their names: `config`, which names the others; `tokenizer`, of NLTK's
# patterns; `data`, of the files and settings that the corpus is made from; `corpus`, of its content, which only a run
# that is trained knows; `vectors`, of the file of pretrained vectors, or of what they are learned from; `encoder`, of
# its files.
Inputs = dict[str, str]


def differing(inputs: Inputs, others: Inputs) -> list[str]:
    """The names of the inputs that differ, without those that differ because another one does."""
    names = {name for name in inputs.keys() | others.keys() if inputs.get(name) != others.get(name)}
    if "tokenizer" in names:
        names.discard("data")
    if names & {"tokenizer", "data"}:
        names.discard("corpus")
    return sorted(names)


def current_inputs(config: RunConfig, results: Results, data: str, encoder: EncoderFiles | None) -> Inputs:
    """The inputs as they are now.

    Args:
        data: see `source_fingerprint`.

    Raises:
        SentimentError: the file of vectors or their text is missing.
    """
    inputs = {"config": config.fingerprint(), "tokenizer": tokenizer_fingerprint(), "data": data}
    if file := pretrained_file(config, results):
        inputs["vectors"] = vectors_fingerprint(config, results) or cached_sha256(file)
    if encoder:
        inputs["encoder"] = encoder.fingerprint
    return inputs


def recorded_inputs(config: RunConfig, record: RunRecord) -> Inputs:
    """The inputs that a run was trained with."""
    inputs = {
        "config": config.fingerprint(),
        "tokenizer": record.tokenizer_fingerprint,
        "data": record.source_fingerprint,
    }
    if record.vectors_sha256:
        inputs["vectors"] = record.vectors_sha256
    if record.encoder:
        inputs["encoder"] = record.encoder.fingerprint
    return inputs
