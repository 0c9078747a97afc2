"""From raw tweets to batches of token ids.

- `built_in`, `sources`: built-in data sets and tables; `table`, `table_files`, `rows`: read files row by row
- `classes`: classes, and the labels of each; `guess_columns`: guesses columns and labels
- `text`: tokenises a tweet
- `preparation`, `corpus`: tweets cleaned, tokenised, deduplicated, split and stored on disk
- `copies`: recognises copies of tweets, which are not trained on if held out, and not scored if learned
- `vocabulary`: the ids of token types, and initial vectors

A file that cannot be used raises a DataError, a missing column a ConfigError, and what may mean two things a
UsageError.

May import `config`, `runs` and the layers below them (see `tests/test_imports.py`); never imports torch.
"""
