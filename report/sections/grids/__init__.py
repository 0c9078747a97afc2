"""Sections on what grids answer: the study's questions, and one section for each kind of grid.

May import: `names` and `remarks` of the sections, and what sections may. Imported by `build` and `models`.
"""
