"""Vectors of words, from which a run's embedding may start: learned from text, or read from files.

- `text_format`: the text files of GloVe and word2vec
- `training_text`: which text vectors are learned from, and never that of tweets which are to be predicted
- `learning`: gensim's skip-gram, epoch by epoch, so that it goes on where it was killed
- `store`: learned vectors on disk, by fingerprint

From `sentiment.data` the modules here import `corpus` and what lies below it.
"""
