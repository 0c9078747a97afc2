"""From blocks to Markdown, HTML and charts; knows nothing of runs.

May import: `report.statistics`, for values with intervals. Imported by `sections`.
"""
