"""Runs on disk: names, records, states, attempts, the rungs of a search, and the code that computed them.

Reading any of it loads neither torch nor NumPy, so that `status` and `--help` answer at once on a login node.
"""
