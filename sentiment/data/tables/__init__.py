"""Rows of tables of any origin: CSV, TSV, JSON Lines and Parquet. Imports config and errors alone."""
