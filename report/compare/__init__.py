"""What the runs show, as numbers and values; nothing here is put into words or drawn.

May import: `report.read` and `report.statistics`. Imported by `questions` and `sections`.
"""
