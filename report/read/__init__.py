"""Run directories as values: everything that the report knows comes through here.

May import: `report.statistics`, and of `sentiment` what needs no torch. Imported by `analysis` and `sections`.
"""
