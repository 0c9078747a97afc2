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


# The study that the grids repeat.
STUDY = (
    PublishedScore(
        "recurrent nets without stop words", 0.78, "at most", "validation", "the study that is repeated here"
    ),
    PublishedScore("feed-forward net without stop words", 0.78, "", "test", "the study that is repeated here"),
    PublishedScore("self-attention without stop words", 0.779, "", "test", "the study that is repeated here"),
    PublishedScore(
        "ELMo and BiLSTM 512 (peak)", 0.85, "", "validation", "the study that is repeated here; overfits after"
    ),
    PublishedScore("ELMo and BiLSTM 512 (steady)", 0.81, "", "validation", "the study that is repeated here"),
)
# What pre-trained transformers reach.
OTHERS = (
    PublishedScore("BERT-base", 0.8746, "", "test, 320,000 tweets", "one run, random split (a model card)"),
    PublishedScore("RoBERTa-base", 0.8911, "", "test, 320,000 tweets", "one run, random split (a model card)"),
)
PUBLISHED = STUDY + OTHERS
BEST_OF_STUDY = STUDY[3]
PLAIN_CEILING = STUDY[0]
