"""Classifiers from token vectors to one logit, the linear baseline, and what reads texts with either.

May import `config`, `data` and `elmo`.
"""
