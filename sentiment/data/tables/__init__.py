"""Formats of files that hold tweets: CSV, TSV, JSON Lines, Parquet, and the one of Sentiment140.

From `sentiment.data` the modules here import only `data_source`.
"""
