"""NLTK's English stop words (the 179 of 2023), kept here since nodes can't fetch them and later lists differ."""

from importlib.resources import files
from typing import Literal


def stop_words(choice: Literal["none", "all", "keep_negations"]) -> frozenset[str]:
    """The words to leave out, in lower case; the list holds both `don't`, which is one of our tokens, and `don`."""
    if choice == "none":
        return frozenset()
    words = frozenset(files("sentiment.data.text").joinpath("stop_words.txt").read_text(encoding="utf-8").split())
    if choice == "all":
        return words
    return frozenset(word for word in words if not _is_negation(word, words))


def _is_negation(word: str, words: frozenset[str]) -> bool:
    """Whether a word is no, nor, not, or a form in n't with or without its end (`don't`, `don`, `ain`)."""
    return word in {"no", "nor", "not", "ain"} or word.endswith("n't") or f"{word}'t" in words
