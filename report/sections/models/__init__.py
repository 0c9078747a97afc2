"""Sections on models: which to use, how all compare, and what the recommended one has wrong.

May import: what sections may. Imported by `build` only.
"""
