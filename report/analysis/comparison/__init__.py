"""Models on one set of tweets, beside each other: which to use, and what each has wrong.

May import: `report.analysis.measures` and what lies below. Imported by the questions that grids ask.
"""
