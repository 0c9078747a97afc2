"""The section `pretraining`: how an ELMo is trained on a run's own text, where `elmo.model` is `pretrained/NAME`."""

from typing import Annotated

from pydantic import Field

from sentiment.config.section import PositiveFloat, PositiveInt, Probability, Section
from sentiment.config.vectors import TextFile

PRETRAINED = "pretrained/"
"""What values of `elmo.model` begin with that are trained as this section says."""

PRETRAINED_SIZES = ("tiny", "tweet", "small", "medium", "original")
"""What follows: `tweet` has 2.9 million weights, for a CPU; three sizes are those of the published models."""

PRETRAINED_MODELS = tuple(f"{PRETRAINED}{size}" for size in PRETRAINED_SIZES)


class PretrainingConfig(Section):
    """A bidirectional language model (Peters et al. 2018) of a run's training text and of unlabelled text."""

    unlabelled: Annotated[tuple[TextFile, ...], Field(strict=False)] = ()
    """Further text, besides that of the training part. What stands in the validation or test part is left out of it."""
    init: str | None = None
    """A published model whose weights it begins with, as in `elmo.model`: a name, or a path; of the same size. None
    begins with random ones."""
    min_count: PositiveInt = 3
    """A token that occurs less often is predicted as unknown; it is read by its characters all the same."""
    max_words: Annotated[int, Field(ge=10)] = 100_000
    """How many tokens are predicted at most, the most frequent ones."""
    held_out: PositiveInt = 2_000
    """Tweets of the training part that the perplexity is measured on instead, but at most a tenth of them."""
    dropout: Probability = 0.1
    """Fraction of the values that is set to zero in training, of each layer's input and of the last output."""
    learning_rate: PositiveFloat = 2e-3
    """Of Adam."""
    batch_size: PositiveInt = 128
    """Tweets."""
    epochs: PositiveInt = 10
    """Times that the text is read; it ends before, once the perplexity has not fallen for `patience` of them."""
    patience: PositiveInt | None = 2
    clip: PositiveFloat | None = 1.0
    """Largest norm of the gradient."""
    log_every: PositiveInt = 50
    """Steps between two rows of training loss in the metric log."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Of the model; `seed` of the run changes nothing in it, so that runs with different seeds share it."""
