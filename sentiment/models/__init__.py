"""Classifiers from token vectors to one logit, the linear baseline, and what reads texts with either.

May import `encoders` and what lies below it.
"""
