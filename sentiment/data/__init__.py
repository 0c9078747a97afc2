"""From raw tweets to a corpus of token numbers: read, clean, tokenise, de-duplicate, split, and keep the result."""
