"""What a process that only tokenises needs: it loads no torch, and so begins in a fraction of a second."""

from collections.abc import Sequence

from sentiment.config import TextConfig
from sentiment.data.text.token_rows import TokenRows
from sentiment.data.text.tokenizer import Tokenizer

_tokenizer: Tokenizer | None = None


def start_tokenizing(config: TextConfig) -> None:
    """Make this process a worker that tokenises as a configuration says."""
    global _tokenizer
    _tokenizer = Tokenizer(config)


def tokenize_in_worker(texts: Sequence[str]) -> TokenRows:
    """The tokens of texts, in a process that `start_tokenizing` has prepared."""
    if _tokenizer is None:
        raise RuntimeError("start_tokenizing has not been called in this process")
    return TokenRows.of_tweets(map(_tokenizer, texts))
