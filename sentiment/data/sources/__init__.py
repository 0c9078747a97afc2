"""The named data sources: every module here is one, found by its name, and assigns a `DataSource` to `SOURCE`.

Modules import from `sentiment.data` only `data_source`, `download` and `tables`.
"""
