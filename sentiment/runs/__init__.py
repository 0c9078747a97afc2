"""Runs on disk: names, records, states, attempts, searches by halving, and the code that computed them.

Records and states are read without torch and NumPy, so that `status` and `--help` answer at once on a login node;
`power`, `predictions` and `recommendation` load NumPy.
"""
