"""From raw tweets to batches of token ids.

- `sources`: data sets and tables; `tables`: reads files row by row; `guess_columns`: guesses columns and labels
- `labels`: classes, and the labels that mean them; `text`: tokenizes a tweet
- `corpus`: tweets cleaned, tokenised, deduplicated, split and stored on disk
- `vocabulary`, `batches`: the input of a model

A file that cannot be used raises a DataError, a missing column a ConfigError.

May import `config`, `runs` and what lies below them; torch in `batches` only.
"""

# Any other value of `data.source` is the path of a table.
SOURCES = ("sample", "sentiment140", "tweeteval", "vader")
SOURCE_CHOICES = f"{', '.join(SOURCES)} or the path of a table"
