"""What can be said of runs by themselves: their tweets, their folds, what they took.

May import: `report.read` and `report.statistics`. Imported by all other parts of the analysis.
"""
