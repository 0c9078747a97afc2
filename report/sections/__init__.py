"""The sections of the report, each of which turns the findings into sentences, figures and tables.

May import: every other package of the report. A section reads no file and changes nothing that it is given, so that the
order in which sections are written does not matter. Imported by `report.build`.
"""
