"""Use of a trained model: predictions for texts and files, scores on labelled files, and export to one file.

May import every other package of `sentiment`; `labelling`, `api` and the command line import it.
"""
