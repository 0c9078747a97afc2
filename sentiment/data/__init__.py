"""From raw tweets to batches of token ids.

- `sources`: data sets and tables; `tables`, `text_files`, `workbook`: read files row by row
- `labels`: classes, and the label values of each; `guess_columns`: guesses columns and labels
- `text`: tokenises a tweet
- `preparation`, `corpus`: tweets cleaned, tokenised, deduplicated, split and stored on disk
- `held_out`: recognises copies of tweets that are held out from training
- `vocabulary`, `batches`: the input of a model

A file that cannot be used raises a DataError, a missing column a ConfigError.

May import `config`, `runs` and the layers below them (see `tests/test_imports.py`); only `batches` imports torch.
"""

# Any other value of `data.source` is the path of a table.
SOURCES = ("sample", "sentiment140", "tweeteval", "vader")
SOURCE_CHOICES = f"{', '.join(SOURCES)} or the path of a table"
