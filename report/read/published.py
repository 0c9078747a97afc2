"""Figures that others have published for the same tweets: rows of their own, never mixed with what was measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedScore:
    """One published accuracy."""

    model: str
    accuracy: float
    bound: str
    """`at most` where the source gives a ceiling only."""
    part: str
    """Which tweets it was measured on."""
    remark: str


_REPEATED = "the study that is repeated here"
_CARD = "one run, random split (a model card)"

# The study that the grids repeat.
STUDY = (
    PublishedScore("recurrent nets without stop words", 0.78, "at most", "validation", _REPEATED),
    PublishedScore("feed-forward net without stop words", 0.78, "", "test", _REPEATED),
    PublishedScore("self-attention without stop words", 0.779, "", "test", _REPEATED),
    PublishedScore("ELMo and BiLSTM 512 (peak)", 0.85, "", "validation", f"{_REPEATED}; overfits after"),
    PublishedScore("ELMo and BiLSTM 512 (steady)", 0.81, "", "validation", _REPEATED),
)
# What pre-trained transformers reach.
TRANSFORMERS = (
    PublishedScore("BERT-base", 0.8746, "", "test, 320,000 tweets", _CARD),
    PublishedScore("RoBERTa-base", 0.8911, "", "test, 320,000 tweets", _CARD),
)
PUBLISHED = STUDY + TRANSFORMERS
BEST_OF_STUDY = STUDY[3]
PLAIN_CEILING = STUDY[0]
