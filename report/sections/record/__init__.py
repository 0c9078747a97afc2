"""Sections that record: every run, how it was made, how it is computed, and what a paper needs of it.

May import: `names` and `remarks` of the sections, and what sections may. Imported by `build` only.
"""
