"""Sections on models: which to use, how all compare, and what the recommended one has wrong.

May import: `report.sections.grids`, for its curves, and what sections may. Imported by `build` only.
"""
