"""A trained model in use: predictions for texts and files, and scores on labelled files.

May import every other package of `sentiment`; only `handing_on`, `model` and the command line import it.
"""
