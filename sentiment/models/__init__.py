"""Classifiers from token vectors to one logit, and the linear baseline. Imports `config`, `data` and `elmo`."""
