"""From raw tweets to batches of token numbers.

- `sources`: where tweets come from; `tables`: files read row by row; `guess_columns`: what their columns mean
- `text`: from a tweet's text to its tokens
- `corpus`: tweets cleaned, tokenised, split and kept on disk
- `vocabulary`, `batches`: what a model reads

A file that cannot be used is a DataError, a column that it lacks a ConfigError.

May import `config`, `runs` and what lies below them; torch in `batches` only.
"""

# Any other value of `data.source` is the path of a table.
SOURCES = ("sample", "sentiment140", "vader")
SOURCE_CHOICES = f"{', '.join(SOURCES)} or the path of a table"
