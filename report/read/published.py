"""Figures that others have published, each with its source: never mixed with what was measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Where a figure was published."""

    authors: str
    title: str
    link: str
    data: str
    """Which tweets, cleaned how."""


@dataclass(frozen=True)
class PublishedScore:
    """One published accuracy."""

    model: str
    accuracy: float
    bound: str
    """`at most` where the source gives a ceiling only."""
    part: str
    """Which tweets it was measured on."""
    source: Source


_SENTIMENT140 = "Sentiment140, 1.6 million tweets, split at random"
STUDY_SOURCE = Source(
    authors="Giannoutsos, A.",
    title="Twitter Sentiment Analysis with LSTMs, ELMo",
    link="https://github.com/AGiannoutsos/Twitter-Sentiment-Analysis-with-LSTMs-ELMo",
    data=f"{_SENTIMENT140}, stop words removed",
)
"""The study that the grids repeat."""
_ROBERTA = Source(
    "heican (Hugging Face)",
    "sentiment-roberta-base (model card)",
    "https://huggingface.co/heican/sentiment-roberta-base",
    _SENTIMENT140,
)
_BERT = Source(
    "heican (Hugging Face)",
    "sentiment-bert-base (model card)",
    "https://huggingface.co/heican/sentiment-bert-base",
    _SENTIMENT140,
)

PUBLISHED = (
    PublishedScore("recurrent nets", 0.78, "at most", "validation", STUDY_SOURCE),
    PublishedScore("feed-forward net", 0.78, "", "test", STUDY_SOURCE),
    PublishedScore("self-attention", 0.779, "", "test", STUDY_SOURCE),
    PublishedScore("ELMo and BiLSTM 512 (peak; overfits after)", 0.85, "", "validation", STUDY_SOURCE),
    PublishedScore("ELMo and BiLSTM 512 (steady)", 0.81, "", "validation", STUDY_SOURCE),
    PublishedScore("BERT-base", 0.8746, "", "test, 320,000 tweets", _BERT),
    PublishedScore("RoBERTa-base", 0.8911, "", "test, 320,000 tweets", _ROBERTA),
)
