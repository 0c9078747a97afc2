"""A trained model as one file for others: written from a run, described by a model card, read without pickle.

May import every other package of `sentiment`; only `model` and the command line import it.
"""
