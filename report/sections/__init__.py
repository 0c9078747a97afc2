"""The sections of the report, each of which turns the findings into sentences, figures and tables.

May import: all of the report but `questions` and `build`. A section reads no file and changes nothing that it is given.
Imported by `report.questions`, for names, and by `report.build`.
"""
