"""Runs on one set of tweets, beside each other: which to use, what each has wrong, and which differ in one setting.

May import: `report.analysis.measures` and what lies below. Imported by questions and sections.
"""
