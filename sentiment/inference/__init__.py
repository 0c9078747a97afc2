"""A trained model in use: predictions for texts and files, scores on labelled files, and one file to hand on.

May import every other package of `sentiment`; only `api` and the command line import it.
"""
