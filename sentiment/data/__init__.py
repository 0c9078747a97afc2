"""From raw tweets to batches of token numbers.

- `data_source`, `registry`: what a data source is, and how one is found; `sources` holds the named ones
- `tables`: formats of files, read row by row; `guess_columns`: what their columns mean
- `text`: from a tweet's text to its tokens
- `corpus`: tweets cleaned, tokenised, split and kept on disk
- `vocabulary`, `word_vectors`, `vector_files`, `batches`: what a model reads

May import `config`, `runs` and what lies below them; torch in `batches` only.
"""
