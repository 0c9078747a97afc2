"""A prepared corpus: tweets read, cleaned, tokenised, rid of duplicates, split, and kept on disk by fingerprint.

From `sentiment.data` the modules here import `sources`, `rows`, `tables` and `text`.
"""
