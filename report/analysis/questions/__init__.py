"""What the runs of a grid say of the setting that it varies: an architecture, the cleaning, the number of labels.

May import: `report.analysis.comparison` and what lies below. Imported by searches and by the findings.
"""
