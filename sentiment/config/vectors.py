"""The section `vectors`: how word vectors are learned from a run's training text and from unlabelled tweets."""

from typing import Annotated, Literal

from pydantic import Field

from sentiment.config.section import PositiveInt, Section

TRAINED_VECTORS = ("word2vec", "fasttext")
"""Values of `embedding.pretrained` that are learned as this section says."""

PUBLISHED_VECTORS = {f"glove-twitter-{size}": size for size in (25, 50, 100, 200)}
"""Values of `embedding.pretrained` that are published, with the numbers per token."""
NAMED_VECTORS = (*TRAINED_VECTORS, *PUBLISHED_VECTORS)


class TextFile(Section):
    """A file of tweets of which only the text is read."""

    path: str
    """One tweet a line (`.txt`), or a table in any format that `data.source` takes; each also with `.gz`."""
    column: str | int = "text"
    """The column of a table that holds the text, by name or by position, counted from 0. Sentiment140's own format
    needs none."""


class VectorsConfig(Section):
    """Skip-gram with negative sampling (Mikolov et al. 2013), for fastText over the words' n-grams as well."""

    unlabelled: Annotated[tuple[TextFile, ...], Field(strict=False)] = ()
    """Further text, besides that of the training part. What stands in the validation or test part is left out of it."""
    window: PositiveInt = 5
    """Largest distance between two tokens of which one predicts the other."""
    min_count: PositiveInt = 3
    """A type must occur at least this often in the text."""
    negative: PositiveInt = 5
    """Random types beside each true one."""
    epochs: PositiveInt = 10
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Of the vectors; `seed` of the run changes nothing in them, so that runs with different seeds share them."""
    vocabulary: Literal["training", "vectors"] = "vectors"
    """Which types the model knows: those of the labelled training tweets (`data.vocabulary`), or after these also all
    others that have a vector, up to `data.vocabulary.max_size`."""
